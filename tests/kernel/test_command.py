"""Commands of drgn's crash mode, run in this process on the bundled dump."""

from pathlib import Path

import pytest

from kscope.model.base import Address, QueryError
from kscope.model.command import CommandOutput, CommandQuery, CommandsQuery
from kscope.session.answering import answer
from kscope.target.target import Target

RTOWNER = Address(0xFFFF8A7502908000)


def run(target: Target, line: str, **settings: object) -> CommandOutput:
    return answer(target, CommandQuery(line=line, **settings))  # type: ignore[arg-type]


def test_what_a_command_prints_is_its_answer(
    demo_target: Target, capfd: pytest.CaptureFixture[str]
) -> None:
    done = run(demo_target, "mod -t")
    assert done.text == "NAME     TAINTS\nstorlab  OE\n"
    assert not done.error
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_the_context_is_the_askers_and_not_left_behind(demo_target: Target) -> None:
    assert 'COMMAND: "rtowner"' in run(demo_target, "files", task=RTOWNER).text
    assert 'COMMAND: "khungtaskd"' in run(demo_target, "files").text


def test_the_radix_is_the_askers(demo_target: Target) -> None:
    assert "0x" in run(demo_target, "p jiffies", radix=16).text
    assert "0x" not in run(demo_target, "p jiffies").text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nosuch", "crash: command not found: nosuch"),
        ("waitq nosuch", "could not find symbol"),
        ("drgn 1/0", "ZeroDivisionError: division by zero"),
        ("drgn (", "syntax error"),
        ("drgn exit()", "interactive drgn"),
        ("ps -Z", "unrecognized arguments"),
    ],
)
def test_a_command_that_fails_says_why(demo_target: Target, line: str, said: str) -> None:
    done = run(demo_target, line)
    assert said in done.error + done.text
    assert done.error


@pytest.mark.parametrize(
    "line",
    ["! touch F", "sh touch F", "| touch F", "ps | touch F", "ps > F", "ps 2> F", "q", "exit", ""],
)
def test_nothing_starts_a_shell_or_opens_a_file(
    demo_target: Target, tmp_path: Path, line: str
) -> None:
    with pytest.raises(QueryError):
        run(demo_target, line.replace("F", str(tmp_path / "touched")))
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_in_a_comment_of_python_is_a_comment(demo_target: Target, tmp_path: Path) -> None:
    assert run(demo_target, f"drgn 1 # | touch {tmp_path}/touched").text == "1\n"
    assert list(tmp_path.iterdir()) == []


def test_drgn_code_sees_the_program_and_its_helpers(demo_target: Target) -> None:
    assert run(demo_target, "drgn find_task(prog, 161).comm.string_()").text == "b'rtowner'\n"


def test_an_interactive_drgn_is_refused(demo_target: Target) -> None:
    with pytest.raises(QueryError, match="terminal of its own"):
        run(demo_target, "drgn")


def test_what_it_prints_cannot_steer_the_terminal(demo_target: Target) -> None:
    assert run(demo_target, r"drgn print('\x1b]52;c;eA==\x07')").text == r"\x1b]52;c;eA==\x07" "\n"


def test_the_commands_are_listed_without_those_that_start_something(demo_target: Target) -> None:
    names = {command.name for command in answer(demo_target, CommandsQuery()).commands}
    assert {"ps", "kmem", "list", "search"} <= names
    assert not names & {"sh", "exit", "q"}
