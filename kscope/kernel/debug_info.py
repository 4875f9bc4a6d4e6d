"""Which debug info each module has, as loaded now."""

from typing import Literal

import drgn

from kscope.kernel.access.reading import Readings
from kscope.model.debug_info import DebugInfoQuery, DebugInfoReport, ModuleDebugInfo
from kscope.model.target import TypesFrom
from kscope.model.text import printable
from kscope.target.target import Target

_SYMBOLS: dict[TypesFrom, Literal["elf", "kallsyms", "none"]] = {
    "dwarf": "elf",
    "btf": "kallsyms",
    "none": "none",
}
"""Where the kernel's own symbols come from, where its types do."""


def debug_info(target: Target, query: DebugInfoQuery) -> DebugInfoReport:  # noqa: ARG001
    """Answer a DebugInfoQuery."""
    readings = Readings()
    kernel = target.debug_info
    modules = [
        ModuleDebugInfo(
            name="kernel",
            types=kernel.types,
            symbols=_SYMBOLS[kernel.types],
            source_lines=kernel.types == "dwarf",
            path=kernel.vmlinux,
            why=" ".join(kernel.missing),
        )
    ]
    if target.modules is not None:
        modules += readings.read("modules", lambda: _of_modules(target), [])
    return DebugInfoReport(kernel=kernel, modules=tuple(modules), unreadable=readings.unreadable)


def _of_modules(target: Target) -> list[ModuleDebugInfo]:
    assert target.modules is not None
    files = {
        printable(module.name): printable(module.debug_file_path or "")
        for module in target.program.modules()
        if module.debug_file_status is drgn.ModuleFileStatus.HAVE
    }
    found = []
    for module in target.modules():
        name = printable(module.name)
        has_file = name in files
        found.append(
            ModuleDebugInfo(
                name=name,
                types="dwarf" if has_file else "none" if module.types is None else "btf",
                symbols="elf" if has_file else "none" if module.symbols is None else "kallsyms",
                source_lines=has_file,
                path=files.get(name, ""),
                why="" if has_file else " ".join(module.missing),
            )
        )
    return found


ANSWERS = {DebugInfoQuery: debug_info}
