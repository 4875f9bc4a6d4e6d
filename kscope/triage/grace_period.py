"""RCU's grace period: how old it is, and which CPUs and tasks it waits for.

After each stall warning the kernel moves ``rcu_state.jiffies_stall`` forward
(kernel/rcu/tree_stall.h), so that it proves nothing in a dump taken after one: the age of the grace
period counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from drgn import Object
from drgn.helpers.linux.list import list_for_each_entry

from kscope.model.durations import in_words
from kscope.model.survey import Evidence
from kscope.model.text import printable
from kscope.triage.cpu_facts import runs, to_blame, what_it_does
from kscope.triage.evidence import of_cpu, of_stack, of_variable
from kscope.triage.facts import Facts

_MOST_TASKS = 100


@dataclass(frozen=True)
class GracePeriod:
    """The grace period in progress; ``age_ns`` is ``None`` if there is none."""

    age_ns: int | None
    timeout_ns: int | None
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class Holders:
    """Whom the grace period waits for."""

    cpus: tuple[int, ...]
    pids: tuple[int, ...]
    names: tuple[str, ...]
    evidence: tuple[Evidence, ...]

    def title(self, period: GracePeriod) -> str:
        """Who holds it up, and since when."""
        who = ", ".join(self.names) if self.names else "nobody known"
        age = in_words(period.age_ns) if period.age_ns is not None else "an unknown time"
        return f"{who} holds up a grace period of {age}"

    def explanation(self) -> str:
        """The same in a sentence."""
        if not self.names:
            return "a grace period does not end; whom it waits for could not be told."
        return f"a grace period waits for {', '.join(self.names)}."


def grace_period(facts: Facts) -> GracePeriod:
    """How old the grace period in progress is."""
    state = facts.program["rcu_state"]
    timeout = facts.number("rcu_cpu_stall_timeout")
    seq = int(state.gp_seq.value_())
    timeout_ns = None if timeout is None else timeout * 10**9
    if not seq & 3:
        return GracePeriod(None, timeout_ns, ())
    start = int(state.gp_start.value_())
    jiffies = int(facts.program["jiffies"].value_())
    age = (jiffies - start) * facts.jiffy_ns
    evidence = [
        Evidence(
            label="grace period",
            text=f"gp_seq {seq:#x} is in progress; it started at jiffy {start}, now is {jiffies}: "
            f"{in_words(age)} ago",
            crash="p rcu_state.gp_start",
            drgn='print(prog["rcu_state"].gp_start, prog["jiffies"])',
        )
    ]
    if timeout is not None:
        evidence.append(
            of_variable("rcu_cpu_stall_timeout", timeout, "seconds until it is called a stall")
        )
    return GracePeriod(age, timeout_ns, tuple(evidence))


def holders(facts: Facts, period: GracePeriod) -> Holders:
    """The CPUs that have not passed a quiescent state, and tasks preempted while reading."""
    cpus: list[int] = []
    pids: list[int] = []
    names: list[str] = []
    evidence: list[Evidence] = []
    if period.age_ns is not None:
        for cpu in facts.all_cpus.cpus:
            if cpu.health is None or not cpu.health.rcu.holds_up or not cpu.busy:
                continue
            ticks = cpu.health.rcu.ticks_this_gp
            cpus.append(cpu.cpu)
            pids += to_blame(cpu)
            names.append(f"{runs(cpu)} on CPU {cpu.cpu}")
            evidence.append(
                of_cpu(
                    cpu.cpu,
                    f"its bit in qsmask is set, {ticks} ticks in this period; {what_it_does(cpu)}",
                )
            )
        for task in _preempted_readers(facts):
            pid, comm = task.pid.value_(), printable(task.comm.string_())
            pids.append(pid)
            names.append(f"{comm} {pid} (preempted while reading)")
            evidence.append(
                of_stack(
                    f"{comm} {pid}",
                    "is on blkd_tasks of an rcu_node: preempted inside rcu_read_lock()",
                    pid,
                )
            )
    return Holders(tuple(cpus), tuple(pids), tuple(names), tuple(evidence))


def _preempted_readers(facts: Facts) -> Iterator[Object]:
    """Tasks that were preempted inside a read-side critical section that the period waits for."""
    nodes = facts.program["rcu_state"].node
    task_type = facts.program.type("struct task_struct")
    if not task_type.has_member("rcu_node_entry"):
        return  # without CONFIG_PREEMPT_RCU readers are not preempted
    found = 0
    for node in nodes:
        waited_for = node.gp_tasks
        if node.grpmask.value_() == 0 and node.level.value_() != 0:
            break
        if not waited_for:
            continue
        # From gp_tasks to the end of the list.
        seen = False
        for task in list_for_each_entry(
            "struct task_struct", node.blkd_tasks.address_of_(), "rcu_node_entry"
        ):
            seen = seen or task.rcu_node_entry.address_of_() == waited_for
            if seen:
                yield task
                found += 1
            if found >= _MOST_TASKS:
                return
