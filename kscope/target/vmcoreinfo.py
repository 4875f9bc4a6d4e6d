"""VMCOREINFO: the text note in which a kernel tells debuggers its release, symbols and offsets.

See Documentation/admin-guide/kdump/vmcoreinfo.rst.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Vmcoreinfo:
    """The note's lines, by key. Empty when a dump carries none."""

    values: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, note: bytes) -> "Vmcoreinfo":
        """Parse the note's descriptor; lines that are not ``KEY=VALUE`` are passed over."""
        values = {}
        for line in note.decode("ascii", "replace").splitlines():
            key, equals, value = line.partition("=")
            if equals:
                values[key] = value.rstrip("\0")
        return cls(values)

    def text(self, key: str) -> str:
        """The value of ``key``, or an empty string."""
        return self.values.get(key, "")

    def symbol(self, name: str) -> int | None:
        """Address of the variable or array ``name`` (``SYMBOL(name)``)."""
        return self._number(f"SYMBOL({name})", 16)

    def size(self, name: str) -> int | None:
        """Size of ``struct name`` in bytes."""
        return self._number(f"SIZE({name})", 10)

    def offset(self, member: str) -> int | None:
        """Offset of ``struct.member`` in bytes."""
        return self._number(f"OFFSET({member})", 10)

    def number(self, name: str) -> int | None:
        """A constant (``NUMBER(name)``)."""
        return self._number(f"NUMBER({name})", 10)

    def _number(self, key: str, base: int) -> int | None:
        try:
            return int(self.values[key], base)
        except (KeyError, ValueError):
            return None
