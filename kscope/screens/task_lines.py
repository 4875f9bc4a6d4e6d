"""What the detail pane shows of one task, as lines: stack, identity, files, memory, threads."""

from collections.abc import Iterable, Iterator, Sequence

from kscope.dialect.layout import date, size
from kscope.model.base import Address, Unreadable, may_be_kernel_address
from kscope.model.durations import in_words
from kscope.model.locks import Lock, Locks
from kscope.model.stacks import Frame, Register, Stack
from kscope.model.task import (
    AddressSpace,
    Credentials,
    Files,
    FrameVariables,
    FrameWords,
    Identity,
    OpenFile,
    TaskName,
    TaskStack,
)
from kscope.model.tasks import UNKNOWN, Task
from kscope.screens.links import AddressLink, CpuLink, LockLink, SymbolLink, TaskLink
from kscope.screens.task_columns import state_role
from kscope.widgets.facts import facts, rule
from kscope.widgets.line import Cell, Line, Span, line
from kscope.widgets.text_view import link

_KINDS = {
    "nmi": "NMI", "irq": "IRQ", "softirq": "softirq", "exception": "exception", "task": "task",
    "user": "user", "unknown": "stack",
}  # fmt: skip


# Stack.


def stack_lines(
    stack: TaskStack, row: Task, locks: Locks | None, cells: int, *, all_symbols: bool
) -> list[Line]:
    """The backtrace, what the task waits for, its user registers, and what else is on its stack.

    :param all_symbols: whether to name functions on the raw stack even if it could be unwound.
    """
    words = {words.frame: words for words in stack.words}
    variables = {found.frame: found for found in stack.variables}
    lines: list[Line] = [
        *_frame_lines(stack.stack, stack.telling, words, variables, cells),
    ]
    if stack.stack.stopped:
        lines.append(line(("     ", ""), (stack.stack.stopped, "warning")))
    if locks is not None:
        waits = list(_wait_lines(locks, row))
        lines += [(), *waits] if waits else []
    user = next((s for s in stack.stack.segments if s.kind == "user"), None)
    if user is not None:
        lines += [(), rule(("user registers", "dim"), cells), *_register_lines(user.registers)]
    if stack.text_symbols and (stack.stack.stopped or all_symbols):
        lines += [(), rule(("functions named on the raw stack", "dim"), cells, ("bt -t", "dim"))]
        for word in stack.text_symbols:
            name = word.symbol.partition(" [")[0]
            symbol, _, offset = name.partition("+")
            target = SymbolLink(symbol, int(offset, 16) if offset else 0)
            lines.append(
                line(
                    Span(str(word.address), "dim", AddressLink(word.address)),
                    "  ",
                    Span(word.symbol, "", target),
                )
            )
    return lines


def _frame_lines(
    stack: Stack,
    telling: Sequence[int],
    words: dict[int, FrameWords],
    variables: dict[int, FrameVariables],
    cells: int,
) -> Iterator[Line]:
    number = index = 0
    several = sum(segment.kind != "user" for segment in stack.segments) > 1
    for position, segment in enumerate(stack.segments):
        if segment.kind == "user":
            break
        if several:
            title = _KINDS[segment.kind]
            yield rule((f"interrupted {title}" if position else title, "dim"), cells)
        for frame in segment.frames:
            yield frame_line(number, frame, telling=index in telling)
            if index in variables:
                yield from _variable_lines(variables[index])
            if index in words:
                yield from _word_lines(words[index])
            number += not frame.inline
            index += 1
        if several and segment.registers and position:
            yield from _register_lines(segment.registers)


def frame_line(number: int, frame: Frame, *, telling: bool) -> Line:
    """``#5 __mutex_lock+0x39d [module]  kernel/locking/mutex.c:747``."""
    name = frame.function or str(frame.address)
    if frame.function and frame.offset:
        name += f"+{frame.offset:#x}"
    role = "strong" if telling else "dim" if frame.inline else ""
    target: object = AddressLink(frame.address)
    if frame.function and not frame.inline:
        target = SymbolLink(frame.function, frame.offset or 0)
    return line(
        (f"{'' if frame.inline else f'#{number}':>3}  ", "dim"),
        Span(name, role, target),
        (" inlined" if frame.inline else "", "dim"),
        (f" [{frame.module}]" if frame.module else "", "dim"),
        (f"  {frame.source}" if frame.source else "", "dim"),
    )


def _variable_lines(found: FrameVariables) -> Iterator[Line]:
    for variable in found.variables:
        if not variable.value:
            value: Cell = ("optimised out", "dim")
        elif variable.target is not None:
            pointed_at = variable.type.removesuffix("*").strip()
            value = link(variable.value, AddressLink(variable.target, pointed_at))
        else:
            value = variable.value
        yield line(
            ("   arg " if variable.parameter else "       ", "dim"),
            (f"{variable.type} ", "dim"), f"{variable.name} ", ("= ", "dim"), value,
        )  # fmt: skip


def _word_lines(words: FrameWords) -> Iterator[Line]:
    for start in range(0, len(words.words), 2):
        at = Address(words.address + 8 * start)
        # Address and two words fit into the pane of a terminal of 120 columns.
        spans: list[Span] = [Span(" "), Span(f"{at}", "dim", AddressLink(at)), Span(" ")]
        for word in words.words[start : start + 2]:
            spans += [Span(" "), *_address(word)]
        yield spans


def _address(value: Address) -> Sequence[Span]:
    """A kernel address is a link, everything else a number."""
    if may_be_kernel_address(value):
        return (Span(str(value), "", AddressLink(value)),)
    return (Span(str(value), "dim"),)


def _register_lines(registers: Sequence[Register]) -> Iterator[Line]:
    order = ("rip", "rsp", "rflags", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r9",
             "r10", "r11", "r12", "r13", "r14", "r15", "orig_rax", "cs", "ss")  # fmt: skip
    values = {register.name: register.value for register in registers}
    names = [name for name in order if name in values]
    names += [name for name in values if name not in order]
    for start in range(0, len(names), 2):
        spans: list[Span] = []
        for name in names[start : start + 2]:
            spans += [Span(f"{name.upper():>8} ", "dim"), *_address(values[name]), Span("  ")]
        yield spans


def _wait_lines(locks: Locks, row: Task) -> Iterator[Line]:
    by_address = {lock.address: lock for lock in locks.locks}
    blocked = next((b for b in locks.blocked if b.task == row.task), None)
    if blocked is not None:
        lock = by_address.get(blocked.lock) if blocked.lock is not None else None
        if lock is not None:
            yield line(("wants ", "dim"), f"{lock.kind} ", _lock(lock), *_owner(lock))
        if blocked.category is not None and (lock is None or blocked.asked is not None):
            yield line(blocked.doing)
    for lock in locks.locks:
        if lock.owner is not None and lock.owner_task == row.task:
            count = len(lock.waiters)
            yield line(
                ("holds ", "dim"), f"{lock.kind} ", _lock(lock),
                (f" wanted by {count} task{'s' if count != 1 else ''}", "dim" if not count else ""),
            )  # fmt: skip


def _lock(lock: Lock) -> Span:
    name = f"{lock.name} {lock.address}" if lock.name else str(lock.address)
    return link(name, LockLink(lock.address))


def _owner(lock: Lock) -> Iterator[Cell]:
    if lock.owner is not None:
        certain = "held by " if lock.owner_certain else "perhaps held by "
        target = TaskLink(lock.owner, lock.owner_task)
        yield (f" {certain}", "dim")
        yield link(f"{lock.owner_comm} {lock.owner}", target)
    elif lock.owner_note:
        yield (f" {lock.owner_note}", "dim")


# Identity.


def identity_lines(row: Task, identity: Identity) -> list[Line]:
    """Who the task is."""
    return [*facts(_identity_rows(row, identity), label_role="dim", gap=2)]


def _identity_rows(row: Task, identity: Identity) -> Iterator[tuple[str, Cell]]:
    yield "task", _kernel(row.task, "struct task_struct")
    yield "stack", _kernel(identity.stack) if identity.stack else ("freed", "dim")
    yield "state", [Span(row.state or UNKNOWN, state_role(row.state)), *_since(row)]
    yield "PID", f"{_shown(row.pid)}, thread group {_shown(row.tgid)}"
    yield "parent", _named(identity.parent)
    if identity.real_parent is not None and identity.real_parent != identity.parent:
        yield "real parent", _named(identity.real_parent)
    if not row.leader:
        yield "group leader", _named(identity.group_leader)
    yield "children", _children(identity.children)
    if identity.start_date_seconds is not None:
        yield "started", date(identity.start_date_seconds)
    if identity.executable:
        yield "executable", identity.executable
    if identity.command_line:
        yield "arguments", " ".join(identity.command_line)
    cpu: list[Span] = [Span("?", "warning")]
    if row.cpu is not None:
        where = {True: "on ", False: "last on ", None: ""}[identity.on_cpu]
        cpu = [Span(where, "dim"), link(f"CPU {row.cpu}", CpuLink(row.cpu))]
    yield "CPU", [*cpu, Span(f"  may run on {identity.cpus_allowed or '?'}", "dim")]
    yield "policy", f"{_shown(row.policy)}, priority {_shown(row.prio)}"
    yield (
        "priorities",
        f"static {_shown(row.static_prio)}, normal {_shown(identity.normal_prio)}, "
        f"real-time {_shown(row.rt_priority)}",
    )
    yield (
        "CPU time",
        f"user {_seconds(identity.utime_ns)}, system {_seconds(identity.stime_ns)}, "
        f"scheduled {_seconds(identity.runtime_ns)}",
    )
    yield (
        "switches",
        f"{_shown(identity.voluntary_switches)} voluntary, "
        f"{_shown(identity.involuntary_switches)} not",
    )
    if identity.in_iowait:
        yield "I/O", ("in iowait", "warning")
    if identity.flags is not None:
        yield "flags", [Span(f"{identity.flags:#x} ", "dim"), Span(" ".join(identity.flag_names))]
    if identity.credentials is not None:
        yield from _credential_rows(identity.credentials)
    for namespace in identity.namespaces or ():
        own: Cell = "" if namespace.initial else (" its own", "warning")
        yield (
            f"{namespace.kind} namespace",
            line(Span(str(namespace.inode), "", AddressLink(namespace.address)), own),
        )
    yield "cgroup", _shown(identity.cgroup)
    if (signals := identity.signals) is not None:
        yield "pending", _signals(signals.pending, "warning")
        yield "shared pending", _signals(signals.shared_pending, "warning")
        yield "blocked", _signals(signals.blocked)
        if not row.kthread:
            yield "ignored", _signals(signals.ignored)
            yield "caught", _signals(signals.caught)


def _kernel(address: Address, type_: str = "") -> Span:
    return link(str(address), AddressLink(address, type_))


def _since(row: Task) -> Iterator[Span]:
    yield Span(f"  last ran {in_words(row.since_last_arrival_ns)} ago", "dim")


def _shown(value: int | str | None) -> str:
    return "?" if value is None else str(value)


def _seconds(nanoseconds: int | None) -> str:
    return "?" if nanoseconds is None else f"{nanoseconds / 1_000_000_000:.3f} s"


def _named(name: TaskName | None) -> Cell:
    if name is None:
        return ("?", "warning")
    return link(f"{_shown(name.comm)} {_shown(name.pid)}", TaskLink(name.pid or 0, name.task))


_MOST_CHILDREN = 12


def _children(children: Sequence[TaskName]) -> Cell:
    if not children:
        return ("none", "dim")
    spans: list[Span] = []
    for child in children[:_MOST_CHILDREN]:
        spans += [*([Span(", ", "dim")] if spans else []), *line(_named(child))]
    if len(children) > _MOST_CHILDREN:
        spans.append(Span(f" and {len(children) - _MOST_CHILDREN} more", "dim"))
    return spans


def _credential_rows(credentials: Credentials) -> Iterator[tuple[str, Cell]]:
    for label, real, others in (
        ("uid", credentials.uid, (credentials.euid, credentials.suid, credentials.fsuid)),
        ("gid", credentials.gid, (credentials.egid, credentials.sgid, credentials.fsgid)),
    ):
        if set(others) == {real}:
            yield label, str(real)
        else:
            yield (
                label,
                f"{real}, effective {others[0]}, saved {others[1]}, file system {others[2]}",
            )
    if credentials.groups:
        yield "groups", " ".join(map(str, credentials.groups))
    yield "capabilities", f"{credentials.cap_effective:016x}"


def _signals(names: Iterable[str], role: str = "") -> Cell:
    text = " ".join(names)
    return (text, role) if text else ("none", "dim")


# Files.


def files_lines(files: Files) -> list[Line]:
    """Working directory, root, and every descriptor."""
    lines = [
        *facts([("root", _shown(files.root)), ("cwd", _shown(files.cwd))], label_role="dim", gap=2),
        (),
    ]
    if not files.descriptors:
        return [*lines, line(("no open files", "dim"))]
    lines.append(line(("  FD TYPE FILE             PATH", "header")))
    lines += [_file_line(file) for file in files.descriptors]
    return lines


def _file_line(file: OpenFile) -> Line:
    kind: Cell = ("?   ", "warning") if file.type is None else f"{file.type or '-':<4}"
    path: Cell = ("unreadable", "warning") if file.path is None else file.path
    return line(
        (f"{file.descriptor:>4} ", "dim"), kind, " ",
        link(str(file.file), AddressLink(file.file, "struct file")), " ", path,
    )  # fmt: skip


# Memory.


def memory_lines(memory: AddressSpace) -> list[Line]:
    """Totals, then every mapping."""

    def amount(value: int | None) -> Cell:
        return ("?", "warning") if value is None else size(value)

    of_rss = " + ".join(
        f"{name} {size(value)}"
        for name, value in (
            ("anonymous", memory.anonymous_bytes),
            ("file", memory.file_bytes),
            ("shared", memory.shared_bytes),
        )
        if value is not None
    )
    rows: list[tuple[str, Cell]] = [
        ("mm", _kernel(memory.mm, "struct mm_struct")),
        ("pgd", _kernel(memory.pgd) if memory.pgd else ("?", "warning")),
        ("resident", line(amount(memory.rss_bytes), (f"  {of_rss}" if of_rss else "", "dim"))),
        ("mapped", amount(memory.vsize_bytes)),
        ("in swap", amount(memory.swap_bytes)),
        ("locked", amount(memory.locked_bytes)),
        ("users", _shown(memory.users)),
    ]
    lines: list[Line] = [*facts(rows, label_role="dim", gap=2), ()]
    lines += facts(
        (
            (
                total.kind,
                line(
                    f"{size(total.size_bytes):>9}",
                    (f"  {total.areas} mapping{'s' if total.areas != 1 else ''}", "dim"),
                ),
            )
            for total in memory.totals
        ),
        label_role="dim",
        gap=2,
    )
    if memory.areas:
        lines += [(), line(("VMA              START        END          PERM NAME", "header"))]
    for area in memory.areas:
        name: Cell = ("?", "warning") if area.name is None else area.name
        lines.append(
            line(
                link(str(area.vma), AddressLink(area.vma, "struct vm_area_struct")),
                (f" {area.start:012x} {area.end:012x} ", "dim"),
                f"{area.permissions} ",
                name,
            )
        )
    return lines


# Threads.


def thread_lines(threads: Sequence[Task]) -> list[Line]:
    """The threads of the group, each a link."""
    lines: list[Line] = [line(("    PID CPU ST      TIME  COMMAND", "header"))]
    for thread in threads:
        lines.append(
            line(
                f"{_shown(thread.pid):>7} {_shown(thread.cpu):>3} ",
                (f"{thread.state or UNKNOWN:<2}", state_role(thread.state)),
                f" {in_words(thread.since_last_arrival_ns):>9}  ",
                link(_shown(thread.comm), TaskLink(thread.pid or 0, thread.task)),
                (" leads the group" if thread.leader else "", "dim"),
            )
        )
    return lines


def unreadable_lines(missing: Iterable[Unreadable]) -> list[Line]:
    """What is not there, and why."""
    return [line((f"{value.what}: ", "dim"), (value.why, "warning")) for value in missing]
