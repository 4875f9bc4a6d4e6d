"""Stacks, as crash's ``bt``: a group of tasks with the same one is shown once."""

from collections.abc import Iterable, Iterator, Sequence

from kscope.dialect.tasks import drgn_conditions, drgn_imports, elapsed
from kscope.dialect.views import Equivalent
from kscope.model.stacks import Frame, Register, Segment, Stack, StackGroup, Stacks, StacksQuery
from kscope.model.tasks import UNKNOWN, TasksQuery, known_names

QUERY = StacksQuery

_MOST_TASKS = 20
"""Named of one group in text; JSON names all."""


def equivalent(query: StacksQuery) -> Equivalent:
    """``foreach … bt``, which shows every task's stack."""
    notes = ["crash shows every task by itself"]
    selectors = query.only.replace(",", " ").split()
    states = known_names(query.state)
    if len(states) == 1:
        selectors += states
    elif states:
        notes.append("foreach takes one state at a time")
    if UNKNOWN in query.state:
        notes.append("crash cannot select what is unreadable")
    if query.kthreads:
        selectors.append("kernel")
    if query.user:
        selectors.append("user")
    if query.leaders:
        selectors.append("gleader")
    if query.policy or query.cpu or query.longer_than:
        notes.append("foreach cannot select by policy, CPU or time")
    if query.match:
        notes.append("foreach selects commands only: foreach 'REGEX' bt")
    crash = " ".join(["foreach", *selectors, "bt"])
    return Equivalent(crash, _drgn_code(query), "; ".join(notes))


def _drgn_code(query: StacksQuery) -> str:
    conditions = drgn_conditions(
        TasksQuery(
            state=query.state, policy=query.policy, kthreads=query.kthreads, user=query.user,
            leaders=query.leaders, cpu=query.cpu, longer_than=query.longer_than,
            match=query.match, only=query.only,
        )
    )  # fmt: skip
    return (
        "from collections import defaultdict\n\nfrom drgn import FaultError\n"
        + drgn_imports()
        + "\ntasks = [idle_task(prog, cpu) for cpu in for_each_possible_cpu(prog)]\n"
        "tasks += for_each_task(prog)\n"
        + (f"tasks = [task for task in tasks if {conditions}]\n" if conditions else "")
        + "groups = defaultdict(list)\n"
        "for task in tasks:\n"
        "    try:\n"
        "        frames = [frame for frame in prog.stack_trace(task) if not frame.is_inline]\n"
        "        pcs = tuple(frame.pc for frame in frames if frame.pc >> 63)\n"
        "    except (LookupError, ValueError, FaultError):\n"
        "        pcs = ()\n"
        "    groups[task_state_to_char(task), pcs].append(task)\n"
        "for (state, pcs), members in sorted(groups.items(), key=lambda item: -len(item[1])):\n"
        "    print(len(members), state, [task.pid.value_() for task in members])\n"
        "    if pcs:\n"
        "        print(prog.stack_trace(members[0]))\n"
    )


def text(query: StacksQuery, result: Stacks) -> str:  # noqa: ARG001
    """Each group: how many, their state and the longest time, who they are, and their stack."""
    parts = ["\n".join(_group(group)) for group in result.groups]
    parts += [f"UNREADABLE\n  {value.what}: {value.why}" for value in result.unreadable]
    return "\n\n".join(parts)


def _group(group: StackGroup) -> Iterator[str]:
    yield (
        f"COUNT: {group.count:<6} STATE: {group.state}  "
        f"LONGEST: [{elapsed(group.longest_since_last_arrival_ns)}]  "
        f"{' <- '.join(group.summary)}"
    ).rstrip()
    members = zip(
        group.tasks, group.addresses, group.comms, group.since_last_arrival_ns, strict=True
    )
    for (pid, address, comm, since), _ in zip(members, range(_MOST_TASKS), strict=False):
        yield (
            f"  [{elapsed(since)}]  PID: {_shown(pid):<7}  TASK: {address}  "
            f'COMMAND: "{_shown(comm)}"'
        )
    if group.count > _MOST_TASKS:
        yield f"  and {group.count - _MOST_TASKS} more"
    number = 0
    for frame in group.frames:
        if frame.inline:
            yield f"     {frame.function} (inlined)" + _source(frame)
        else:
            yield (
                f"{f'#{number}':>3} {_name(frame)} at {frame.address:x}{_module(frame)}"
                + _source(frame)
            )
            number += 1
    if group.stopped:
        yield f"    ({group.stopped})"


def _shown(value: int | str | None) -> str:
    return "?" if value is None else str(value)


def _name(frame: Frame) -> str:
    return frame.function or "(unknown)"


def _module(frame: Frame) -> str:
    return f" [{frame.module}]" if frame.module else ""


def _source(frame: Frame) -> str:
    return f"\n     {frame.source}" if frame.source else ""


# One task's stack.


def backtrace(stack: Stack, words: dict[int, Sequence[str]] | None = None) -> Iterator[str]:
    """``bt -l``: the frames, with source lines where they are known.

    :param words: lines to put below frames, by index into ``stack.frames``.
    """
    number = index = 0
    before: Segment | None = None
    for segment in stack.segments:
        if segment.kind == "user":
            yield from register_lines(segment.registers)
            break
        if before is not None:
            interrupted = next((frame for frame in segment.frames if not frame.inline), None)
            if interrupted is not None:
                offset = "" if interrupted.offset is None else f"+{interrupted.offset}"
                yield f"    [exception RIP: {_name(interrupted)}{offset}]"
            yield from register_lines(segment.registers)
            if before.kind != segment.kind:
                yield f"--- <{before.kind.upper()} stack> ---"
        for frame in segment.frames:
            if frame.inline:
                yield f"{'':22} {frame.function} (inlined)"
            else:
                yield frame_line(number, frame, interrupted=frame is segment.frames[0])
                number += 1
            if frame.source:
                yield "    " + frame.source.replace(":", ": ")
            yield from (words or {}).get(index, ())
            index += 1
        before = segment
    if stack.stopped:
        yield f"    ({stack.stopped})"


def frame_line(number: int, frame: Frame, *, interrupted: bool) -> str:
    """`` #4 [ffffd25c802eba30] storlab_take_mutex at ffffffffc03b260a [storlab]``."""
    where = "?" * 16
    if frame.sp is not None:
        # crash shows where the return address lies.
        where = f"{frame.sp if interrupted and number else frame.sp - 8:016x}"
    return f"{f'#{number}':>3} [{where}] {_name(frame)} at {frame.address:x}{_module(frame)}"


_REGISTER_ROWS = (
    ("rip", "rsp", "rflags"), ("rax", "rbx", "rcx"), ("rdx", "rsi", "rdi"), ("rbp", "r8", "r9"),
    ("r10", "r11", "r12"), ("r13", "r14", "r15"), ("orig_rax", "cs", "ss"),
)  # fmt: skip
_DIGITS = {"rflags": 8, "cs": 4, "ss": 4}


def register_lines(registers: Iterable[Register]) -> Iterator[str]:
    """Registers, three a line, in crash's order."""
    values = {register.name: register.value for register in registers}
    for row in _REGISTER_ROWS:
        known = [
            f"{name.upper():>{2 if name in ('cs', 'ss') else 3}}: "
            f"{values[name]:0{_DIGITS.get(name, 16)}x}"
            for name in row
            if name in values
        ]
        if known:
            yield "    " + "  ".join(known)
