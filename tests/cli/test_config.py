"""The configuration file, its aliases, and crash's own file taken over."""

import multiprocessing
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscope import configuring
from kscope.config import (
    Config,
    ConfigError,
    SavedAliases,
    config_file,
    doubts,
    import_crashrc,
    load,
    read_rc,
    save_alias,
)
from kscope.dialect.crash.errors import CommandError
from kscope.files import replace_file
from kscope.key_ids import is_key, key_ids, keymap

BY_HAND = """\
# mine
theme = "light"   # at work

[keys]
"log.filter" = "slash,f"

[aliases]
# blocked tasks
un = "foreach UN bt"

# below
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def write(text: str) -> None:
    config_file().parent.mkdir(parents=True)
    config_file().write_text(text)


def test_without_a_file_there_are_defaults() -> None:
    assert load() == Config()


def test_a_file_is_read() -> None:
    write(BY_HAND)
    config = load()
    assert config.theme == "light"
    assert config.keys == {"log.filter": "slash,f"}
    assert config.aliases == {"un": "foreach UN bt"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("theme = 3", "theme"),
        ("theme = 'red'", "theme"),
        ("theme =", "Invalid"),
        ("\x00", "Invalid"),
    ],
)
def test_a_file_that_means_nothing_is_said_with_its_path(text: str, said: str) -> None:
    write(text)
    with pytest.raises(ConfigError, match=said) as raised:
        load()
    assert str(config_file()) in str(raised.value)


def test_an_alias_is_added_and_the_rest_of_the_file_stays() -> None:
    write(BY_HAND)
    save_alias("of", 'ps | grep "$1" > "a\\b"')
    text = config_file().read_text()
    assert load().aliases == {"un": "foreach UN bt", "of": 'ps | grep "$1" > "a\\b"'}
    assert [line for line in text.splitlines() if not line.startswith('"of"')] == (
        BY_HAND.splitlines()
    )


def test_an_alias_is_changed_and_removed() -> None:
    write(BY_HAND)
    save_alias("un", "foreach UN ps")
    assert load().aliases == {"un": "foreach UN ps"}
    save_alias("un", None)
    assert load().aliases == {}
    assert "# blocked tasks" in config_file().read_text()


@settings(deadline=None)  # it writes to the disk, which others may keep busy
@given(st.text(max_size=40))
def test_any_line_can_be_saved(line: str) -> None:
    config_file().unlink(missing_ok=True)
    try:
        save_alias("x", line)
    except ConfigError:
        # TOML has no surrogates; nothing may be half written.
        assert not config_file().exists()
    else:
        assert load().aliases == {"x": line}


def test_aliases_written_another_way_are_left_alone() -> None:
    text = 'aliases = {a = "ps"}\n'
    write(text)
    with pytest.raises(ConfigError):
        save_alias("b", "bt")
    assert config_file().read_text() == text


def test_a_file_that_cannot_be_written_is_said(home: Path) -> None:
    aliases = SavedAliases({})
    (home / "config").write_text("a file where a directory should be")
    with pytest.raises(CommandError, match="alias: "):
        aliases["x"] = "ps"
    assert not aliases


def test_a_file_is_replaced_whole_and_for_its_owner_only(home: Path) -> None:
    path = home / "deep" / "file"
    replace_file(path, b"one")
    replace_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["file"]  # noqa: PTH208


def test_a_link_to_the_file_stays_a_link(home: Path) -> None:
    (home / "real").mkdir()
    (home / "link").symlink_to(home / "real" / "file")
    replace_file(home / "link", b"x")
    assert (home / "link").is_symlink()
    assert (home / "real" / "file").read_bytes() == b"x"


CRASHRC = """\
# comment
set scroll off
set radix 16
alias un foreach UN bt
alias top "ps | head -5"
alias g1 gdb print 1
extend trace.so
"""


def test_the_lines_of_a_crashrc_are_taken_over_or_named() -> None:
    lines = read_rc(CRASHRC)
    assert lines.aliases == {"un": "foreach UN bt", "top": "ps | head -5"}
    assert lines.radix == 16
    assert [(number, why) for number, _, why in lines.unused] == [
        (2, "scroll has no meaning here"),
        (6, "there is no gdb here"),
        (7, "only alias and set lines are taken over"),
    ]


def test_an_import_keeps_aliases_of_the_readers_own(home: Path) -> None:
    write(BY_HAND)
    (home / ".crashrc").write_text("alias un ps\nalias top ps\n")
    _, report = import_crashrc(home / ".crashrc")
    assert load().aliases == {"un": "foreach UN bt", "top": "ps"}
    assert any("un" in line and "already" in line for line in report)


def test_the_file_counts_before_kscoperc_also_where_it_says_what_is_so_anyway(home: Path) -> None:
    write("radix = 10\n")
    (home / ".kscoperc").write_text("hex\n")
    assert load().radix == 10


def test_kscoperc_counts_without_a_file(home: Path) -> None:
    (home / ".kscoperc").write_text("alias top ps\nhex\n")
    assert load() == Config(aliases={"top": "ps"}, radix=16)


def test_any_character_can_be_saved() -> None:
    save_alias("x", "log | grep '\U0001f600\x7f\x01'")
    assert load().aliases == {"x": "log | grep '\U0001f600\x7f\x01'"}


def test_what_is_no_text_is_refused_as_an_alias() -> None:
    with pytest.raises(ConfigError, match="surrogates not allowed"):
        save_alias("x", "log | grep \udcff")
    assert not config_file().exists()


def test_a_comment_is_not_broken_where_toml_does_not_break_lines() -> None:
    write('# one\u2028theme = "light"\n')
    save_alias("x", "ps")
    assert config_file().read_text().startswith('# one\u2028theme = "light"\n')
    assert load() == Config(aliases={"x": "ps"})


def test_brackets_without_end_are_said_with_the_path() -> None:
    write("x = " + "[" * 100_000)
    with pytest.raises(ConfigError, match=str(config_file())):
        load()


def save_many(who: str) -> None:
    for number in range(20):
        save_alias(f"{who}{number}", "ps")


def test_two_kscopes_that_save_aliases_at_once_lose_none() -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=save_many, args=(who,)) for who in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert len(load().aliases) == 40


def test_kscoperc_is_read_before_the_file(home: Path) -> None:
    write(BY_HAND)
    (home / ".kscoperc").write_text("alias un ps\nalias top ps\nhex\n")
    config = load()
    assert config.aliases == {"un": "foreach UN bt", "top": "ps"}
    assert config.radix == 16


STANDS_FOR_NOTHING = """\
colour = "red"
theme = "light"

[keys]
"log.filtr" = "slash"
"log.fold" = "f, slsh"
"log.level" = ""

[alias]
un = "ps"
"""


def test_what_stands_for_nothing_is_said_with_its_line_and_what_is_nearest() -> None:
    write(STANDS_FOR_NOTHING)
    assert doubts(key_ids(), is_key) == (
        "config.toml, line 1: nothing is set by colour.",
        "config.toml, line 9: nothing is set by alias; the nearest is aliases.",
        "config.toml, line 5: no key does log.filtr; the nearest is log.filter.",
        "config.toml, line 6: there is no key slsh for log.fold.",
        "config.toml, line 7: there is no key without a name for log.level.",
    )


def test_the_rest_of_the_configuration_counts() -> None:
    write(STANDS_FOR_NOTHING)
    assert load().theme == "light"
    save_alias("un", "ps")
    assert load().aliases == {"un": "ps"}


def test_of_a_sound_file_there_is_nothing_to_say() -> None:
    assert doubts(key_ids(), is_key) == ()
    write(BY_HAND)
    assert doubts(key_ids(), is_key) == ()


def test_an_entry_that_is_not_on_a_line_of_its_own_is_said_without_one() -> None:
    write('keys = {"log.filtr" = "slash"}\n')
    (said,) = doubts(key_ids(), is_key)
    assert said == "config.toml: no key does log.filtr; the nearest is log.filter."


def test_all_that_keys_do_can_be_named() -> None:
    assert {"log.filter", "screen.log", "view.down", "chooser.open", "prompt.submit"} <= key_ids()


@pytest.mark.parametrize(
    "key",
    [
        "slash",
        "f",
        "F",
        "/",
        "ctrl+y",
        "ctrl+shift+f5",
        "question_mark",
        "pageup",
        "ö",
        "+",
        "ctrl++",
        " f",
    ],
)
def test_keys_by_textuals_names(key: str) -> None:
    assert is_key(key)


@pytest.mark.parametrize("key", ["", "slsh", "crtl+y", "fff", "ctrl+"])
def test_what_is_no_key(key: str) -> None:
    assert not is_key(key)


def test_config_says_it_beside_what_counts(capsys: pytest.CaptureFixture[str]) -> None:
    write(STANDS_FOR_NOTHING)
    assert configuring.run([]) == 0
    said = capsys.readouterr()
    assert "theme  light" in said.out
    assert "kscope: config.toml, line 5: no key does log.filtr" in said.err


def test_keys_may_be_given_as_characters_and_with_blanks() -> None:
    written = {"log.filter": "/, f", "log.fold": "+,ctrl++,Y,ctrl+y"}
    assert keymap(written) == {"log.filter": "slash,f", "log.fold": "plus,ctrl+plus,Y,ctrl+y"}
