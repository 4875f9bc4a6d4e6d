"""A CPU's timers, as crash's ``timer`` and ``timer -r``."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from kscope.model.cpus import Cpu, Function, Timer, TimerBase

DRGN = """\
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns, ktime_to_ns
from drgn.helpers.linux.timer import hrtimer_clock_base_for_each, timer_base_for_each

jiffies = prog["jiffies"].value_()
now = ktime_get_coarse_ns(prog).value_()
for cpu in CPUS:
    for base in per_cpu(prog["timer_bases"], cpu):
        for timer in timer_base_for_each(base.address_of_()):
            print(cpu, timer.expires.value_() - jiffies, hex(timer), timer.function)
    for clock in per_cpu(prog["hrtimer_bases"], cpu).clock_base:
        for timer in hrtimer_clock_base_for_each(clock.address_of_()):
            expires = ktime_to_ns(timer.node.expires) - ktime_to_ns(clock.offset)
            print(cpu, (expires.value_() - now) / 1e9, hex(timer), timer.function)
"""


def wheels(cpus: Iterable[Cpu]) -> str:
    """``timer``."""
    lines: list[str] = []
    for cpu in cpus:
        if cpu.timers is None:
            continue
        if not lines:
            jiffies = "(unreadable)" if cpu.timers.jiffies is None else str(cpu.timers.jiffies)
            lines += ["JIFFIES   ", jiffies]
        lines.append("")
        for base in cpu.timers.wheels:
            lines.append(f"TIMER_BASES[{cpu.cpu}][{base.name}]: {base.base:x}")
            lines += _timer_table(("EXPIRES", "TTE", "TIMER_LIST", "FUNCTION"), base, _wheel_row)
    return "\n".join(lines)


def hrtimers(cpu: Cpu) -> str:
    """``timer -r``."""
    timers = cpu.timers
    assert timers is not None
    blocks = []
    for number, clock in enumerate(timers.clocks):
        lines = [
            f"  CLOCK: {number}  HRTIMER_CLOCK_BASE: {clock.base:x}  [{clock.name}]",
        ]
        if clock.timers:
            width = len(str(clock.now))
            lines += [f"  {'CURRENT':^{width}}", f"  {clock.now}"]
            lines += _timer_table(
                ("SOFTEXPIRES", "EXPIRES", "TTE", "HRTIMER", "FUNCTION"), clock, _hrtimer_row
            )
        else:
            lines.append("  (empty)")
        blocks.append("\n".join(lines))
    base = "(unreadable)" if timers.hrtimer_base is None else f"{timers.hrtimer_base:x}"
    return f"CPU: {cpu.cpu}  HRTIMER_CPU_BASE: {base}\n" + "\n\n".join(blocks)


def _function(function: Function) -> str:
    name = f"  <{function.name}>" if function.name else ""
    return f"{function.address}{name}"


def _wheel_row(timer: Timer) -> tuple[str, ...]:
    return str(timer.expires), str(timer.tte), str(timer.timer), _function(timer.function)


def _hrtimer_row(timer: Timer) -> tuple[str, ...]:
    return (
        str(timer.soft_expires), str(timer.expires), str(timer.tte), str(timer.timer),
        _function(timer.function),
    )  # fmt: skip


def _timer_table(
    heads: Sequence[str], base: TimerBase, row: Callable[[Timer], tuple[str, ...]]
) -> Iterator[str]:
    rows = [row(timer) for timer in base.timers]
    *numbers, _ = zip(heads, *rows, strict=True)
    widths = [max(map(len, column)) for column in numbers]
    # The address has its head in the middle, as crash writes it; numbers are on the right.
    widths[-1] = max(widths[-1], 16)
    for number, cells in enumerate([tuple(heads), *rows]):
        laid_out = [
            f"{cell:^{width}}" if number == 0 else f"{cell:>{width}}"
            for cell, width in zip(cells, widths, strict=False)
        ]
        yield "  " + "  ".join([*laid_out, cells[-1]])
    if not rows:
        yield "  (none)"
    for missing in base.unreadable:
        yield f"  ({missing.what}: {missing.why})"
