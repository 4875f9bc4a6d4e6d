"""How the kernel was set to watch itself, and what it was told to do about what it finds."""

from collections.abc import Callable
from dataclasses import dataclass

from drgn import Program

from kscope.kernel.access.reading import READ_ERRORS, Readings, reason
from kscope.model.system import Setting


@dataclass(frozen=True)
class _Kind:
    sysctl: str
    variables: tuple[str, ...]
    """Where the value is, newest kernel first."""
    default: int
    meaning: Callable[[int], str]


def _panics(event: str) -> Callable[[int], str]:
    return lambda value: f"panics on {event}" if value else f"does not panic on {event}"


_KINDS = (
    _Kind("kernel.panic", ("panic_timeout",), 0,
          lambda value: f"reboots {value} s after a panic" if value > 0
          else "reboots at once after a panic" if value < 0 else "stays halted after a panic"),
    _Kind("kernel.panic_on_oops", ("panic_on_oops",), 0, _panics("an oops or BUG")),
    _Kind("kernel.panic_on_warn", ("panic_on_warn",), 0, _panics("a warning")),
    _Kind("kernel.panic_on_unrecovered_nmi", ("panic_on_unrecovered_nmi",), 0,
          _panics("an NMI it cannot recover from")),
    _Kind("kernel.unknown_nmi_panic", ("unknown_nmi_panic",), 0,
          _panics("an NMI of unknown reason (an NMI button, a hypervisor's inject-nmi)")),
    _Kind("kernel.panic_on_io_nmi", ("panic_on_io_nmi",), 0, _panics("an I/O error NMI")),
    _Kind("kernel.panic_on_rcu_stall", ("sysctl_panic_on_rcu_stall",), 0,
          _panics("an RCU stall")),
    _Kind("vm.panic_on_oom", ("sysctl_panic_on_oom",), 0,
          lambda value: ("kills a process when memory runs out",
                         "panics when the whole machine runs out of memory",
                         "panics on any out of memory, cgroups' included")[min(value, 2)]),
    # Linux 6.5 split hard-lockup detection from the perf events (commit df95d3085caa).
    _Kind("kernel.watchdog", ("watchdog_user_enabled",), 1,
          lambda value: "lockup detectors on" if value else "lockup detectors off"),
    _Kind("kernel.watchdog_thresh", ("watchdog_thresh",), 10,
          lambda value: f"hard lockup after {value} s, soft lockup after {2 * value} s" if value
          else "lockup detectors off"),
    _Kind("kernel.nmi_watchdog", ("watchdog_hardlockup_user_enabled", "nmi_watchdog_user_enabled"),
          1, lambda value: "hard lockup detector on" if value else "hard lockup detector off"),
    _Kind("kernel.softlockup_panic", ("softlockup_panic",), 0, _panics("a soft lockup")),
    _Kind("kernel.hardlockup_panic", ("hardlockup_panic",), 0, _panics("a hard lockup")),
    _Kind("kernel.hung_task_timeout_secs", ("sysctl_hung_task_timeout_secs",), 120,
          lambda value: f"a task is hung after {value} s in UN" if value
          else "hung tasks are not looked for"),
    _Kind("kernel.hung_task_panic", ("sysctl_hung_task_panic",), 0, _panics("a hung task")),
    _Kind("kernel.hung_task_warnings", ("sysctl_hung_task_warnings",), 10,
          lambda value: f"{value} more hung tasks would have been reported" if value >= 0
          else "every hung task is reported"),
    _Kind("crash_kexec_post_notifiers", ("crash_kexec_post_notifiers",), 0,
          lambda value: "other CPUs are stopped before the kdump kernel starts" if value
          else "the kdump kernel is started first thing"),
)  # fmt: skip


def settings(program: Program, readings: Readings) -> tuple[Setting, ...]:
    """Every setting that this kernel has."""
    found = []
    for kind in _KINDS:
        value = _value(program, kind, readings)
        if value is not None:
            found.append(Setting(kind.sysctl, value, kind.meaning(value), value != kind.default))
    return tuple(found)


def _value(program: Program, kind: _Kind, readings: Readings) -> int | None:
    for name in kind.variables:
        try:
            return int(program[name].value_())
        except LookupError:
            continue  # this kernel was built without it, or names it otherwise
        except READ_ERRORS as error:
            readings.note(kind.sysctl, reason(error))
            return None
    return None
