"""The machine: crash's ``sys`` and ``sys -i``, how the kernel was set, the state of the dump."""

from drgn import Object, Program
from drgn.helpers.linux.cpumask import (
    for_each_online_cpu,
    for_each_possible_cpu,
    num_online_cpus,
    num_possible_cpus,
    num_present_cpus,
)
from drgn.helpers.linux.mm import totalram_pages
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import cpu_curr, get_task_state, idle_task, loadavg, task_cpu
from drgn.helpers.linux.timekeeping import ktime_get_boottime_seconds, ktime_get_real_seconds
from drgn.helpers.linux.vmstat import nr_free_pages

from kscope.kernel.access.reading import READ_ERRORS, Readings
from kscope.kernel.death.panic import panic_cpu, panic_message, panic_task, survived
from kscope.kernel.log import log
from kscope.kernel.machine.preempt_count import SERVING_SOFTIRQ, preempt_count
from kscope.kernel.machine.settings import settings
from kscope.kernel.machine.taints import taints
from kscope.kernel.processor.cpu_stacks import softirq_handled, stretches
from kscope.kernel.processor.registers import RegisterSources
from kscope.model.base import Address, QueryError
from kscope.model.log import LogQuery
from kscope.model.system import (
    CpuState,
    CrashKernel,
    Fact,
    Memory,
    PanicTask,
    System,
    SystemQuery,
)
from kscope.model.text import printable
from kscope.target.target import Target


def system(target: Target, query: SystemQuery) -> System:  # noqa: ARG001
    """Answer a SystemQuery."""
    program, identity, readings = target.program, target.identity, Readings()
    read = readings.read
    message = _panic_message(target, readings)
    if target.debug_info.types == "none":
        readings.note("everything not shown here", "no types: " + target.debug_info.missing[0])
        return System(
            dumpfile=identity.path,
            partial=identity.filtered,
            nodename=identity.nodename,
            release=identity.release,
            version=identity.version,
            machine=identity.machine,
            panic_message=message,
            unreadable=readings.unreadable,
        )
    present = read("CPUs", lambda: num_present_cpus(program), None)
    online = read("online CPUs", lambda: num_online_cpus(program), None)
    return System(
        dumpfile=identity.path,
        partial=identity.filtered,
        kernel=target.debug_info.vmlinux,
        cpus=present,
        offline=None if present is None or online is None else present - online,
        date_seconds=read("date", lambda: ktime_get_real_seconds(program).value_(), None),
        uptime_seconds=read("uptime", lambda: ktime_get_boottime_seconds(program).value_(), None),
        load_average=read("load average", lambda: loadavg(program), None),
        tasks=read("number of tasks", lambda: _number_of_tasks(program), None),
        nodename=read("node name", lambda: _utsname(program, "nodename"), identity.nodename),
        release=read("release", lambda: _utsname(program, "release"), identity.release),
        version=read("version", lambda: _utsname(program, "version"), identity.version),
        machine=read("machine", lambda: _utsname(program, "machine"), identity.machine),
        mhz=read("processor clock", lambda: _mhz(program), None),
        memory=read("memory", lambda: _memory(program, readings), None),
        panic_message=message,
        panic_task=read("panic task", lambda: _panic_task(program), None),
        taints=read("taint flags", lambda: taints(program), None),
        dmi=read("DMI strings", lambda: _dmi(program), None),
        command_line=read(
            "command line", lambda: printable(program["saved_command_line"].string_()), ""
        ),
        settings=settings(program, readings),
        crash_kernel=read("crashkernel reservation", lambda: _crash_kernel(program), None),
        cpu_states=read("CPUs", lambda: _cpu_states(target), ()),
        unreadable=readings.unreadable,
    )


def _panic_message(target: Target, readings: Readings) -> str:
    if survived(target):
        return ""
    try:
        return panic_message(log(target, LogQuery()).records)
    except QueryError as error:
        readings.note("panic message", error.sentence)
        return ""


def _number_of_tasks(program: Program) -> int:
    # As crash counts: idle tasks included, also of CPUs that are offline.
    return sum(1 for _ in for_each_task(program)) + int(num_possible_cpus(program))


def _utsname(program: Program, field: str) -> str:
    return printable(program["init_uts_ns"].name.member_(field).string_())


def _mhz(program: Program) -> int | None:
    # x86 only: kHz of the time stamp counter, as crash shows it.
    return int(program["cpu_khz"].value_()) // 1000 or None


def _memory(program: Program, readings: Readings) -> Memory:
    page_size = int(program["PAGE_SIZE"])
    total = int(totalram_pages(program)) * page_size
    free = readings.read("free memory", lambda: int(nr_free_pages(program)) * page_size, None)
    return Memory(total, free)


def _panic_task(program: Program) -> PanicTask | None:
    task = panic_task(program)
    if task is None:
        return None
    return PanicTask(
        pid=task.pid.value_(),
        comm=printable(task.comm.string_()),
        task=Address(task.value_()),
        cpu=task_cpu(task),
        state=get_task_state(task),
    )


_DMI_NAMES = {
    "DMI_BIOS_VENDOR": "BIOS vendor", "DMI_BIOS_VERSION": "BIOS version",
    "DMI_BIOS_DATE": "BIOS date", "DMI_BIOS_RELEASE": "BIOS release",
    "DMI_EC_FIRMWARE_RELEASE": "EC firmware", "DMI_SYS_VENDOR": "system vendor",
    "DMI_PRODUCT_NAME": "product", "DMI_PRODUCT_VERSION": "product version",
    "DMI_PRODUCT_SERIAL": "serial", "DMI_PRODUCT_UUID": "UUID", "DMI_PRODUCT_SKU": "SKU",
    "DMI_PRODUCT_FAMILY": "family", "DMI_BOARD_VENDOR": "board vendor",
    "DMI_BOARD_NAME": "board", "DMI_BOARD_VERSION": "board version",
    "DMI_BOARD_SERIAL": "board serial", "DMI_BOARD_ASSET_TAG": "board asset tag",
    "DMI_CHASSIS_VENDOR": "chassis vendor", "DMI_CHASSIS_TYPE": "chassis type",
    "DMI_CHASSIS_VERSION": "chassis version", "DMI_CHASSIS_SERIAL": "chassis serial",
    "DMI_CHASSIS_ASSET_TAG": "chassis asset tag",
}  # fmt: skip


def _dmi(program: Program) -> tuple[Fact, ...]:
    strings = program["dmi_ident"]
    facts = []
    for enumerator in program.type("enum dmi_field").enumerators or ():
        if enumerator.name not in _DMI_NAMES or enumerator.value >= len(strings):
            continue
        string = strings[enumerator.value]
        if string:
            value = printable(string.string_()).strip()
            if value:
                facts.append(Fact(_DMI_NAMES[enumerator.name], value))
    return tuple(facts)


def _crash_kernel(program: Program) -> CrashKernel:
    resource = program["crashk_res"]
    start, end = resource.start.value_(), resource.end.value_()
    return CrashKernel(
        start=Address(start),
        size_bytes=end - start + 1 if end > start else 0,
        loaded=bool(program["kexec_crash_image"]),
    )


def _cpu_states(target: Target) -> tuple[CpuState, ...]:
    program = target.program
    online = set(for_each_online_cpu(program))
    possible = list(for_each_possible_cpu(program))
    sources = RegisterSources.read(target, possible)
    states = []
    for cpu in possible:
        current = cpu_curr(program, cpu)
        states.append(
            CpuState(
                cpu=cpu,
                online=cpu in online,
                idle=current == idle_task(program, cpu),
                pid=current.pid.value_(),
                comm=printable(current.comm.string_()),
                registers=sources.of(cpu)[0],
                softirq=_softirq(target, cpu, current, sources),
            )
        )
    return tuple(states)


def _softirq(target: Target, cpu: int, current: Object, sources: RegisterSources) -> str:
    program = target.program
    try:
        # Most CPUs are in none: only of one that is, the stack is worth the time.
        if not preempt_count(program, cpu, current) & SERVING_SOFTIRQ:
            return ""
        source = sources.of(cpu)[0]
        if source == "none":
            return "?"
        saved, panicked = source == "crash note", cpu == panic_cpu(program)
        found = stretches(target, cpu, current, saved=saved, panicked=panicked)
        return softirq_handled(found) or "?"
    except READ_ERRORS:
        return ""


ANSWERS = {SystemQuery: system}
