"""Which debug info each module has, as loaded now."""

import drgn

from kscope.kernel.access.reading import Readings
from kscope.model.debug_info import DebugInfoQuery, DebugInfoReport, ModuleDebugInfo
from kscope.model.text import printable
from kscope.target.target import Target


def debug_info(target: Target, query: DebugInfoQuery) -> DebugInfoReport:  # noqa: ARG001
    """Answer a DebugInfoQuery."""
    readings = Readings()
    kernel = target.debug_info
    modules = [
        ModuleDebugInfo(
            name="kernel",
            types=kernel.types,
            symbols="elf" if kernel.types == "dwarf" else "kallsyms" if target.btf else "none",
            source_lines=kernel.types == "dwarf",
            path=kernel.vmlinux,
            why=" ".join(kernel.missing),
        )
    ]
    if target.btf is not None:
        modules += [
            ModuleDebugInfo(
                name=printable(module.name),
                types="none" if module.types is None else "btf",
                symbols="none" if module.symbols is None else "kallsyms",
                source_lines=False,
                path="",
                why=" ".join(module.missing),
            )
            for module in target.btf.modules()
        ]
    elif kernel.types == "dwarf":
        modules += readings.read("modules", lambda: _with_dwarf(target.program), [])
    return DebugInfoReport(kernel=kernel, modules=tuple(modules), unreadable=readings.unreadable)


def _with_dwarf(program: drgn.Program) -> list[ModuleDebugInfo]:
    found = []
    for module, _ in program.loaded_modules():
        if isinstance(module, drgn.MainModule):
            continue
        has_file = module.debug_file_status is drgn.ModuleFileStatus.HAVE
        found.append(
            ModuleDebugInfo(
                name=printable(module.name),
                types="dwarf" if has_file else "none",
                symbols="elf" if has_file else "none",
                source_lines=has_file,
                path=printable(module.debug_file_path or ""),
                why="" if has_file else "no file with its debug info was found",
            )
        )
    return found


ANSWERS = {DebugInfoQuery: debug_info}
