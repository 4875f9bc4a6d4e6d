"""What a CPU may not be interrupted by: ``preempt_count``, include/linux/preempt.h."""

from drgn import Object, Program
from drgn.helpers.linux.percpu import per_cpu

PREEMPT_MASK = 0xFF
"""How often preemption was switched off, as every spinlock that is held does."""

SERVING_SOFTIRQ = 1 << 8
"""Set while a softirq's handler runs; ``local_bh_disable()`` counts from the bit above on."""


def preempt_count(program: Program, cpu: int, task: Object) -> int:
    """
    :param task: ``struct task_struct *``, the one that the CPU runs.
    """
    # x86: per CPU; in struct pcpu_hot between Linux kernel commits 64701838bf05 ("x86/percpu: Move
    # preempt_count next to current_task") (in v6.2) and 46e8fff6d45f ("x86/preempt: Move preempt
    # count to percpu hot section") (in v6.15).
    try:
        return int(per_cpu(program["__preempt_count"], cpu).value_())
    except LookupError:
        pass
    try:
        return int(per_cpu(program["pcpu_hot"], cpu).preempt_count.value_())
    except LookupError:
        return int(task.thread_info.preempt_count.value_())
