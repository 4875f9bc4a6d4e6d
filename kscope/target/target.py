"""An open target: drgn's ``Program`` and what is known about it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kscope.model.base import QueryError
from kscope.model.target import DebugInfo, Identity, Opened
from kscope.target.vmcoreinfo import Vmcoreinfo

if TYPE_CHECKING:
    import drgn

    from kscope.target.btf import ModuleDebugInfo


@dataclass(frozen=True)
class Target:
    """What every answer is read from."""

    program: "drgn.Program"
    identity: Identity
    vmcoreinfo: Vmcoreinfo
    prstatus_notes: int
    debug_info: DebugInfo
    modules: "Callable[[], list[ModuleDebugInfo]] | None" = None
    """What the dump itself holds of each module's types and symbols, when they are in use."""

    def need_types(self, what: str) -> None:
        """
        :param what: What is asked for, to begin a sentence with.
        :raises QueryError: of kind ``no-types``, if there are none, saying why.
        """
        if self.debug_info.types == "none":
            why = " ".join(self.debug_info.missing).rstrip(".")
            raise QueryError(
                f"{what} cannot be read without the kernel's types: {why}.",
                "Name its vmlinux with -s VMLINUX.",
                kind="no-types",
            )

    def opened(self) -> Opened:
        """What the one who asked to open it is told."""
        return Opened(identity=self.identity, debug_info=self.debug_info)
