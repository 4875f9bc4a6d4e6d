"""One task, as crash's ``bt``, ``files``, ``vm`` and ``ps -g``."""

from collections.abc import Iterator

from kscope.dialect.layout import date, facts, size
from kscope.dialect.stacks import backtrace
from kscope.dialect.tasks import title
from kscope.dialect.views import Equivalent
from kscope.model.base import Address
from kscope.model.task import (
    AddressSpace,
    Credentials,
    Files,
    Identity,
    TaskDetail,
    TaskName,
    TaskQuery,
    TaskStack,
)
from kscope.model.tasks import Task, parse_task

QUERY = TaskQuery


def equivalent(query: TaskQuery) -> Equivalent:
    """The command for the section that is shown; for several, one after the other."""
    name = query.task.strip().removeprefix("0x")
    commands: list[str] = []
    code: list[str] = []
    notes: list[str] = []
    nothing_named = not any(
        (query.stack, query.raw, query.variables, query.symbols, query.identity, query.files,
         query.vm, query.threads)
    )  # fmt: skip
    if query.stack or query.raw or query.variables or nothing_named:
        commands.append(f"bt -f {name}" if query.raw else f"bt {name}")
        code.append("from drgn.helpers.linux.stack import kernel_stack_trace\n")
        code.append("print(kernel_stack_trace(task))\n")
        if query.variables:
            notes.append("crash does not show variables")
            code.append(
                "for frame in prog.stack_trace(task):\n"
                "    for name in frame.locals():\n"
                "        print(frame.name, name, frame[name])\n"
            )
    if query.symbols:
        commands.append(f"bt -t {name}")
        code.append(
            "from drgn.helpers.common.memory import print_annotated_memory\n"
            "end = task.stack.value_() + prog['THREAD_SIZE'].value_()\n"
            "start = task.thread.sp.value_()\n"
            "print_annotated_memory(prog, start, end - start)\n"
        )
    if query.identity or nothing_named:
        commands.append(f"task -R parent,cred,nsproxy,flags,signal {name}")
        notes.append("crash shows the members, not what they mean")
        code.append(
            "print(task.cred[0])\nprint(task.nsproxy[0])\n"
            "print(hex(task.parent), task.parent.pid.value_(), task.parent.comm.string_())\n"
        )
    if query.files:
        commands.append(f"files {name}")
        code.append("from drgn.helpers.linux.fs import print_files\nprint_files(task)\n")
    if query.vm:
        commands.append(f"vm {name}")
        code.append(
            "from drgn.helpers.linux.mm import for_each_vma, vma_name\n"
            "for vma in for_each_vma(task.mm):\n"
            "    print(hex(vma.vm_start), hex(vma.vm_end), hex(vma.vm_flags), vma_name(vma))\n"
        )
    if query.threads:
        commands.append(f"ps -g {name}")
        code.append(
            "from drgn.helpers.linux.pid import for_each_task_in_group\n"
            "for thread in for_each_task_in_group(task, include_self=True):\n"
            "    print(thread.pid.value_(), thread.comm.string_())\n"
        )
    return Equivalent("; ".join(commands), _drgn_task(query) + "".join(code), "; ".join(notes))


def _drgn_task(query: TaskQuery) -> str:
    wanted = parse_task(query.task)
    if isinstance(wanted, Address):
        return (
            f'from drgn import Object\ntask = Object(prog, "struct task_struct *", {wanted:#x})\n'
        )
    return f"from drgn.helpers.linux.pid import find_task\ntask = find_task(prog, {wanted})\n"


def text(query: TaskQuery, result: TaskDetail) -> str:  # noqa: ARG001
    """The sections that were asked for, one below the other."""
    row = result.row
    parts = [title(row)]
    if result.stack is not None:
        parts[0] += "\n" + "\n".join(_stack(result.stack))
    if result.identity is not None:
        parts.append(facts(identity_facts(row, result.identity)))
    if result.files is not None:
        parts.append("\n".join(_files(result.files)))
    if result.memory is not None:
        parts.append("\n".join(_memory(result.memory)))
    if result.threads is not None:
        parts.append("\n".join("  " + title(thread) for thread in result.threads))
    if result.unreadable:
        parts.append("UNREADABLE\n" + "\n".join(f"  {u.what}: {u.why}" for u in result.unreadable))
    return "\n\n".join(parts)


def _stack(stack: TaskStack) -> Iterator[str]:
    below: dict[int, list[str]] = {}
    for words in stack.words:
        lines = below.setdefault(words.frame, [])
        for start in range(0, len(words.words), 2):
            pair = " ".join(str(word) for word in words.words[start : start + 2])
            lines.append(f"    {words.address + 8 * start:016x}: {pair} ")
    for frame in stack.variables:
        below.setdefault(frame.frame, []).extend(
            f"        {v.type} {v.name} = {v.value or '<optimised out>'}" for v in frame.variables
        )
    yield from backtrace(stack.stack, {index: tuple(lines) for index, lines in below.items()})
    if stack.text_symbols:
        yield ""
        for word in stack.text_symbols:
            yield f"  [{word.address}] {word.symbol} at {word.value}"


def identity_facts(row: Task, identity: Identity) -> list[tuple[str, str]]:
    """Labels and values of what is known."""
    rows: list[tuple[str, str]] = []

    def add(label: str, value: object) -> None:
        if value not in (None, "", ()):
            rows.append((label, str(value)))

    add("STATE", row.state)
    add("FLAGS", f"{identity.flags or 0:#x} {' '.join(identity.flag_names)}".strip())
    add("PARENT", _named(identity.parent))
    if identity.real_parent is not None and identity.real_parent != identity.parent:
        add("REAL PARENT", _named(identity.real_parent))
    if not row.leader:
        add("GROUP LEADER", _named(identity.group_leader))
    add("CHILDREN", ", ".join(_named(child) for child in identity.children))
    if identity.start_date_seconds is not None:
        add("STARTED", date(identity.start_date_seconds))
    add("EXECUTABLE", identity.executable)
    add("ARGUMENTS", " ".join(identity.command_line) if identity.command_line else "")
    add("POLICY", row.policy)
    add("PRIORITY", f"{row.prio} (static {row.static_prio}, real-time {row.rt_priority})")
    add("CPUS ALLOWED", identity.cpus_allowed)
    add("LAST CPU", row.cpu)
    add("ON CPU", {True: "yes", False: "no", None: None}[identity.on_cpu])
    for label, nanoseconds in (
        ("USER TIME", identity.utime_ns),
        ("SYSTEM TIME", identity.stime_ns),
        ("RUN TIME", identity.runtime_ns),
    ):
        if nanoseconds is not None:
            add(label, f"{nanoseconds / 1_000_000_000:.6f} s")
    if identity.voluntary_switches is not None:
        add(
            "SWITCHES",
            f"{identity.voluntary_switches} voluntary, {identity.involuntary_switches} not",
        )
    if identity.in_iowait:
        add("IN IOWAIT", "yes")
    if identity.credentials is not None:
        rows.extend(_credentials(identity.credentials))
    add(
        "NAMESPACES",
        " ".join(
            f"{n.kind}:[{n.inode}]{'' if n.initial else '*'}" for n in identity.namespaces or ()
        ),
    )
    add("CGROUP", identity.cgroup)
    if (signals := identity.signals) is not None:
        add("PENDING", " ".join(signals.pending) or "none")
        add("SHARED PENDING", " ".join(signals.shared_pending) or "none")
        add("BLOCKED", " ".join(signals.blocked))
        if not row.kthread:
            add("IGNORED", " ".join(signals.ignored))
            add("CAUGHT", " ".join(signals.caught))
    add("STACK", identity.stack)
    return rows


def _credentials(credentials: Credentials) -> Iterator[tuple[str, str]]:
    yield (
        "UID",
        f"{credentials.uid} effective {credentials.euid} saved {credentials.suid}"
        f" file system {credentials.fsuid}",
    )
    yield (
        "GID",
        f"{credentials.gid} effective {credentials.egid} saved {credentials.sgid}"
        f" file system {credentials.fsgid}",
    )
    if credentials.groups:
        yield "GROUPS", " ".join(map(str, credentials.groups))
    yield "CAPABILITIES", f"{credentials.cap_effective:016x}"


def _named(name: TaskName | None) -> str:
    return "" if name is None else f"{name.pid} {name.comm} ({name.task})"


_FILE_HEADER = " FD       FILE            DENTRY           INODE       TYPE PATH"


def _files(files: Files) -> Iterator[str]:
    yield f"ROOT: {files.root or '?'}    CWD: {files.cwd or '?'}"
    if not files.descriptors:
        yield "No open files"
        return
    yield _FILE_HEADER
    for file in files.descriptors:
        addresses = " ".join(_or_unknown(a) for a in (file.file, file.dentry, file.inode))
        kind = "?" if file.type is None else file.type or "UNKN"
        path = "?" if file.path is None else file.path
        yield f"{file.descriptor:>3} {addresses} {kind:<4} {path}".rstrip()
    for file in files.descriptors:
        for value in file.unreadable:
            yield f"    ({file.descriptor}: {value.what}: {value.why})"


def _or_unknown(address: Address | None) -> str:
    return f"{'?':>16}" if address is None else str(address)


def _memory(memory: AddressSpace) -> Iterator[str]:
    yield "       MM               PGD          RSS    TOTAL_VM"
    rss = "?" if memory.rss_bytes is None else f"{memory.rss_bytes // 1024}k"
    total = "?" if memory.vsize_bytes is None else f"{memory.vsize_bytes // 1024}k"
    yield f"{memory.mm}  {_or_unknown(memory.pgd)}  {rss:<6} {total:>6}"
    yield "      VMA           START       END     FLAGS FILE"
    for area in memory.areas:
        name = "?" if area.name is None else area.name
        yield f"{area.vma} {area.start:>10x} {area.end:>10x} {area.flags:x} {name}".rstrip()
    yield ""
    for kind in memory.totals:
        yield f"{kind.kind:>12}: {kind.areas:>5} mappings {size(kind.size_bytes):>10}"
