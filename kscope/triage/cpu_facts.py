"""What rules ask of a CPU: for how long it has not done what every CPU must."""

from kscope.model.cpus import Cpu
from kscope.model.durations import in_words
from kscope.triage.signature import telling

SECOND = 1_000_000_000


def tick_overdue_ns(cpu: Cpu) -> int:
    """How long ago the CPU should have taken its tick; 0 if it is not due or switched off."""
    tick = cpu.health.tick if cpu.health else None
    if tick is None or tick.stopped or tick.next_in_ns is None:
        return 0
    return max(0, -tick.next_in_ns)


def no_interrupts_ns(cpu: Cpu) -> int:
    """How long a CPU at work with interrupts off has surely taken none; 0 of any other.

    Other CPUs may move its runqueue's clock on while they wake tasks for it, so the tick that it
    has not taken says more.
    """
    if not cpu.irqs_off or cpu.panicked:
        return 0
    return max(tick_overdue_ns(cpu), cpu.lag_ns or 0)


def unscheduled_ns(cpu: Cpu) -> int:
    """How long others have been waiting for a CPU that runs an ordinary task.

    Ordinary tasks take turns within milliseconds: one that waits for seconds shows that the CPU
    did not schedule. A real-time task may rightly keep it from them.
    """
    if cpu.runs_realtime or cpu.idle:
        return 0
    return max((task.waiting_ns or 0 for task in cpu.fair), default=0)


def inside(cpu: Cpu) -> list[str]:
    """What it was doing below whatever stopped it, innermost first."""
    stopped = {index for index, segment in enumerate(cpu.segments) if segment.stopped}
    return telling(
        frame.function
        for frame in cpu.backtrace
        if frame.segment not in stopped and frame.stack != "user"
    )


def what_it_does(cpu: Cpu) -> str:
    """In words, for evidence."""
    current = cpu.current
    who = f"runs {current.comm} {current.pid}" if current else "runs an unknown task"
    if current and current.running_ns is not None:
        who += f" for at most {in_words(current.running_ns)}"
    if cpu.softirq:
        who += f", in softirq {cpu.softirq}"
    irqs = {True: "on", False: "off", None: "unknown"}[cpu.irqs_enabled]
    functions = " <- ".join(inside(cpu))
    return f"{who}, interrupts {irqs}" + (f", in {functions}" if functions else "")


def runs(cpu: Cpu) -> str:
    """``comm PID`` for a title; a softirq, with which the task that it interrupted has nothing to
    do."""
    if cpu.softirq:
        return f"softirq {cpu.softirq}"
    return f"{cpu.current.comm} {cpu.current.pid}" if cpu.current else "an unknown task"


def to_blame(cpu: Cpu) -> tuple[int, ...]:
    """The PID of the task that keeps the CPU, if it is a task."""
    return (cpu.current.pid,) if cpu.current and not cpu.softirq else ()
