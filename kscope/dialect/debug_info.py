"""Debug info by module, as crash's ``mod`` says it."""

from kscope.dialect.views import Equivalent
from kscope.model.debug_info import DebugInfoQuery, DebugInfoReport

QUERY = DebugInfoQuery

_DRGN = """\
for module, _ in prog.loaded_modules():
    print(module.name, module.debug_file_status, module.debug_file_path)
"""


def equivalent(query: DebugInfoQuery) -> Equivalent:  # noqa: ARG001
    """``mod``, whose last column names each module's file."""
    return Equivalent("mod", _DRGN, "crash needs a vmlinux; it does not read types from the dump")


def text(query: DebugInfoQuery, result: DebugInfoReport) -> str:  # noqa: ARG001
    """A table of modules, then where a vmlinux was looked for and how to get one."""
    width = max(len(module.name) for module in result.modules)
    lines = [f"{'MODULE':<{width}}  TYPES  SYMBOLS   LINES  FROM"]
    for module in result.modules:
        source_lines = "yes" if module.source_lines else "no"
        in_dump = "the dump" if "none" not in (module.types, module.symbols) else "nowhere"
        lines.append(
            f"{module.name:<{width}}  {module.types:<5}  {module.symbols:<8}  {source_lines:<5}  "
            + (module.path or (f"{in_dump}. {module.why}" if module.why else in_dump))
        )
    if not result.kernel.vmlinux:
        lines += ["", "A vmlinux with debug info was looked for in"]
        lines += [f"  {place}" for place in result.kernel.searched]
        lines += ["", "To get it"] + [f"  {command}" for command in result.kernel.fetch]
    lines += [f"unreadable: {u.what}: {u.why}" for u in result.unreadable]
    return "\n".join(lines)
