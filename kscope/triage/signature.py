"""What is the same in dumps that died alike: their kind and the functions that tell most."""

import re
from collections.abc import Iterable, Sequence

from kscope.model.survey import Finding, PanicKind
from kscope.triage.facts import Facts

_FRAMES = 4

_NOT_BY_STACK = ("none", "hung-task", "unknown-nmi", "machine-check")
"""What the panicking CPU ran has nothing to do with these."""

# Functions that every panic, lock or system call goes through say nothing about this one.
_SKIP = re.compile(
    r"__crash_kexec|crash_kexec|v?panic|oops_end|die|nmi_panic|asm_|exc_|sysvec_|__sysvec_|entry_|"
    r"ret_from_fork|do_syscall_|x64_sys_|__x64_sys_|__se_sys_|__do_sys_|ksys_|secondary_startup|"
    r"common_startup|start_secondary|start_kernel|x86_64_start_|rest_init|arch_call_rest_init|"
    r"kthread$|worker_thread|process_one_work|process_scheduled_works|"
    r"__schedule|schedule|io_schedule|context_switch|_*mutex_lock|rwsem_|down_|_*down|rt_mutex_|"
    r"__rt_mutex_|(?:do_|_)*wait_for_common|wait_for_completion|out_of_line_wait_|bit_wait|"
    r"_*wait_on_bit|_*folio_(?:wait|lock|put_wait)|percpu_rwsem_wait|_*percpu_down_|"
    r"native_queued_|_raw_|queued_|hrtimer_|__hrtimer_|update_process_times|tick_|"
    r"vfs_|proc_reg_|new_sync_|pde_|end_repeat_nmi|default_idle|cpu_startup_entry|do_idle|"
    r"native_safe_halt|pv_native_safe_halt|amd_e400_idle|cpuidle_"
)


def telling(functions: Iterable[str]) -> list[str]:
    """The innermost functions that not every stack has."""
    return [name for name in functions if name and not _SKIP.match(name)][:_FRAMES]


def signature(facts: Facts, kind: PanicKind, findings: Sequence[Finding]) -> str:
    """The kind of panic, the rule of the first finding and the telling functions of its culprit."""
    stopped = None if kind in _NOT_BY_STACK else facts.stopped
    if stopped is not None:
        functions = stopped.functions if stopped.pc is not None else stopped.way
        return " | ".join([kind, *telling(functions)])
    if facts.target.debug_info.types == "none":
        return " | ".join([kind, "by its log"])
    first = next((finding for finding in findings if finding.severity != "info"), None)
    if first is None:
        return kind
    if first.blameless:
        return " | ".join([kind, first.rule])
    return " | ".join([kind, first.rule, *_of_culprit(facts, first)])


def _of_culprit(facts: Facts, finding: Finding) -> list[str]:
    for cpu in facts.all_cpus.cpus if finding.cpus else ():
        if cpu.cpu == finding.cpus[0]:
            stopped = {index for index, segment in enumerate(cpu.segments) if segment.stopped}
            return telling(f.function for f in cpu.backtrace if f.segment not in stopped)
    for pid in finding.tasks:
        if pid in facts.blocked:
            return telling(facts.blocked[pid].functions)
    return []
