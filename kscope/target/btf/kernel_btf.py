"""vmlinux's BTF section as it lies in a dump."""

from __future__ import annotations

from collections.abc import Callable

from drgn import PlatformFlags, Program

from kscope.target.btf.errors import GIVE_VMLINUX, BtfError
from kscope.target.btf.format import HEADER_SIZE, MAX_SIZE, Btf, Strings, string_section

_CACHE_KEY = "kscope vmlinux btf"


class KernelBtf:
    """Where it lies, from ``__start_BTF`` to ``__stop_BTF``."""

    def __init__(self, prog: Program, find_address: Callable[[str], int | None]) -> None:
        """
        :param find_address: Address of the symbol of a name, if there is exactly one.
        :raises BtfError: if the dump can have none.
        """
        platform = prog.platform
        if platform is None or PlatformFlags.IS_64_BIT not in platform.flags:
            raise BtfError(
                "Types can be read out of a dump only if its machine is known and 64-bit."
            )
        self._prog = prog
        self._little_endian = PlatformFlags.IS_LITTLE_ENDIAN in platform.flags
        start, end = find_address("__start_BTF"), find_address("__stop_BTF")
        if start is None or end is None:
            raise BtfError(
                "This kernel was built without BTF (CONFIG_DEBUG_INFO_BTF): the dump holds no"
                " types.",
                GIVE_VMLINUX,
            )
        if not 0 < end - start <= MAX_SIZE:
            raise BtfError(f"The dump's BTF has the impossible size {end - start}.")
        self._start, self._size = start, end - start

    def read(self) -> Btf:
        """All of it, once for a program.

        :raises BtfError: if the dump does not hold all of it, or it is damaged.
        """
        read: Btf | None = self._prog.cache.get(_CACHE_KEY)
        if read is None:
            read = Btf(self._read(0, self._size), little_endian=self._little_endian)
            self._prog.cache[_CACHE_KEY] = read
        return read

    def read_strings(self) -> Strings:
        """Its strings alone, which tell whether a name occurs in it at all.

        :raises BtfError: as `read()`.
        """
        header = self._read(0, min(HEADER_SIZE, self._size))
        offset, size = string_section(header, self._size, self._little_endian)
        return Strings(self._read(offset, size))

    def _read(self, offset: int, size: int) -> bytes:
        try:
            data: bytes = self._prog.read(self._start + offset, size)
        # drgn raises a bare Exception for much that goes wrong while a compressed dump is read.
        except Exception as error:
            raise BtfError(
                f"The dump does not hold all pages of the kernel's BTF: {error}.",
                GIVE_VMLINUX,
            ) from None
        return data
