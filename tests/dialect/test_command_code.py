"""The code that is offered for a crash command prints what the command shows, and no more."""

import contextlib
import io
import re

import pytest

from kscope.dialect.crash.interpreter import Interpreter
from kscope.target.target import Target
from tests.dialect.interpreting import interpreter


@pytest.fixture
def crash(demo_target: Target) -> Interpreter:
    return interpreter(demo_target)


async def both(crash: Interpreter, target: Target, line: str) -> tuple[str, str]:
    """What a line shows, and what its code prints."""
    output = await crash.run(line)
    assert not output.error
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(output.drgn, {"prog": target.program})
    return output.text, printed.getvalue()


def addresses(text: str) -> list[str]:
    return re.findall(r"\bffff[0-9a-f]{12}\b", text.replace("0x", ""))


@pytest.mark.parametrize(
    "line",
    [
        "ps 161", "ps 161 init", "ps 0", "ps 'rt'", "ps -A", "ps -k", "ps -u rtowner", "ps -G -u",
        "ps -m 161 162", "ps -m -C 1", "ps -m -C 0,2-3", "ps", "foreach UN ps",
        "foreach init ps -m",
    ],
)  # fmt: skip
async def test_ps(crash: Interpreter, demo_target: Target, line: str) -> None:
    shown, printed = await both(crash, demo_target, line)
    assert sorted(addresses(printed)) == sorted(addresses(shown)) != []


async def test_ps_by_time_has_the_order_of_the_command(
    crash: Interpreter, demo_target: Target
) -> None:
    shown, printed = await both(crash, demo_target, "ps -m 161 162 1 2")
    assert addresses(printed) == addresses(shown)


async def test_of_a_count_of_states_there_is_none(crash: Interpreter) -> None:
    assert not (await crash.run("ps -S")).drgn


@pytest.mark.parametrize("line", ["runq -c 1", "runq -c 0,2-3", "runq"])
async def test_runq(crash: Interpreter, demo_target: Target, line: str) -> None:
    shown, printed = await both(crash, demo_target, line)
    cpus = re.compile(r"^CPU (\d+)", re.MULTILINE)
    assert cpus.findall(printed) == cpus.findall(shown) != []


@pytest.mark.parametrize("line", ["runq -t", "runq -t -c 1"])
async def test_runq_by_clocks(crash: Interpreter, demo_target: Target, line: str) -> None:
    shown, printed = await both(crash, demo_target, line)
    assert addresses(printed) == addresses(shown) != []
    clocks = [int(number) for number in re.findall(r"(\d{11,})", shown)]
    assert [int(number) for number in re.findall(r"^(?:CPU \d+| ) (\d+)", printed, re.M)] == clocks


async def test_runq_by_times(crash: Interpreter, demo_target: Target) -> None:
    shown, printed = await both(crash, demo_target, "runq -m")
    assert addresses(printed) == addresses(shown) != []
    times = re.findall(r"\[ *(\d+) (\d+):(\d+):(\d+)\.(\d+)\]", shown)
    seconds = [
        int(d) * 86400 + int(h) * 3600 + int(m) * 60 + int(s) + int(ms) / 1000
        for d, h, m, s, ms in times
    ]
    found = [float(number) for number in re.findall(r"^CPU \d+ (\S+)", printed, re.M)]
    assert found == pytest.approx(seconds, abs=0.002)


async def test_runq_by_groups(crash: Interpreter, demo_target: Target) -> None:
    shown, printed = await both(crash, demo_target, "runq -g")
    of_cpus = [line for line in shown.splitlines() if "ROOT_TASK_GROUP" not in line]
    assert addresses(printed) == addresses("\n".join(of_cpus)) != []


@pytest.mark.parametrize(
    "line",
    ["foreach bt -R down_read", "foreach bt -t -R schedule_timeout", "bt -a -R start_secondary"],
)
async def test_backtraces_that_name_something(
    crash: Interpreter, demo_target: Target, line: str
) -> None:
    shown, printed = await both(crash, demo_target, line)
    pids = re.findall(r"^PID: (\d+)", shown, re.M)
    assert sorted(re.findall(r"\bPID (\d+)", printed)) == sorted(pids) != []
    every = await crash.run(re.sub(r" -R \S+", "", line))
    assert len(pids) < len(re.findall(r"^PID: ", every.text, re.M))


async def test_of_backtraces_none_of_which_is_shown_there_is_none(crash: Interpreter) -> None:
    output = await crash.run("bt -a -R no_such_function")
    assert (output.text, output.drgn) == ("", "")
