"""What kscope answers to crash command lines, against crash.

The texts must be the same, but for the compiler's suffixes of functions and the order of tasks that
last ran at one time.
"""

import contextlib
import datetime
import io
import re

import drgn
import pytest

from tests.dialect.interpreting import interpreter
from tests.lab.catalogue import find
from tests.lab.oracle import crash
from tests.on_lab.opening import SERIES, open_lab

pytestmark = pytest.mark.lab

NAME = "hung-task"

LINES = (
    "ps", "ps -S", "ps -A", "ps -m", "ps -y FIFO", "ps -G -k", "ps -u", "ps -H 1 2",
    "ps -m | grep UN", "ps -m -C 0", "set 1", "set", "foreach UN ps", "foreach kernel UN set",
    "foreach user IN ps -m", "runq -t", "runq -m", "runq -T", "log", "log -t", "log -m",
    "struct list_head", "struct -o list_head", "struct -o page",
    "struct task_struct.pid,flags init_task", "struct -x task_struct.flags init_task",
    "struct list_head.next -o", "struct nosuch", "task_struct.prio init_task",
    "eval 4096", "eval -b 0x1234", "eval init_task + 8", "eval (1 << 20)", "p runqueues",
    "p 1+2*3", "p sizeof(struct page)", "p (1 << 20)", "p &init_task", "p -x init_task.flags",
    "mod -t", "foreach UN bt", "foreach UN bt -s", "bt -r 1", "bt -T 1", "bt 99999", "bt -c 99",
    "set 99999", "echo a b", "bt 1", "bt -R schedule 1", "task -R pid,flags 1", "log -c",
    "foreach UN task -R pid", "list task_struct.tasks -h init_task", "whatis -o list_head",
    "list module.list -H modules", "whatis struct list_head", "set -c 0",
)  # fmt: skip

_CLONE = re.compile(r"\.(?:isra|constprop|part|cold)\.?\d*")
_DATE = re.compile(r"\[(\w+ \w+ +\d+ [\d:]+) \w+ (\d+)\] (.*)")


def normal(text: str) -> list[str]:
    lines = [_CLONE.sub("", line).rstrip() for line in text.splitlines() if line.strip()]
    by_time = all(line.startswith("[") and "PID: " in line for line in lines)
    return sorted(lines) if by_time else lines


_LABEL = re.compile(r"\.L\w+\+\d+")
"""The compiler's own labels, which vmlinux has and kallsyms has not."""


def same(ours: str, theirs: str) -> bool:
    """Whether two lines are equal, but for words that crash takes for a label's."""
    words = list(zip(ours.split(), theirs.split(), strict=False))
    if not any(_LABEL.fullmatch(its) for _, its in words):
        return ours == theirs
    return all(mine == its or _LABEL.fullmatch(its) for mine, its in words)


@pytest.mark.parametrize("series", SERIES)
async def test_the_answers_are_crashs(series: str) -> None:
    ours = interpreter(open_lab(NAME, series))
    different = []
    for line, theirs in zip(LINES, crash(find(NAME, series), LINES), strict=True):
        output = await ours.run(line)
        mine, its = normal(output.text or output.error), normal(theirs)
        if len(mine) != len(its) or not all(map(same, mine, its)):
            different.append((line, mine[:3], its[:3]))
    assert not different


async def test_dates_in_the_log_are_nearly_crashs() -> None:
    output = await interpreter(open_lab(NAME, "6.1")).run("log -T")
    (theirs,) = crash(find(NAME, "6.1"), ["log -T"])
    pairs = zip(_DATE.findall(output.text), _DATE.findall(theirs), strict=True)
    for (day, year, text), (their_day, their_year, their_text) in pairs:
        assert text.rstrip() == their_text.rstrip()
        moments = [
            datetime.datetime.strptime(f"{date} {of}", "%a %b %d %H:%M:%S %Y")
            for date, of in ((day, year), (their_day, their_year))
        ]
        # crash counts from a boot time in whole seconds, which it takes from the uptime in
        # jiffies: a busy host makes those late.
        assert abs(moments[0] - moments[1]) <= datetime.timedelta(seconds=2)


@pytest.mark.parametrize("series", SERIES)
async def test_the_date_of_a_line_is_the_one_that_the_line_says(series: str) -> None:
    # crash 8.0.6 takes the uptime of 6.12 for 3 minutes more than it is.
    lines = await interpreter(open_lab(NAME, series)).run("log -T | grep 'system clock to'")
    found = re.search(r" (\d\d:\d\d:\d\d) .*T(\d\d:\d\d:\d\d) UTC", lines.text)
    assert found is not None
    assert found[1] == found[2]


@pytest.mark.parametrize("line", ["mod", "kmem -i", "ps -p 1", "bt 1", "foreach UN bt", "sys"])
async def test_the_drgn_code_of_a_command_runs(line: str) -> None:
    target = open_lab(NAME, "6.1")
    output = await interpreter(target).run(line)
    printed = io.StringIO()
    drgn.set_default_prog(target.program)
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(output.drgn, "equivalent", "exec"), {"prog": target.program})
    finally:
        drgn.set_default_prog(None)
    assert printed.getvalue().strip()
