"""The manifest: what is true in a dump, from what the lab set up and the guest told.

Nothing in it comes from looking into the dump.
"""

import base64
import json
from pathlib import Path
from typing import Any

from tests.lab.cache import LabError
from tests.lab.kernel import Kernel
from tests.lab.qemu import Fact
from tests.lab.scenarios import Scenario

# Steps that wait until they have what they ask for: verb -> how the lock is then held.
ACQUIRING = {
    "mutex": "exclusive",
    "mutex-interruptible": "exclusive",
    "rt_mutex": "exclusive",
    "spinlock": "exclusive",
    "semaphore": "exclusive",
    "semaphore-interruptible": "exclusive",
    "read": "read",
    "write": "write",
    "percpu-read": "read",
    "percpu-write": "write",
    "bit": "exclusive",
}
# Steps that wait for something that nobody owns.
WAITING = {
    "completion": "completion",
    "event": "wait_queue",
    "variable": "wait_queue",
    "simple-event": "wait_queue",
    "flush-work": "work",
}
SPINNING = {"spin", "spin-irqs-off", "spin-in-rcu-reader", "call"}
# For these the kernel records no owner, or no certain one.
OWNER_UNKNOWN = {"semaphore", "spinlock", "percpu_rwsem", "bit_lock"}


MCI_STATUS_UC = 1 << 61

# What guest/module/objects.c puts into its objects: the `number` of each struct storlab_item in
# order, or by index. A list that is corrupted has what comes before it goes wrong.
_ALL = list(range(10))
_INDEXES = (0, 5, 63, 64, 1000, 65536, 1 << 40)
CONTENTS: dict[str, Any] = {
    "storlab_list": _ALL,
    "storlab_empty_list": [],
    "storlab_looping_list": {"numbers": [0, 1, 2, 3, 4, 5, 6], "then_again": 2},
    "storlab_poisoned_list": {"numbers": [0, 1, 2, 3, 4], "then": "0xdead000000000100"},
    "storlab_hash_chain": _ALL,
    "storlab_lockless_list": _ALL,
    "storlab_priority_list": _ALL,
    "storlab_tree": _ALL,
    "storlab_chain": _ALL,
    "storlab_array": _ALL,
    "storlab_xarray": {str(index): number for number, index in enumerate(_INDEXES)},
    "storlab_maple_tree": {str(index): number for number, index in enumerate(_INDEXES)},
    "storlab_idr": {str(3 * number): number for number in range(len(_INDEXES))},
    "storlab_per_cpu": "1000 + CPU",
}


def write_manifest(dump: Path, key: str, manifest: dict[str, Any]) -> None:
    """Beside the dump, with the key that says of what sources it is; untouched if the same."""
    file = dump / "manifest.json"
    text = json.dumps(manifest | {"key": key}, indent=1) + "\n"
    if not file.exists() or file.read_text() != text:
        new = file.with_suffix(".new")
        new.write_text(text)
        new.rename(file)


def make_manifest(scenario: Scenario, kernel: Kernel, facts: list[Fact]) -> dict[str, Any]:
    tasks = _tasks(facts)
    locks = _locks(facts, tasks)
    cycles = _cycles(tasks, locks)
    if len(cycles) != scenario.cycles:
        raise LabError(f"{len(cycles)} lock cycles in the guest instead of {scenario.cycles}")
    return {
        "name": scenario.name,
        "series": kernel.series,
        "release": kernel.release,
        "packages": kernel.packages,
        "capture": scenario.capture,
        **_format(scenario),
        "memory_mib": scenario.memory_mib,
        "cpus": int(scenario.cpus.partition(",")[0]),
        "possible_cpus": scenario.possible_cpus,
        "panic": _panic(scenario, facts, tasks),
        "culprits": [_by_comm(tasks, comm)["pid"] for comm in scenario.culprits],
        "tasks": list(tasks.values()),
        "blocked": [
            pid for pid, task in tasks.items() if task.get("waits_for") and task["state"] == "UN"
        ],
        "locks": locks,
        "cycles": cycles,
        "spinning": [
            {"pid": pid, "comm": task["comm"], "cpu": task["pinned_to"], **task["spins"]}
            for pid, task in tasks.items()
            if task.get("spins")
        ],
        "objects": {
            fact["name"]: {
                "kind": fact["kind"],
                "address": fact["address"],
                "contents": CONTENTS.get(fact["name"]),
            }
            for fact in facts
            if fact["fact"] == "object"
        },
        "hardware_errors": _hardware_errors(facts),
        "proc": {
            fact["path"]: base64.b64decode(fact["base64"]).decode(errors="replace")
            for fact in facts
            if fact["fact"] == "proc"
        },
        **scenario.true,
    }


def _format(scenario: Scenario) -> dict[str, Any]:
    """The file's format, and makedumpfile's -d: what kinds of pages are left out (None: none)."""
    options = scenario.makedumpfile_options.split()
    if not options:
        named = {"elf": "elf", "kdump-zlib": "qemu-kdump-zlib"}
        return {"format": named[scenario.qmp_format], "dump_level": None}
    level = int(options[options.index("-d") + 1])
    formats = {"-c": "kdump-zlib", "-E": "elf"}
    return {"format": formats.get(options[0], "kdump"), "dump_level": level}


def _comm(fact: Fact) -> str:
    """Bytes that are not UTF-8 become surrogates: .encode(errors="surrogateescape") undoes it."""
    return bytes.fromhex(fact["comm_hex"]).decode(errors="surrogateescape")


def _tasks(facts: list[Fact]) -> dict[int, dict[str, Any]]:
    """Everyone who told of themselves, and the kernel threads of our module."""
    tasks: dict[int, dict[str, Any]] = {}
    for fact in facts:
        if fact["fact"] == "task":
            tasks[fact["pid"]] = {
                "pid": fact["pid"],
                "ppid": fact["ppid"],
                "comm": _comm(fact),
                "comm_hex": fact["comm_hex"],
                "kthread": False,
                "policy": fact["policy"],
                "rt_priority": fact["rt_priority"],
                "nice": fact["nice"],
                "pinned_to": None if fact["pinned_to"] < 0 else fact["pinned_to"],
                "doing": fact["doing"],
                "argument": fact["argument"],
                "state": STATES.get((fact["doing"], fact["argument"] == "child")),
            }
    for fact in facts:
        if fact["fact"] == "run" and (fact["kthread"] or fact["pid"] in tasks):
            task = tasks.setdefault(
                fact["pid"],
                {
                    "pid": fact["pid"],
                    "ppid": 2,
                    "comm": _comm(fact),
                    "comm_hex": fact["comm_hex"],
                    "kthread": True,
                    "policy": "NORMAL",
                    "rt_priority": 0,
                    "nice": 0,
                    "pinned_to": None,
                },
            )
            _add_steps(task, fact)
    return tasks


# What storlab-task does -> the state of the task as crash names it. A task that spins, or one that
# the module blocks, is not here.
STATES = {
    ("sleep", False): "IN",
    ("files", False): "IN",
    ("memory", False): "IN",
    ("sockets", False): "IN",
    ("threads", False): "IN",
    ("stop", False): "ST",
    ("spin", False): "RU",
    ("traced", False): "IN",
    ("traced", True): "TR",
    ("zombie", False): "IN",
    ("zombie", True): "ZO",
    # In uninterruptible sleep because of what the scenario did to the disk or to memory.
    ("use-up", False): "UN",
    ("read", False): "UN",
    ("read-shared", False): "UN",
    ("read-shared", True): "UN",
    ("overwrite", False): "UN",
    ("create", False): "UN",
    ("create-synced", False): "UN",
    ("mkdir-synced", False): "UN",
    ("hog-until-stuck", False): "UN",
    # In remote-task.c, as is another ("read", False).
    ("serve", False): "IN",
    ("mount", False): "UN",
    ("stat", False): "UN",
    ("write", False): "UN",
}


def _add_steps(task: dict[str, Any], run: Fact) -> None:
    """What the task holds and waits for: `step` is the index of the step it is in."""
    steps = [step.partition(":")[::2] for step in run["steps"].split()]
    task["steps"] = run["steps"]
    task["holds"] = [
        {"lock": name, "mode": ACQUIRING[verb]}
        for verb, name in steps[: run["step"]]
        if verb in ACQUIRING
    ]
    task["waits_for"] = None
    verb, name = (*steps, ("sleep", ""))[run["step"]]
    if verb == "sleep":
        task["state"] = "IN"
    elif verb in SPINNING or verb == "spinlock":
        task["state"] = "RU"
        task["spins"] = {
            "irqs_enabled": verb != "spin-irqs-off",
            "waits_for": name if verb == "spinlock" else None,
        }
    elif verb in ACQUIRING:
        task["state"] = "IN" if verb.endswith("-interruptible") else "UN"
        task["waits_for"] = {"lock": name, "mode": ACQUIRING[verb]}
    elif verb in WAITING:
        task["state"] = "UN"
        task["waits_for"] = {"lock": name, "mode": WAITING[verb]}


def _locks(facts: list[Fact], tasks: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
    """Every lock that is held or waited for."""
    locks = []
    for fact in facts:
        if fact["fact"] != "lock":
            continue
        holders = [
            {"pid": pid, "mode": held["mode"]}
            for pid, task in tasks.items()
            for held in task.get("holds", [])
            if held["lock"] == fact["name"]
        ]
        waiters = [
            {"pid": pid, "mode": task["waits_for"]["mode"]}
            for pid, task in tasks.items()
            if (task.get("waits_for") or {}).get("lock") == fact["name"]
        ]
        if not holders and not waiters:
            continue
        owners = [holder["pid"] for holder in holders if holder["mode"] in ("exclusive", "write")]
        recorded = fact["kind"] not in OWNER_UNKNOWN
        locks.append(
            {
                "name": fact["name"],
                "kind": fact["kind"],
                "address": fact["address"],
                "holders": holders,
                "owner": owners[0] if owners and recorded else None,
                "waiters": waiters,
            }
        )
    return locks


def _cycles(tasks: dict[int, dict[str, Any]], locks: list[dict[str, Any]]) -> list[list[int]]:
    """Rings of tasks each waiting for a lock that the next one owns, lowest PID first."""
    owner = {lock["name"]: lock["owner"] for lock in locks}
    cycles = []
    for start in sorted(tasks):
        path = [start]
        while True:
            waits_for = tasks[path[-1]].get("waits_for") or {}
            following = owner.get(waits_for.get("lock"))
            if following is None or (following in path and following != start):
                break
            if following == start:
                if start == min(path):
                    cycles.append(path)
                break
            path.append(following)
    return cycles


def _hardware_errors(facts: list[Fact]) -> list[dict[str, Any]]:
    """Those that the guest had QEMU report: ``mce CPU BANK STATUS MCGSTATUS ADDR MISC``."""
    errors = []
    for fact in facts:
        if fact["fact"] == "monitor" and fact["command"].startswith("mce "):
            cpu, bank, status, _, address, _ = fact["command"].split()[1:]
            errors.append(
                {
                    "cpu": int(cpu),
                    "bank": int(bank),
                    "status": status,
                    "address": address,
                    "corrected": not int(status, 16) & MCI_STATUS_UC,
                }
            )
    return errors


def _by_comm(tasks: dict[int, dict[str, Any]], comm: str) -> dict[str, Any]:
    for task in tasks.values():
        if task["comm"] == comm:
            return task
    raise LabError(f"the guest did not tell of a task {comm}")


def _panic(
    scenario: Scenario, facts: list[Fact], tasks: dict[int, dict[str, Any]]
) -> dict[str, Any]:
    """Unknown here is None: the CPU of a kernel thread that runs anywhere, for one."""
    panic: dict[str, Any] = {"kind": scenario.panic_kind, "pid": None, "comm": None, "cpu": None}
    for fact in facts:
        if fact["fact"] == "panic_task":
            panic |= {"pid": fact["pid"], "comm": fact["comm"]}
    if scenario.panic_comm is not None:
        task = _by_comm(tasks, scenario.panic_comm)
        panic |= {"pid": task["pid"], "comm": task["comm"], "cpu": task["pinned_to"]}
    return panic
