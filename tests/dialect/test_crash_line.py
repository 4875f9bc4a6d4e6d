"""Taking crash command lines apart, and what can become a command of the shell."""

import contextlib
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kscope.dialect.crash.line import CrashLine, LineError, Word, expand, parse, quoted

LINES = st.text(
    st.one_of(st.sampled_from("ps |><!#'\"()-$1*;&`\\\n\t"), st.characters()), max_size=60
)


def words(line: CrashLine) -> list[str]:
    return [word.text for word in line.words]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ps -m | grep UN", ["ps", "-m"]),
        ("p (1 << 3)", ["p", "(1", "<<", "3)"]),
        ("p init_task->comm", ["p", "init_task->comm"]),
        ("p ((struct x *)0xffff)->comm", ["p", "((struct", "x", "*)0xffff)->comm"]),
        ("foreach 'work er' bt", ["foreach", "work er", "bt"]),
        ("# a comment | sh", []),
        ("", []),
    ],
)  # fmt: skip
def test_words_are_split_where_crash_splits_them(text: str, expected: list[str]) -> None:
    assert words(parse(text)) == expected


@pytest.mark.parametrize(
    ("text", "pipeline"),
    [
        ("ps | awk '{print $1}' > file", "awk '{print $1}' > file"),
        ("ps|wc", "wc"),
        ("p (1|2)", ""),
        ("ps 'a|b'", ""),
        ("! ls | wc", "ls | wc"),
        ("|ls", "ls"),
    ],
)
def test_only_what_follows_a_bar_of_the_readers_own_goes_to_the_shell(
    text: str, pipeline: str
) -> None:
    assert parse(text).shell == pipeline


def test_redirections_name_files() -> None:
    line = parse("bt < pids >> 'all of them'")
    assert (line.input_file, line.output_file, line.append) == ("pids", "all of them", True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ps |", "no command after |"),
        ("ps >", "no file after >"),
        ("ps > a > b", "more than one >"),
        ("ps > a | wc", "not both"),
        ("p 1 << 3", "parentheses"),
        ("ps 'a", "not closed"),
        ("!", "terminal of its own"),
    ],
)
def test_what_means_nothing_is_a_sentence(text: str, said: str) -> None:
    with pytest.raises(LineError, match=re.escape(said)):
        parse(text)


def test_single_quotes_make_a_pattern_and_double_quotes_do_not() -> None:
    line = parse("""foreach 'a.c' "a.c" bt""")
    assert [word.is_pattern for word in line.words] == [False, True, False, False]


@given(LINES)
def test_no_line_raises_anything_but_a_sentence(text: str) -> None:
    with contextlib.suppress(LineError):
        assert isinstance(parse(text), CrashLine)


@given(LINES)
@example("a|a")
def test_nothing_reaches_a_shell_that_was_not_piped(text: str) -> None:
    try:
        line = parse(text)
    except LineError:
        return
    if line.shell:
        before = text.strip().removesuffix(line.shell)
        assert before != text.strip()
        assert "|" in before or before[0] == "!"


@given(LINES)
def test_a_quoted_word_is_one_word_with_the_same_text(text: str) -> None:
    if "'" in text and '"' in text:
        text = text.replace("'", "")
    word = quoted(text)
    line = parse(f"echo {word.raw}")
    assert line.arguments == (text,)
    assert not line.shell


# Aliases.


def expanded(line: str, alias: str) -> CrashLine:
    return expand(parse(line), alias)


def test_arguments_are_added_to_an_alias_as_in_crash() -> None:
    assert words(expanded("psm 1 2", "ps -m")) == ["ps", "-m", "1", "2"]


def test_arguments_take_the_places_of_their_numbers() -> None:
    assert words(expanded("st task_struct ffff", "struct $1.comm $2")) == [
        "struct", "task_struct.comm", "ffff",
    ]  # fmt: skip


def test_a_star_stands_for_every_argument() -> None:
    assert words(expanded("x 1 2", "bt -f $*")) == ["bt", "-f", "1", "2"]


def test_the_pipeline_of_an_alias_takes_arguments_as_parameters() -> None:
    line = expanded("of 'UN; rm -rf /'", "ps -m | grep $1")
    assert line.shell == "grep $1"
    assert line.shell_arguments == ("UN; rm -rf /",)


def test_a_line_may_pipe_on_what_an_alias_pipes() -> None:
    assert expanded("of UN | wc", "ps | grep $1").shell == "{ grep $1\n} | wc"


@given(st.lists(LINES, max_size=3), st.sampled_from(["ps $1", "foreach $* bt", "p $1+$2", "bt"]))
def test_no_argument_of_an_alias_becomes_a_command(arguments: list[str], alias: str) -> None:
    line = CrashLine(words=(Word("a", "a"), *map(quoted, arguments)))
    result = expand(line, alias)
    assert not result.shell
    assert not result.output_file
    assert not result.input_file
