"""``set``: the current task, and how numbers are written."""

from kscope.dialect.crash.errors import CommandError
from kscope.dialect.crash.interpreter import Interpreter
from kscope.dialect.crash.line import CrashLine
from kscope.dialect.crash.options import parse_options
from kscope.dialect.crash.selecting import number_in, tasks_numbered
from kscope.model.tasks import Task

SUMMARY = "the current task; the radix of numbers"
USAGE = """\
set [pid | task | -p | -c cpu] | set radix 10|16 | set hex | set dec | set scroll on|off
  -p the task that panicked  -c the current task of a CPU"""

_RADIX = {
    "10": 10, "dec": 10, "decimal": 10, "ten": 10,
    "16": 16, "hex": 16, "hexadecimal": 16, "sixteen": 16,
}  # fmt: skip

OTHER_SETTINGS = {
    "scroll", "refresh", "print_max", "print_array", "console", "debug", "core", "hash", "silent",
    "edit", "unwind", "zero_excluded", "null-stop", "gdb", "scope", "offline", "redzone", "error",
}  # fmt: skip
"""crash's other settings, which have no meaning here."""

_STATE_NAMES = {
    "RU": "TASK_RUNNING", "IN": "TASK_INTERRUPTIBLE", "UN": "TASK_UNINTERRUPTIBLE",
    "ST": "TASK_STOPPED", "TR": "TASK_TRACING_STOPPED", "ZO": "EXIT_ZOMBIE", "DE": "EXIT_DEAD",
    "ID": "TASK_IDLE", "PA": "TASK_PARKED", "NE": "TASK_NEW", "WA": "TASK_WAKING",
}  # fmt: skip


async def run(interpreter: Interpreter, line: CrashLine) -> str | None:
    """Answer ``set``."""
    options, words = parse_options(line, "pc:v", USAGE)
    if "-v" in options:
        return f"        scroll: off (none)\n         radix: {_radix(interpreter)}"
    if words and words[0].text in ("radix", "hex", "dec"):
        return _set_radix(interpreter, [word.text for word in words])
    if words and words[0].text in OTHER_SETTINGS:
        if words[0].text == "scroll":
            return "scroll: off (none)"
        raise CommandError(f"set: {words[0].text} has no meaning here")
    tasks = (await interpreter.tasks()).tasks
    if "-p" in options:
        found = [task for task in tasks if task.panicked]
        if not found:
            raise CommandError("set: no panic task found")
    elif "-c" in options:
        cpu = number_in(options["-c"])
        found = [task for task in tasks if task.active and task.cpu == cpu]
        if not found:
            raise CommandError(f"set: invalid cpu specification: {options['-c']}")
    elif words:
        found = tasks_numbered(tasks, words[0].text)
        if not found or len(words) > 1:
            wrong = words[1 if found else 0].text
            raise CommandError(f"set: invalid task or pid value: {wrong}")
    else:
        current = await interpreter.current_task("set")
        found = [task for task in tasks if task.task == current]
    interpreter.set_context(found[0])
    return shown(found[0], sum(task.pid == found[0].pid for task in tasks))


def shown(task: Task, same_pid: int) -> str:
    """A task as ``set`` prints it.

    :param same_pid: how many tasks have its PID, as the idle tasks have 0.
    """
    of_several = f"  (1 of {same_pid})" if same_pid > 1 else ""
    state = _STATE_NAMES.get(task.state or "", "(unknown)")
    why = "(PANIC)" if task.panicked else "(ACTIVE)" if task.active else ""
    return (
        f"    PID: {'?' if task.pid is None else task.pid}\n"
        f'COMMAND: "{task.comm or "?"}"\n'
        # thread_info is the first member of task_struct where CONFIG_THREAD_INFO_IN_TASK is set.
        f"   TASK: {task.task:x}{of_several}  [THREAD_INFO: {task.task:x}]\n"
        f"    CPU: {'?' if task.cpu is None else task.cpu}\n"
        f"  STATE: {state} {why}"
    )


def _radix(interpreter: Interpreter) -> str:
    return "16 (hex)" if interpreter.radix == 16 else "10 (decimal)"


def _set_radix(interpreter: Interpreter, words: list[str]) -> str:
    wanted = words[0] if words[0] in ("hex", "dec") else (words[1] if len(words) > 1 else "")
    if wanted:
        if wanted not in _RADIX:
            raise CommandError(f"set: invalid radix value: {wanted}")
        interpreter.radix = _RADIX[wanted]
    return f"output radix: {_radix(interpreter)}"
