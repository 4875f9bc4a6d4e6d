"""Lockup detectors, tick, RCU, IPIs and work pools of a CPU: of crash's commands only ``p`` shows
what they are read from."""

from collections.abc import Iterator

from kscope.model.cpus import Cpu, Health, WorkPool
from kscope.model.durations import in_words

DRGN = """\
from drgn.helpers.linux.percpu import per_cpu

for cpu in CPUS:
    for name in (
        "watchdog_touch_ts", "watchdog_report_ts", "hrtimer_interrupts", "hrtimer_interrupts_saved",
        "tick_cpu_sched", "rcu_data", "call_single_queue",
    ):
        print(cpu, name, per_cpu(prog[name], cpu))
"""


def health(cpu: Cpu) -> str:
    """What each CPU must do, and when this one last did."""
    found = cpu.health
    if found is None:
        return f"CPU {cpu.cpu}"
    rows = [*watchdog_facts(found), *rcu_facts(found), *ipi_facts(found), *pool_facts(found)]
    width = max(len(label) for label, _, _ in rows)
    return f"CPU {cpu.cpu}\n" + "\n".join(
        f"  {label:<{width}}  {value}" for label, value, _ in rows
    )


Fact = tuple[str, str, str]
"""A label, its value, and how bad that is: ``critical``, ``warning``, or nothing."""


def watchdog_facts(found: Health) -> Iterator[Fact]:
    """The lockup detectors and the tick."""
    dog, tick = found.watchdog, found.tick
    if dog.softlockup_enabled is False:
        yield "softlockup", "the detector is switched off", "warning"
    elif dog.touched_ago_ns is not None:
        limit = 2 * (dog.threshold_seconds or 10)
        late = dog.touched_ago_ns > limit * 10**9
        yield (
            "softlockup touched",
            f"{in_words(dog.touched_ago_ns)} ago, threshold {limit} s",
            "critical" if late else "",
        )
    elif dog.touched_seconds == 0:
        yield "softlockup touched", "not yet: its watchdog has never been scheduled", ""
    if dog.hardlockup_detector is not None:
        detector = {"none": "none active", "perf": "performance counters"}.get(
            dog.hardlockup_detector, dog.hardlockup_detector
        )
        yield "hardlockup detector", detector, ""
    if dog.hrtimer_interrupts is not None:
        saved = dog.hrtimer_interrupts_saved
        known = f", {saved} when the detector last looked" if saved else ""
        yield "watchdog timer", f"ran {_times(dog.hrtimer_interrupts)}{known}", ""
    if dog.hardlockup_warned:
        yield "hardlockup", "reported by the detector", "critical"
    if tick.stopped:
        ago = "" if tick.last_ago_ns is None else f", last {in_words(tick.last_ago_ns)} ago"
        yield "tick", f"stopped{ago}", ""
    elif tick.last_ago_ns is not None:
        late = tick.next_in_ns is not None and tick.next_in_ns < -(10**9)
        overdue = f", overdue for {in_words(-tick.next_in_ns)}" if late and tick.next_in_ns else ""
        yield (
            "tick",
            f"last {in_words(tick.last_ago_ns)} ago{overdue}",
            "critical" if late else "",
        )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def rcu_facts(found: Health) -> Iterator[Fact]:
    """RCU's grace period and this CPU's part in it."""
    rcu = found.rcu
    if rcu.gp_seq is None:
        return
    if not rcu.in_progress:
        yield "RCU", "no grace period in progress", ""
    else:
        age = "" if rcu.gp_age_ns is None else f", {in_words(rcu.gp_age_ns)} old"
        if rcu.holds_up:
            ticks = f", {rcu.ticks_this_gp} ticks here" if rcu.ticks_this_gp is not None else ""
            old = rcu.gp_age_ns is not None and rcu.gp_age_ns > 10**9
            yield (
                "RCU",
                f"holds up grace period {rcu.gp_seq}{age}{ticks}",
                "warning" if old else "",
            )
        else:
            yield "RCU", f"grace period {rcu.gp_seq}{age}, not waiting for this CPU", ""
    if rcu.callbacks:
        yield "RCU callbacks", str(rcu.callbacks), ""


def ipi_facts(found: Health) -> Iterator[Fact]:
    """Cross-CPU calls that wait."""
    if found.current_csd is not None:
        yield "IPI handled", found.current_csd.name or str(found.current_csd.address), ""
    if not found.ipis:
        yield "IPIs pending", "none", ""
    for number, ipi in enumerate(found.ipis):
        what: str = ipi.kind
        if ipi.function is not None:
            what = f"{ipi.function.name or ipi.function.address} ({ipi.kind})"
        elif ipi.task is not None:
            what = f"wakeup of {ipi.task.comm} {ipi.task.pid}"
        sender = "" if ipi.from_cpu is None else f" from CPU {ipi.from_cpu}"
        yield "IPIs pending" if not number else "", what + sender, "warning"


def pool_facts(found: Health) -> Iterator[Fact]:
    """Work that waits and work that is being done; pools without either are left out."""
    for pool in found.pools:
        label = f"work pool {pool.id}"
        for worker in pool.busy:
            for_ns = worker.since_last_arrival_ns
            ago = "" if for_ns is None else f", last on a CPU {in_words(for_ns)} ago"
            name = worker.function.name or worker.function.address
            yield label, f"{worker.comm} {worker.pid} does {name}{ago}", ""
            label = ""
        if pool.pending:
            names = ", ".join(f.name or str(f.address) for f in pool.pending[:PENDING_SHOWN])
            more = len(pool.pending) - PENDING_SHOWN
            rest = f" and {more} more" if more > 0 else ""
            yield label, f"{pending_words(pool)}: {names}{rest}", "critical" if pool.stuck else ""


PENDING_SHOWN = 4
"""Functions that are named of those that wait in a pool."""


def pending_words(pool: WorkPool) -> str:
    """How much work waits in a pool, and how long nothing has happened there."""
    stalled = "" if pool.stalled_ns is None else f", no progress for {in_words(pool.stalled_ns)}"
    return f"{'stuck: ' if pool.stuck else ''}{len(pool.pending)} pending{stalled}"
