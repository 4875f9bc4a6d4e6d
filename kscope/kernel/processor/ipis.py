"""Cross-CPU calls that a CPU was asked for and has not handled: kernel/smp.c.

A sender puts a ``call_single_data`` on the target's ``call_single_queue`` and interrupts it. If it
stays there, the target has its interrupts off; a sender that waits for the answer spins.
"""

from collections.abc import Iterator
from typing import Literal

from drgn import Object, Program, container_of
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.llist import llist_for_each_entry
from drgn.helpers.linux.percpu import per_cpu, per_cpu_ptr

from kscope.kernel.access.lists import collect
from kscope.kernel.access.members import member, variable
from kscope.kernel.access.reading import READ_ERRORS, Readings
from kscope.kernel.processor.cpu_tasks import queued
from kscope.kernel.processor.timers import function_at
from kscope.model.base import Address
from kscope.model.cpus import Function, Ipi

# include/linux/smp_types.h, since Linux kernel commit 4b44a21dd640 ("irq_work, smp: Allow irq_work
# on call_single_queue") (in v5.8).
_TYPE_MASK = 0xF0
_ASYNC, _SYNC, _IRQ_WORK, _WAKEUP = 0x00, 0x10, 0x20, 0x30

_LONGEST = 10_000


def ipis(
    program: Program, cpu: int, current: int, now_ns: int | None, readings: Readings
) -> tuple[Ipi, ...]:
    """What waits on the queue of ``cpu``, the newest first."""
    return collect(
        readings, "call_single_queue", lambda: _ipis(program, cpu, current, now_ns), _LONGEST
    )


def current_csd(program: Program, cpu: int) -> Function | None:
    """The call that ``cpu`` was executing; only CONFIG_CSD_LOCK_WAIT_DEBUG kernels note it."""
    found = variable(program, "cur_csd_func")
    function = 0 if found is None else per_cpu(found, cpu).value_()
    return function_at(program, function) if function else None


def _ipis(program: Program, cpu: int, current: int, now_ns: int | None) -> Iterator[Ipi]:
    head = per_cpu(program["call_single_queue"], cpu)
    senders: dict[int, int] | None = None
    for node in llist_for_each_entry("struct __call_single_node", head.first, "llist"):
        kind = node.u_flags.value_() & _TYPE_MASK
        if kind == _WAKEUP:
            task = container_of(node, "struct task_struct", "wake_entry")
            yield Ipi(
                kind="wakeup",
                address=Address(node.value_()),
                function=None,
                task=queued(task, now_ns, current),
            )
            continue
        if kind == _IRQ_WORK:
            work = container_of(node, "struct irq_work", "node")
            yield Ipi(
                kind="irq work",
                address=Address(work.value_()),
                function=function_at(program, work.func.value_()),
            )
            continue
        csd = container_of(node, "struct __call_single_data", "node")
        if senders is None:
            senders = _senders(program, cpu)
        called: Literal["call", "call, sender waits"] = (
            "call, sender waits" if kind == _SYNC else "call"
        )
        yield Ipi(
            kind=called,
            address=Address(csd.value_()),
            function=function_at(program, csd.func.value_()),
            from_cpu=senders.get(csd.value_()),
        )


def _senders(program: Program, cpu: int) -> dict[int, int]:
    """By the address of each sender's own call data for ``cpu``, the sender's number.

    Every CPU has one for calls to a single CPU, and one for each target of calls to many.
    """
    senders: dict[int, int] = {}
    for sender in for_each_possible_cpu(program):
        for own in (_single, _many):
            try:
                address = own(program, sender, cpu).value_()
            except READ_ERRORS:
                continue
            senders[address] = sender
    return senders


def _single(program: Program, sender: int, _cpu: int) -> Object:
    return per_cpu(program["csd_data"], sender).address_of_()


def _many(program: Program, sender: int, cpu: int) -> Object:
    calls = per_cpu(program["cfd_data"], sender)
    # In a struct cfd_percpu from Linux 5.13 to 6.3.
    pcpu = member(calls, "pcpu")
    if pcpu is not None:
        return per_cpu_ptr(pcpu, cpu).csd.address_of_()
    return per_cpu_ptr(calls.csd, cpu)
