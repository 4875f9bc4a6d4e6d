"""Makes ``globals.txt``: the types of the kernel's global variables, out of DWARF.

    python -m kscope.target.btf.generate VMLINUX…

with the newest kernel first. A kernel's own BTF names the types of its functions and of its per-CPU
variables, but not of its other variables (Linux 6.12 and older, with any pahole). Their names and
types change little from one kernel to the next, so the table of a few reference kernels serves
others too: `kscope.target.btf.globals` looks the named types up in the dump.

Every variable with a symbol of its own goes in, but for those that the kernel's macros make for
tracing, system calls and boot parameters, which are half of them and which nobody reads by name.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

from drgn import Architecture, Platform, Program, SymbolKind

from kscope.target.btf import expressions
from kscope.target.btf.globals import TABLE

_MADE_BY_MACROS = re.compile(
    r"__(bpf_trace|tpstrtab|tracepoint|SCK|event|setup|param|syscall_meta|p_syscall_meta|TRACE"
    r"|UNIQUE|already_done|func|addressable|initcall|kstrtab|key|warned|print_once)_?"
    r"|(TRACE_SYSTEM|event|trace_event|types|args|print_fmt|str__|_kbl_addr"
    r"|security_hook_active)_"
)
_TYPES_MADE_BY_MACROS = re.compile(
    r"[*]?struct (trace_event_call|trace_event_functions|trace_event_class|trace_eval_map"
    r"|syscall_metadata|static_call_key|tracepoint|obs_kernel_param|bpf_raw_event_map"
    r"|device_attribute|kernel_param)$"
    r"|const \[\d+\]char$"
)


def global_types(vmlinux: Path) -> dict[str, str]:
    """Name and type, in the notation of `kscope.target.btf.expressions`, of each global variable.

    A name that several static variables share is left out: nothing tells their symbols apart.
    """
    prog = Program(Platform(Architecture.X86_64))
    module = prog.extra_module(str(vmlinux), create=True)
    module.try_file(vmlinux, force=True)
    symbols = [symbol for symbol in prog.symbols() if symbol.kind == SymbolKind.OBJECT]
    counts = Counter(symbol.name for symbol in symbols)
    per_cpu = range(prog.symbol("__per_cpu_start").address, prog.symbol("__per_cpu_end").address)
    types = {}
    for symbol in symbols:
        name = symbol.name
        if counts[name] > 1 or "." in name or _MADE_BY_MACROS.match(name):
            continue
        if symbol.address in per_cpu:
            continue
        try:
            variable = prog.variable(name)
            if variable.address_ != symbol.address:
                continue
            expression = expressions.write(variable.type_)
        except (LookupError, ValueError):
            continue
        if not _TYPES_MADE_BY_MACROS.match(expression):
            types[name] = expression
    return types


def release(vmlinux: Path) -> str:
    """The release in a kernel's banner, which is what names it in the table."""
    match = re.search(rb"Linux version (\S+) \(", vmlinux.read_bytes())
    if match is None:
        raise SystemExit(f"{vmlinux}: no kernel banner in it")
    return match[1].decode()


def table(references: list[tuple[str, dict[str, str]]]) -> str:
    """The text of the table: see `kscope.target.btf.globals` for how it is read."""
    names = sorted({name for _, types in references for name in types}, key=str.encode)
    lines = ["\t".join(["#", *(reference for reference, _ in references)])]
    for name in names:
        columns: list[str] = []
        for _, types in references:
            expression = types.get(name, "-")
            columns.append("=" if columns and expression == columns[0] else expression)
        lines.append("\t".join([name, *columns]))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the table for the kernels named on the command line."""
    paths = [Path(argument) for argument in sys.argv[1:]]
    if not paths:
        raise SystemExit("usage: python -m kscope.target.btf.generate VMLINUX… (newest first)")
    TABLE.write_text(table([(release(path), global_types(path)) for path in paths]))


if __name__ == "__main__":
    main()
