"""CPUs: what every processor was doing, and whether it still could."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from kscope.model.base import Address, Query, Result, Unreadable
from kscope.model.stacks import Frame, Register, StackKind

RegistersFrom = Literal["crash note", "PRSTATUS note", "none"]
"""Where a CPU's registers come from: the note that it wrote itself while the kernel crashed
(``crash_notes``), the dump file's note of that number, or nowhere. What the task that it runs saved
when it was last switched out is older than that and not shown in their place."""


class OnCpu(msgspec.Struct, frozen=True, kw_only=True):
    """The task that a CPU runs."""

    pid: int
    comm: str
    task: Address
    prio: int | None = None
    """The kernel's: 0 to 99 real-time (0 highest), 100 to 139 for nice -20 to 19, below 0 for
    SCHED_DEADLINE."""
    policy: str | None = None
    """One of ``kscope.model.tasks.POLICIES``."""
    last_arrival_ns: int | None = None
    """When it got the CPU, by the clock of this CPU's runqueue; the idle task has no such time."""
    running_ns: int | None = None
    """How long ago that was by the most advanced runqueue clock."""


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """A task (or a scheduler's own entity) on a runqueue."""

    pid: int | None
    comm: str
    task: Address | None
    """``None`` for an entity that is no task: a deadline server."""
    prio: int | None = None
    waiting_ns: int | None = None
    """How long it has been ready to run without running, by the most advanced runqueue clock."""
    current: bool = False
    """Whether it is the one that runs: real-time and deadline queues keep it."""
    delayed: bool = False
    """Whether it sleeps and is queued only until its lag is used up (since Linux 6.12)."""
    vruntime_ns: int | None = None
    deadline_ns: int | None = None
    """Fair tasks: the virtual deadline (EEVDF, since Linux 6.6). Deadline tasks: the absolute
    one, by the runqueue's clock."""
    slice_ns: int | None = None
    vlag_ns: int | None = None


class FairEntity(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the fair class's tree: a task, or a task group with those below it."""

    depth: int
    """0 on the CPU's own queue, 1 in a group there, and so on."""
    current: bool
    vruntime_ns: int | None
    task: Queued | None = None
    group: Address | None = None
    """``struct task_group``."""
    cfs_rq: Address | None = None
    """The group's own queue on this CPU."""
    name: str = ""
    """The group's cgroup."""
    throttled: bool = False
    """Whether the group has used up its quota (``cpu.max``)."""


class Queues(msgspec.Struct, frozen=True, kw_only=True):
    """A runqueue in full. A member is ``None`` where the kernel has none or it is unreadable."""

    cfs_rq: Address | None = None
    fair_tree: Address | None = None
    """The red-black tree of fair tasks, crash's ``CFS RB_ROOT``."""
    rt_array: Address | None = None
    """The array of real-time queues, crash's ``RT PRIO_ARRAY``."""
    root_group: Address | None = None
    stop: Queued | None = None
    """The stop task (migration/N) while it is queued; it goes before all others."""
    rt_throttled: bool | None = None
    """Whether real-time tasks have used up ``sched_rt_runtime_us``. Without RT group scheduling
    that limit is gone since Linux 6.12."""
    rt_time_ns: int | None = None
    rt_runtime_ns: int | None = None
    fair_min_vruntime_ns: int | None = None
    fair_entities: tuple[FairEntity, ...] = ()
    wake_list: tuple[Queued, ...] = ()
    """Tasks that others woke for this CPU and that it has not yet put on its queue."""


class CpuFrame(Frame, frozen=True, kw_only=True):
    """One frame of what a CPU ran."""

    interrupted: bool
    """Whether it was interrupted at ``address``, which is then not a return address."""
    stack: StackKind
    segment: int
    """Which of the segments it belongs to."""
    words: tuple[Address, ...] = ()
    """What the frame holds, from ``sp`` up to the next frame's (``bt -f``)."""


class CpuRegister(Register, frozen=True):
    """One register, and what its value points at."""

    target: str = ""
    """A symbol with offset or a slab object; empty if nothing is known at that address."""


class CpuSegment(msgspec.Struct, frozen=True, kw_only=True):
    """The frames between two interruptions, and the registers at the point of interruption."""

    kind: StackKind
    stopped: bool
    """Whether it is how the crash stopped this CPU, and not what the CPU was doing."""
    registers: tuple[CpuRegister, ...]
    """Of its innermost frame; empty where they were not saved."""
    rflags: int | None
    irqs_enabled: bool | None
    softirq: str = ""
    """The softirq's handler that it is in: on x86-64 these have no stack of their own, but run on
    the IRQ stack (or a task's: ksoftirqd's)."""


class StackWord(msgspec.Struct, frozen=True):
    """One word of a raw stack (``bt -r``)."""

    address: Address
    value: Address
    symbol: str
    """The symbol that the value lies in; empty if in none."""
    offset: int


class Lockup(msgspec.Struct, frozen=True):
    """That a CPU stopped making progress, and for how long it had not."""

    kind: Literal["soft", "hard"]
    """As the kernel's watchdogs call them: nothing else was scheduled, or no interrupt came in."""
    seconds: int
    evidence: str


class Spinning(msgspec.Struct, frozen=True, kw_only=True):
    """What a CPU busily waits for."""

    function: str
    """The function that spins."""
    caller: str
    """Who asked for the lock."""
    what: str
    """``spinlock``, ``read-write lock``, ``mutex owner``, ``other CPUs`` …"""
    lock: Address | None
    """The lock, where it could be told from the registers."""
    name: str
    """The lock's symbol, or what it is part of."""
    cpus: tuple[int, ...] = ()
    """The CPUs that have not handled its call, if it waits for other CPUs."""


class Function(msgspec.Struct, frozen=True):
    """A function by address; the name is empty if no symbol covers it."""

    address: Address
    name: str


class Timer(msgspec.Struct, frozen=True, kw_only=True):
    """One pending timer of the timer wheel or an hrtimer."""

    timer: Address
    expires: int
    """Jiffies for the timer wheel, ns of its own clock for an hrtimer."""
    soft_expires: int | None = None
    """hrtimers: the earliest time at which it may expire."""
    tte: int
    """Time to expiry, in the same unit; negative when overdue."""
    tte_ns: int
    function: Function
    about: str = ""
    """What it is for: the work function, or the task that it will wake."""
    task: Address | None = None
    pid: int | None = None

    @property
    def overdue(self) -> bool:
        """Whether it should already have run."""
        return self.tte < 0


class TimerBase(msgspec.Struct, frozen=True, kw_only=True):
    """One timer wheel, or one clock of the hrtimers."""

    name: str
    """``BASE_STD``; for a clock the function that reads it, ``ktime_get``."""
    base: Address
    now: int
    """Jiffies, or ns of that clock."""
    timers: tuple[Timer, ...]
    unreadable: tuple[Unreadable, ...] = ()
    """What ended the list early: what was found before stands."""


class Timers(msgspec.Struct, frozen=True, kw_only=True):
    """A CPU's pending timers, in the order of expiry."""

    jiffies: int | None
    hz: int | None
    wheels: tuple[TimerBase, ...]
    hrtimer_base: Address | None
    """``struct hrtimer_cpu_base``."""
    clocks: tuple[TimerBase, ...]
    expires_next_ns: int | None = None
    """When the CPU's clock event device is set to interrupt it next."""
    hang_detected: bool | None = None
    """Whether hrtimer interrupts took so long that the kernel gave up for a while."""
    nr_hangs: int | None = None


class Watchdog(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernel's own lockup detectors knew about a CPU."""

    threshold_seconds: int | None
    """``kernel.watchdog_thresh``: hard lockups after this, soft lockups after twice as long."""
    softlockup_enabled: bool | None
    touched_seconds: int | None
    """The stamp of the last time that the watchdog was scheduled on this CPU, 0 if it never was;
    the unit is 2^30 ns."""
    touched_ago_ns: int | None
    """How long before the most advanced runqueue clock that was, to the stamp's second."""
    hardlockup_detector: str | None
    """``perf`` (non-maskable, by the performance counters), ``buddy`` (the next CPU looks, since
    Linux 6.5), or ``none``."""
    hrtimer_interrupts: int | None
    """How often the watchdog's timer ran."""
    hrtimer_interrupts_saved: int | None
    """That count when the hard-lockup detector last looked: if it is still the same the next
    time, the CPU is locked up."""
    hardlockup_warned: bool | None


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """The scheduler's tick on a CPU."""

    stopped: bool | None
    """Whether the CPU had switched it off, as an idle one does."""
    last_ago_ns: int | None
    """How long ago the last tick was handled, by the coarse monotonic clock."""
    next_in_ns: int | None
    """When the next one is due; negative when it is overdue."""


class Rcu(msgspec.Struct, frozen=True, kw_only=True):
    """RCU as this CPU takes part in it."""

    gp_seq: int | None
    """The grace period of the whole system, counted as the kernel's messages count
    (``gp_seq``, its two low bits are the state)."""
    in_progress: bool | None
    gp_age_ns: int | None
    """How long that grace period has been in progress."""
    holds_up: bool | None
    """Whether the grace period still waits for this very CPU to pass a quiescent state."""
    ticks_this_gp: int | None
    """Ticks that this CPU has had since it learnt of the grace period."""
    callbacks: int | None
    """Callbacks queued on this CPU."""


class Ipi(msgspec.Struct, frozen=True, kw_only=True):
    """A cross-CPU call that this CPU was asked for and has not yet handled."""

    kind: Literal["call", "call, sender waits", "irq work", "wakeup"]
    address: Address
    function: Function | None
    """``None`` for a wakeup."""
    task: Queued | None = None
    """Whom a wakeup is for."""
    from_cpu: int | None = None
    """Who asked, if that can be told: a sender that does not wait leaves no trace of itself."""


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker of a pool that is in the midst of a work item."""

    pid: int
    comm: str
    task: Address
    function: Function
    work: Address
    since_last_arrival_ns: int | None
    """How long ago it last got a CPU: it runs, or has been blocked for at most that long."""


class WorkPool(msgspec.Struct, frozen=True, kw_only=True):
    """One of a CPU's worker pools."""

    id: int
    pool: Address
    nice: int | None
    workers: int | None
    idle_workers: int | None
    nr_running: int | None
    pending: tuple[Function, ...]
    """Functions of the work items that wait for a worker, first in line first."""
    busy: tuple[Worker, ...]
    stalled_ns: int | None
    """How long ago the pool last made progress, if work is pending; ``None`` if none is."""
    stuck: bool
    """Whether that is longer than the workqueue watchdog allows (30 s unless set)."""
    unreadable: tuple[Unreadable, ...] = ()


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the CPU still did what every CPU must: ticks, quiescent states, IPIs, work."""

    watchdog: Watchdog
    tick: Tick
    rcu: Rcu
    ipis: tuple[Ipi, ...]
    current_csd: Function | None
    """The cross-CPU call that it is executing; known only with CONFIG_CSD_LOCK_WAIT_DEBUG."""
    pools: tuple[WorkPool, ...]


class Cpu(msgspec.Struct, frozen=True, kw_only=True):
    """One CPU. A member is ``None`` where it could not be read; ``unreadable`` says why."""

    cpu: int
    online: bool | None
    active: bool | None
    """Whether the scheduler may use it."""
    idle: bool | None
    """Whether it runs its idle task."""
    current: OnCpu | None
    runqueue: Address | None
    nr_running: int | None
    clock_ns: int | None
    """The runqueue's clock, which every tick and every switch move on."""
    lag_ns: int | None
    """How far that is behind the most advanced CPU's (``runq -T``). An idle CPU whose tick is
    stopped lags without harm."""
    tick_ago_ns: int | None
    """How long ago it last handled a tick; ``None`` while its tick is stopped, as when it idles."""
    irqs_enabled: bool | None
    """Whether what it ran had interrupts on: from RFLAGS where it was interrupted, never from the
    handler that stopped it or that of an interrupt, which run with interrupts off by themselves.
    ``None`` where it cannot be known, as on a CPU that called panic() from a system call."""
    interrupt: str
    """The interrupt whose handler it was in, such as ``sysvec_apic_timer_interrupt``; empty if it
    was in none."""
    softirq: str = ""
    """The softirq whose handler it was in, such as ``run_timer_softirq``; empty if it was in none.
    These run with interrupts on, after an interrupt's handler or in ksoftirqd."""
    panicked: bool
    """Whether the kernel panicked on it."""
    registers: RegistersFrom
    registers_note: str
    """What is wrong with them: missing, or misnumbered in the dump file."""
    lockup: Lockup | None
    spinning: Spinning | None
    rt: tuple[Queued, ...]
    """Real-time tasks on its queue, the current one included, as crash's ``runq`` lists them."""
    fair: tuple[Queued, ...]
    """Fair tasks on its queue, the current one not included."""
    dl: tuple[Queued, ...]
    """Deadline tasks and servers on its queue, the current one included."""
    backtrace: tuple[CpuFrame, ...] = ()
    segments: tuple[CpuSegment, ...] = ()
    raw_stack: tuple[StackWord, ...] = ()
    queues: Queues | None = None
    timers: Timers | None = None
    health: Health | None = None
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def stopped(self) -> bool:
        """Whether panic() stopped it, which takes a CPU off the online ones while it is active."""
        return self.online is False and self.active is True

    @property
    def offline(self) -> bool:
        """Whether it was offline before anything stopped it."""
        return self.online is False and not self.stopped

    @property
    def busy(self) -> bool:
        """Whether it did anything else than idle, as far as can be told."""
        return not self.offline and (self.idle is not True or bool(self.softirq))

    @property
    def runs_realtime(self) -> bool:
        """Whether it runs a task of a real-time or deadline policy."""
        prio = self.current.prio if self.current else None
        return not self.idle and prio is not None and prio < 100

    @property
    def irqs_off(self) -> bool:
        """Whether interrupts were off on a CPU that was at work.

        An idle one may wait in MWAIT with interrupts off: they wake it all the same.
        """
        return self.irqs_enabled is False and (not self.idle or bool(self.softirq))


class Cpus(Result, frozen=True, kw_only=True):
    """The CPUs that were asked for, by number."""

    cpus: tuple[Cpu, ...]
    possible: int
    online: int | None
    clock_ns: int | None
    """The most advanced runqueue clock, of which CPU."""
    clock_cpu: int | None
    panic_cpu: int | None
    watchdog_threshold_seconds: int | None
    unreadable: tuple[Unreadable, ...] = ()


class CpusQuery(Query[Cpus], frozen=True, kw_only=True):
    """What every possible CPU was doing."""

    cpu: Annotated[str, Meta(description="only these CPUs: 0,2-3")] = ""
    busy: Annotated[bool, Meta(description="only CPUs that did not idle")] = False
    backtrace: Annotated[bool, Meta(description="what each ran, by stacks (bt -a)")] = False
    full: Annotated[bool, Meta(description="with each frame's words (bt -f)")] = False
    raw: Annotated[bool, Meta(description="the current task's whole stack (bt -r)")] = False
    runqueue: Annotated[bool, Meta(description="tasks on the runqueue (runq, runq -g)")] = False
    timers: Annotated[bool, Meta(description="pending timers (timer, timer -r)")] = False
    watchdog: Annotated[
        bool, Meta(description="lockup detectors, tick, RCU, IPIs and work pools")
    ] = False


# States.

STATES = {
    "P": "panic",
    "H": "hard lockup",
    "L": "soft lockup",
    "S": "spinning",
    "X": "interrupts off",
    "T": "in interrupt",
    "R": "real-time",
    "B": "busy",
    "I": "idle",
    "O": "offline",
    "?": "unknown",
}
"""What a CPU is shown as, the most telling first."""


def state_of(cpu: Cpu) -> str:
    """The letter of ``STATES`` for a CPU."""
    if cpu.panicked:
        return "P"
    if cpu.offline:
        return "O"
    if cpu.lockup is not None:
        return "H" if cpu.lockup.kind == "hard" else "L"
    if cpu.spinning is not None:
        return "S"
    if cpu.irqs_off:
        return "X"
    if cpu.idle is None:
        return "?"
    if cpu.interrupt or cpu.softirq:
        return "T"
    if cpu.idle:
        return "I"
    return "R" if cpu.runs_realtime else "B"


def lags(cpu: Cpu, threshold_seconds: int | None) -> bool:
    """Whether a CPU's runqueue clock stands still although the CPU has work or should be online."""
    if cpu.lag_ns is None or cpu.idle or cpu.offline:
        return False
    return cpu.lag_ns > (threshold_seconds or 10) * 1_000_000_000


# x86 flags register.

_FLAGS = {
    0: "CF", 2: "PF", 4: "AF", 6: "ZF", 7: "SF", 8: "TF", 9: "IF", 10: "DF", 11: "OF", 14: "NT",
    16: "RF", 17: "VM", 18: "AC", 19: "VIF", 20: "VIP", 21: "ID",
}  # fmt: skip
INTERRUPT_FLAG = 1 << 9


def rflags_names(rflags: int) -> tuple[str, ...]:
    """The flags that are set in an x86 RFLAGS, ``IF`` among them when interrupts were on."""
    names = [name for bit, name in _FLAGS.items() if rflags >> bit & 1]
    if level := rflags >> 12 & 3:
        names.append(f"IOPL={level}")
    return tuple(names)
