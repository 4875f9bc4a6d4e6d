"""Cross-CPU calls that a CPU was asked for and has not handled: kernel/smp.c.

A sender puts a ``call_single_data`` on the target's ``call_single_queue`` and interrupts it. If it
stays there, the target has its interrupts off; a sender that waits for the answer spins.
"""

import contextlib
from collections.abc import Iterator
from functools import cached_property

from drgn import Object, Program, container_of
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.llist import llist_for_each_entry
from drgn.helpers.linux.percpu import per_cpu, per_cpu_ptr
from drgn.helpers.linux.sched import cpu_curr

from kscope.kernel.access.lists import collect
from kscope.kernel.access.members import member, number, variable
from kscope.kernel.access.reading import READ_ERRORS, Readings
from kscope.kernel.processor.cpu_tasks import queued
from kscope.kernel.processor.timers import function_at
from kscope.model.base import Address
from kscope.model.cpus import Function, Ipi
from kscope.target.loops import LoopError

# include/linux/smp_types.h, since Linux kernel commit 4b44a21dd640 ("irq_work, smp: Allow irq_work
# on call_single_queue") (in v5.8).
_TYPE_MASK = 0xF0
_ASYNC, _SYNC, _IRQ_WORK, _WAKEUP = 0x00, 0x10, 0x20, 0x30


def ipis(
    program: Program, cpu: int, current: int, now_ns: int | None, readings: Readings
) -> tuple[Ipi, ...]:
    """What waits on the queue of ``cpu``, the newest first."""
    return collect(readings, "call_single_queue", lambda: _ipis(program, cpu, current, now_ns))


def current_csd(program: Program, cpu: int) -> Function | None:
    """The call that ``cpu`` was executing; only CONFIG_CSD_LOCK_WAIT_DEBUG kernels note it."""
    found = variable(program, "cur_csd_func")
    function = 0 if found is None else per_cpu(found, cpu).value_()
    return function_at(program, function) if function else None


def awaited(program: Program, sender: int) -> tuple[tuple[int, ...], Function | None]:
    """The CPUs that have not handled a call that ``sender`` waits for, and what they should do.

    A CPU that has taken the call off its queue and is still at it is not found.
    """
    cpus: list[int] = []
    function = None
    for cpu in for_each_possible_cpu(program):
        if functions := list(_awaited_of(program, cpu, sender)):
            cpus.append(cpu)
            function = functions[-1]
    return tuple(cpus), function


def _awaited_of(program: Program, cpu: int, sender: int) -> Iterator[Function]:
    """What one CPU should do that ``sender`` waits for."""
    senders = _Senders(program, cpu)
    # A queue that leads round in circles has told all that it holds by then.
    with contextlib.suppress(LoopError):
        for node in _queue(program, cpu):
            if _kind(node) == _SYNC and senders.of(csd := _call(node)) == sender:
                yield function_at(program, csd.func.value_())


def _queue(program: Program, cpu: int) -> Iterator[Object]:
    head = per_cpu(program["call_single_queue"], cpu)
    return llist_for_each_entry("struct __call_single_node", head.first, "llist")


def _kind(node: Object) -> int:
    return int(node.u_flags.value_()) & _TYPE_MASK


def _call(node: Object) -> Object:
    return container_of(node, "struct __call_single_data", "node")


def _ipis(program: Program, cpu: int, current: int, now_ns: int | None) -> Iterator[Ipi]:
    senders = _Senders(program, cpu)
    for node in _queue(program, cpu):
        kind = _kind(node)
        if kind == _WAKEUP:
            task = container_of(node, "struct task_struct", "wake_entry")
            yield Ipi(
                kind="wakeup",
                address=Address(task.value_()),
                function=None,
                task=queued(task, now_ns, current),
            )
        elif kind == _IRQ_WORK:
            work = container_of(node, "struct irq_work", "node")
            yield Ipi(
                kind="irq work",
                address=Address(work.value_()),
                function=function_at(program, work.func.value_()),
            )
        else:
            csd = _call(node)
            yield Ipi(
                kind="call, sender waits" if kind == _SYNC else "call",
                address=Address(csd.value_()),
                function=function_at(program, csd.func.value_()),
                from_cpu=senders.of(csd),
            )


class _Senders:
    """Who has sent the calls that wait on the queue of one CPU."""

    def __init__(self, program: Program, target: int) -> None:
        self._program = program
        self._target = target

    def of(self, csd: Object) -> int | None:
        """
        :param csd: ``struct __call_single_data *``
        """
        # Noted in the call since Linux kernel commit e48c15b796d4 ("smp: Add source and destination
        # CPUs to __call_single_data") (in v5.10), but only with CONFIG_CSD_LOCK_WAIT_DEBUG.
        if variable(self._program, "cur_csd") is not None:
            return number(csd, "node.src")
        address = csd.value_()
        sender = self._own.get(address)
        return self._waiting(address) if sender is None else sender

    @cached_property
    def _own(self) -> dict[int, int]:
        """By the address of each sender's own call data for the target, the sender's number.

        Every CPU has one for calls to a single CPU, and one for each target of calls to many.
        """
        senders: dict[int, int] = {}
        for sender in for_each_possible_cpu(self._program):
            for own in (_single, _many):
                try:
                    address = own(self._program, sender, self._target).value_()
                except READ_ERRORS:
                    continue
                senders[address] = sender
        return senders

    def _waiting(self, address: int) -> int | None:
        """A sender that waits has the call on its stack, and spins: it is the task of some CPU."""
        size = int(self._program["THREAD_SIZE"])
        for sender in for_each_possible_cpu(self._program):
            try:
                start = cpu_curr(self._program, sender).stack.value_()
            except READ_ERRORS:
                continue
            if start <= address < start + size:
                return sender
        return None


def _single(program: Program, sender: int, _cpu: int) -> Object:
    return per_cpu(program["csd_data"], sender).address_of_()


def _many(program: Program, sender: int, cpu: int) -> Object:
    calls = per_cpu(program["cfd_data"], sender)
    # In a struct cfd_percpu from Linux 5.13 to 6.3.
    pcpu = member(calls, "pcpu")
    if pcpu is not None:
        return per_cpu_ptr(pcpu, cpu).csd.address_of_()
    return per_cpu_ptr(calls.csd, cpu)
