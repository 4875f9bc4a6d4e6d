"""The machine, as crash's ``sys`` and ``sys -i``."""

from kscope.dialect.layout import date, duration, facts, size
from kscope.dialect.views import Equivalent
from kscope.model.system import System, SystemQuery

QUERY = SystemQuery

_DRGN = """\
from drgn.helpers.linux.cpumask import num_online_cpus, num_possible_cpus, num_present_cpus
from drgn.helpers.linux.mm import totalram_pages
from drgn.helpers.linux.panic import panic_message, panic_task, tainted
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import loadavg, task_cpu
from drgn.helpers.linux.timekeeping import ktime_get_boottime_seconds, ktime_get_real_seconds

name = prog["init_uts_ns"].name
print("cpus", num_present_cpus(prog), "online", num_online_cpus(prog))
print("date", ktime_get_real_seconds(prog).value_())
print("uptime", ktime_get_boottime_seconds(prog).value_())
print("load average", loadavg(prog))
print("tasks", sum(1 for _ in for_each_task(prog)) + num_possible_cpus(prog))
for field in ("nodename", "release", "version", "machine"):
    print(field, name.member_(field).string_().decode())
print("memory", totalram_pages(prog) * prog["PAGE_SIZE"].value_())
print("tainted", tainted(prog))
try:
    task = panic_task(prog)
    print("task", task.pid.value_(), task.comm.string_(), hex(task.value_()), task_cpu(task))
    print("panic", panic_message(prog))
except LookupError as error:
    print("no panic:", error)
for i, string in enumerate(prog["dmi_ident"]):
    if string:
        print("dmi", i, string.string_().decode())
"""


def equivalent(query: SystemQuery) -> Equivalent:  # noqa: ARG001
    """``sys``; its DMI strings are ``sys -i``."""
    return Equivalent("sys", _DRGN, "the DMI strings are in sys -i, settings in p NAME")


def summary(result: System, *, task: bool = True) -> str:
    """``sys``.

    :param task: with the task that panicked, which crash shows when it starts.
    """
    rows: list[tuple[str, str]] = []

    def add(label: str, value: object) -> None:
        if value not in (None, ""):
            rows.append((label, str(value)))

    tainted = "  [TAINTED]" if result.taints else ""
    add("KERNEL", result.kernel + tainted if result.kernel else "")
    partial = "  [PARTIAL DUMP]" if result.partial else ""
    add("DUMPFILE", result.dumpfile + partial if result.dumpfile else "")
    offline = f" [OFFLINE: {result.offline}]" if result.offline else ""
    add("CPUS", None if result.cpus is None else f"{result.cpus}{offline}")
    add("DATE", None if result.date_seconds is None else date(result.date_seconds))
    uptime = result.uptime_seconds
    add("UPTIME", None if uptime is None else duration(uptime))
    load = result.load_average
    add("LOAD AVERAGE", None if load is None else ", ".join(f"{value:.2f}" for value in load))
    add("TASKS", result.tasks)
    add("NODENAME", result.nodename)
    add("RELEASE", result.release)
    add("VERSION", result.version)
    add("MACHINE", result.machine + (f"  ({result.mhz} Mhz)" if result.mhz else ""))
    add("MEMORY", None if result.memory is None else size(result.memory.total_bytes))
    add("PANIC", f'"{result.panic_message}"' if result.panic_message else "")
    if task and (panicked := result.panic_task) is not None:
        add("PID", panicked.pid)
        add("COMMAND", f'"{panicked.comm}"')
        add("TASK", format(panicked.task, "x"))
        add("CPU", panicked.cpu)
        add("STATE", f"{panicked.state} (PANIC)")
    return facts(rows)


def dmi(result: System) -> str:
    """``sys -i``."""
    if result.dmi is None:
        why = next((u.why for u in result.unreadable if "DMI" in u.what), "")
        return f"the DMI strings cannot be read: {why}"
    return facts((f"DMI_{_dmi_field(fact.name)}", fact.value) for fact in result.dmi)


def _dmi_field(name: str) -> str:
    """The kernel's name (``enum dmi_field``) for what kscope calls ``product version``."""
    shorter = {
        "system vendor": "SYS_VENDOR", "product": "PRODUCT_NAME", "serial": "PRODUCT_SERIAL",
        "UUID": "PRODUCT_UUID", "SKU": "PRODUCT_SKU", "family": "PRODUCT_FAMILY",
        "board": "BOARD_NAME", "EC firmware": "EC_FIRMWARE_RELEASE",
    }  # fmt: skip
    return shorter.get(name) or name.upper().replace(" ", "_")


def taints(result: System) -> str:
    """``sys -t``: the letters, and what they mean."""
    if result.taints is None:
        return "TAINTED_MASK: (unreadable)"
    letters = "".join(taint.letter for taint in result.taints)
    lines = [f"TAINTED_MASK: {letters or 'none'}"]
    return "\n".join([*lines, *(f"  {taint.letter}  {taint.meaning}" for taint in result.taints)])


def text(query: SystemQuery, result: System) -> str:  # noqa: ARG001
    """As crash prints it, then what crash does not: settings and the kdump reservation."""
    parts = [summary(result)]
    if result.taints:
        parts.append("TAINTED\n" + "\n".join(f"  {t.letter}  {t.meaning}" for t in result.taints))
    if result.dmi:
        parts.append("DMI\n" + facts((f"  {fact.name}", fact.value) for fact in result.dmi))
    if result.settings:
        width = max(len(setting.name) for setting in result.settings)
        parts.append(
            "SETTINGS\n"
            + "\n".join(f"  {s.name:<{width}} = {s.value:<4} {s.meaning}" for s in result.settings)
        )
    if (kdump := result.crash_kernel) is not None:
        loaded = "a kdump kernel is loaded" if kdump.loaded else "no kdump kernel is loaded"
        where = f" at {kdump.start:#x}" if kdump.size_bytes else ""
        parts.append(f"CRASHKERNEL\n  {size(kdump.size_bytes)}{where}, {loaded}")
    if result.unreadable:
        parts.append("UNREADABLE\n" + "\n".join(f"  {u.what}: {u.why}" for u in result.unreadable))
    return "\n\n".join(parts)
