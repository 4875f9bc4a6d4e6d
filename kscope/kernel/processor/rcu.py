"""RCU as one CPU takes part in it: whether a grace period waits for it."""

from drgn import Program
from drgn.helpers.linux.percpu import per_cpu

from kscope.kernel.access.members import number
from kscope.kernel.access.reading import Readings
from kscope.model.cpus import Rcu

# kernel/rcu/rcu.h: the low bits of a sequence say whether a grace period is in progress.
_STATE_BITS = 2
_STATE_MASK = (1 << _STATE_BITS) - 1


def rcu(program: Program, cpu: int, jiffy_ns: int | None, readings: Readings) -> Rcu:
    """RCU's state of a CPU."""
    read = readings.read
    state = read("rcu_state", lambda: program["rcu_state"], None)
    data = read("rcu_data", lambda: per_cpu(program["rcu_data"], cpu), None)
    if state is None or data is None:
        return Rcu(
            gp_seq=None, in_progress=None, gp_age_ns=None, holds_up=None, ticks_this_gp=None,
            callbacks=None,
        )  # fmt: skip
    # Sequences since Linux kernel commit de30ad512a66 ("rcu: Introduce grace-period sequence
    # numbers") (in v4.19).
    seq = read("rcu_state.gp_seq", lambda: int(state.gp_seq.value_()), None)
    # It starts at -300, so that it wraps around early, and is printed as a signed number.
    signed = None if seq is None else (seq + (1 << 63)) % (1 << 64) - (1 << 63)
    in_progress = None if seq is None else bool(seq & _STATE_MASK)

    def age() -> int | None:
        if not in_progress or jiffy_ns is None:
            return None
        return int(program["jiffies"].value_() - state.gp_start.value_()) * jiffy_ns

    def is_waited_for() -> bool | None:
        if not in_progress:
            return False
        node = data.mynode
        if node.gp_seq.value_() != seq:
            # The grace period has not yet reached this CPU's part of the tree.
            return False
        return bool(node.qsmask.value_() & data.grpmask.value_())

    return Rcu(
        gp_seq=signed,
        in_progress=in_progress,
        gp_age_ns=read("rcu_state.gp_start", age, None),
        holds_up=read("rcu_node.qsmask", is_waited_for, None),
        ticks_this_gp=read("rcu_data.ticks_this_gp", lambda: number(data, "ticks_this_gp"), None),
        callbacks=read("rcu_data.cblist", lambda: number(data, "cblist.len"), None),
    )
