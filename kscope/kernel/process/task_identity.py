"""Who a task is: parents, credentials, namespaces, signals, flags."""

from collections.abc import Iterator

from drgn import Object, cast
from drgn.helpers.linux.cgroup import cgroup_path
from drgn.helpers.linux.cpumask import cpumask_to_cpulist
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.mm import cmdline
from drgn.helpers.linux.sched import task_on_cpu
from drgn.helpers.linux.signal import signal_numbers

from kscope.kernel.access.members import member, number
from kscope.kernel.access.paths import d_path
from kscope.kernel.access.reading import Readings
from kscope.kernel.machine.timekeeping import boot_time_ns
from kscope.kernel.process.task_table import PF_KTHREAD, FoundTask
from kscope.kernel.unwinding.unwind import unwinder
from kscope.model.base import Address
from kscope.model.task import Credentials, Identity, Namespace, Signals, TaskName
from kscope.model.text import printable
from kscope.target.target import Target

_FLAGS = {
    0x1: "VCPU", 0x2: "IDLE", 0x4: "EXITING", 0x8: "POSTCOREDUMP", 0x10: "IO_WORKER",
    0x20: "WQ_WORKER", 0x40: "FORKNOEXEC", 0x80: "MCE_PROCESS", 0x100: "SUPERPRIV",
    0x200: "DUMPCORE", 0x400: "SIGNALED", 0x800: "MEMALLOC", 0x1000: "NPROC_EXCEEDED",
    0x2000: "USED_MATH", 0x4000: "USER_WORKER", 0x8000: "NOFREEZE", 0x20000: "KSWAPD",
    0x40000: "MEMALLOC_NOFS", 0x80000: "MEMALLOC_NOIO", 0x100000: "LOCAL_THROTTLE",
    PF_KTHREAD: "KTHREAD", 0x400000: "RANDOMIZE", 0x4000000: "NO_SETAFFINITY",
    0x8000000: "MCE_EARLY", 0x10000000: "MEMALLOC_PIN", 0x80000000: "SUSPEND_TASK",
}  # fmt: skip
"""``PF_*`` of include/linux/sched.h; those that changed their meaning in between are left out."""

_SIG_DFL, _SIG_IGN = 0, 1
_MOST_CHILDREN = 2000


def flag_names(flags: int) -> tuple[str, ...]:
    """``PF_*`` flags by name, without the prefix; unnamed bits in hexadecimal."""
    names = [name for bit, name in _FLAGS.items() if flags & bit]
    rest = flags & ~sum(_FLAGS)
    return (*names, *([f"{rest:#x}"] if rest else []))


def identity(target: Target, found: FoundTask, readings: Readings) -> Identity:
    """Everything about a task that is neither its stack, nor its files, nor its memory."""
    program = target.program
    task = unwinder(target).task(found.address)
    read = readings.read
    raw = found.raw
    no_name: TaskName | None = None
    children: tuple[TaskName, ...] = ()

    def number_at(what: str, path: str) -> int | None:
        return read(what, lambda: _number(task, path), None)

    return Identity(
        stack=Address(raw.stack) if raw.stack else None,
        flags=raw.flags,
        flag_names=() if raw.flags is None else flag_names(raw.flags),
        on_cpu=read("on_cpu", lambda: bool(task_on_cpu(task)), None),
        real_parent=read("real parent", lambda: _name(task.real_parent), no_name),
        parent=read("parent", lambda: _name(task.parent), no_name),
        group_leader=read("group leader", lambda: _name(task.group_leader), no_name),
        children=read("children", lambda: tuple(_children(task)), children),
        start_date_seconds=read(
            "date of its start",
            lambda: (boot_time_ns(program) + task.start_time.value_()) // 1_000_000_000,
            None,
        ),
        utime_ns=number_at("user time", "utime"),
        stime_ns=number_at("system time", "stime"),
        runtime_ns=number_at("run time", "se.sum_exec_runtime"),
        voluntary_switches=number_at("context switches", "nvcsw"),
        involuntary_switches=number_at("context switches", "nivcsw"),
        in_iowait=read("in_iowait", lambda: bool(task.in_iowait.value_()), None),
        normal_prio=number_at("normal priority", "normal_prio"),
        cpus_allowed=read("allowed CPUs", lambda: _cpus_allowed(task), None),
        command_line=read("command line", lambda: _command_line(task), None),
        executable=read("executable", lambda: _executable(task), None),
        credentials=read("credentials", lambda: _credentials(task.cred), None),
        namespaces=read("namespaces", lambda: tuple(_namespaces(task)), None),
        cgroup=read("cgroup", lambda: printable(cgroup_path(task.cgroups.dfl_cgrp)), None),
        signals=read("signals", lambda: _signals(task), None),
    )


def _number(structure: Object, path: str) -> int:
    for name in path.split("."):
        structure = structure.member_(name)
    return int(structure.value_())


def _name(task: Object) -> TaskName | None:
    task = task.read_()
    if not task:
        return None
    return TaskName(
        pid=task.pid.value_(), comm=printable(task.comm.string_()), task=Address(task.value_())
    )


def _children(task: Object) -> Iterator[TaskName]:
    head = task.children.address_of_()
    children = list_for_each_entry("struct task_struct", head, "sibling")
    for child, _ in zip(children, range(_MOST_CHILDREN), strict=False):
        name = _name(child)
        if name is not None:
            yield name


def _cpus_allowed(task: Object) -> str:
    # Since Linux kernel commit 3bd3706251ee ("sched/core: Provide a pointer to the valid CPU
    # mask") (in v5.3).
    mask = member(task, "cpus_mask")
    if mask is None:
        mask = task.cpus_allowed
    return cpumask_to_cpulist(mask)


def _command_line(task: Object) -> tuple[str, ...] | None:
    arguments = cmdline(task)
    return None if arguments is None else tuple(printable(argument) for argument in arguments)


def _executable(task: Object) -> str | None:
    mm = task.mm.read_()
    if not mm:
        return None
    file = mm.exe_file.read_()
    return printable(d_path(file.f_path)) if file else None


def _credentials(cred: Object) -> Credentials:
    cred = cred.read_()
    groups = cred.group_info.read_()
    return Credentials(
        uid=cred.uid.val.value_(), euid=cred.euid.val.value_(), suid=cred.suid.val.value_(),
        fsuid=cred.fsuid.val.value_(), gid=cred.gid.val.value_(), egid=cred.egid.val.value_(),
        sgid=cred.sgid.val.value_(), fsgid=cred.fsgid.val.value_(),
        groups=tuple(
            groups.gid[index].val.value_() for index in range(min(groups.ngroups.value_(), 65536))
        ),
        cap_effective=_capabilities(cred.cap_effective),
        cap_permitted=_capabilities(cred.cap_permitted),
        cap_inheritable=_capabilities(cred.cap_inheritable),
    )  # fmt: skip


def _capabilities(capabilities: Object) -> int:
    # One 64-bit number since Linux kernel commit f122a08b197d ("capability: just use a 'u64'
    # instead of a 'u32[2]' array") (in v6.3).
    value = number(capabilities, "val")
    if value is not None:
        return value
    low, high = capabilities.cap
    return int(low.value_()) | int(high.value_()) << 32


def _namespaces(task: Object) -> Iterator[Namespace]:
    program = task.prog_
    proxy = task.nsproxy.read_()
    first = program["init_task"].nsproxy.read_()
    found: list[tuple[str, Object, int]] = []
    if proxy:
        for kind in ("mnt", "net", "ipc", "uts", "cgroup", "time"):
            namespace = member(proxy, "net_ns" if kind == "net" else f"{kind}_ns")
            if namespace is not None:
                initial = first.member_(f"{kind}_ns").value_()
                found.append((kind, namespace, initial))
    pid = task.thread_pid.read_()
    if pid:
        level = pid.level.value_()
        initial = program["init_pid_ns"].address_of_().value_()
        found.append(("pid", pid.numbers[level].ns, initial))
    initial = program["init_user_ns"].address_of_().value_()
    found.append(("user", task.cred.user_ns, initial))
    for kind, pointer, initial in found:
        namespace = pointer.read_()
        if namespace:
            address = namespace.value_()
            yield Namespace(kind, namespace.ns.inum.value_(), address == initial, Address(address))


def _signals(task: Object) -> Signals:
    names = signal_numbers(task.prog_)

    def named(numbers: Iterator[int]) -> tuple[str, ...]:
        return tuple(names.get(number, (f"SIG{number}",))[0] for number in numbers)

    ignored: list[int] = []
    caught: list[int] = []
    sighand = task.sighand.read_()
    if sighand:
        for index, action in enumerate(sighand.action):
            handler = cast("unsigned long", action.sa.sa_handler).value_()
            if handler == _SIG_IGN:
                ignored.append(index + 1)
            elif handler != _SIG_DFL:
                caught.append(index + 1)
    signal = task.signal.read_()
    return Signals(
        pending=named(_in_set(task.pending.signal)),
        shared_pending=named(_in_set(signal.shared_pending.signal)) if signal else (),
        blocked=named(_in_set(task.blocked)),
        ignored=named(iter(ignored)),
        caught=named(iter(caught)),
    )


def _in_set(sigset: Object) -> Iterator[int]:
    for word_index, word in enumerate(sigset.sig):
        value = word.value_()
        for bit in range(64):
            if value & 1 << bit:
                yield word_index * 64 + bit + 1
