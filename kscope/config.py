"""The reader's configuration: one TOML file, edited by hand and, for aliases, by kscope.

::

    theme = "dark"                # or "light"
    mouse = false
    radix = 10                    # of numbers: 10 or 16

    [aliases]
    blocked = "foreach UN bt | grep -A3 PID"
    of = "ps -m | grep $1"

    [keys]                        # which keys do what, by the names that ? shows
    "log.filter" = "slash,f"

``~/.kscoperc`` holds lines as crash's ``~/.crashrc`` does: ``alias`` and ``set``. What is in the
TOML file goes before it.
"""

import json
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, MutableMapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import platformdirs

from kscope.dialect.crash.errors import CommandError
from kscope.dialect.crash.line import LineError, parse
from kscope.files import locked, replace_file
from kscope.model.text import printable

_HEADER = "# kscope: aliases, keys and looks. See kscope config --help.\n"
_TABLE = re.compile(r"\s*\[\s*([A-Za-z0-9_.\"'-]+)\s*\]\s*(?:#.*)?$")


_NOT_UNDERSTOOD = (
    msgspec.ValidationError,
    tomllib.TOMLDecodeError,
    UnicodeError,
    RecursionError,
)


class ConfigError(Exception):
    """A configuration that cannot be used, in a sentence."""


class Config(msgspec.Struct, frozen=True):
    """Everything that can be set. What else the file says is no error, but told: ``doubts``."""

    theme: Literal["dark", "light"] = "dark"
    mouse: bool = False
    radix: Literal[10, 16] = 10
    aliases: dict[str, str] = {}
    keys: dict[str, str] = {}
    """Keys by the id of what they do, several with commas."""


def config_file() -> Path:
    """Where the configuration is, whether it exists or not."""
    return Path(platformdirs.user_config_dir("kscope", appauthor=False), "config.toml")


def rc_file() -> Path:
    """``~/.kscoperc``."""
    return Path("~/.kscoperc").expanduser()


def load() -> Config:
    """The configuration; defaults for what is not set.

    :raises ConfigError: if the file cannot be read or says what is not understood.
    """
    path = config_file()
    try:
        config = _parsed(path.read_bytes(), _rc_file_settings())
    except FileNotFoundError:
        config = _parsed(b"", _rc_file_settings())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except _NOT_UNDERSTOOD as error:
        raise ConfigError(f"{path}: {error}") from error
    return config


def _parsed(data: bytes, before: "RcLines | None" = None) -> Config:
    """:param before: what counts where the file says nothing."""
    said = tomllib.loads(data.decode())
    config = msgspec.convert(said, Config)
    if before is None:
        return config
    radix = config.radix if "radix" in said else before.radix
    return msgspec.structs.replace(config, aliases=before.aliases | config.aliases, radix=radix)


def doubts(
    key_ids: Collection[str] | None, is_key: Callable[[str], bool] = bool
) -> tuple[str, ...]:
    """A sentence for each thing in the file that stands for nothing; the rest counts.

    :param key_ids: what keys can be given to; ``None``: they are not looked at.
    """
    try:
        text = config_file().read_bytes().decode()
        said = tomllib.loads(text)
        keys = msgspec.convert(said, Config).keys
    except (OSError, *_NOT_UNDERSTOOD):
        return ()  # load() says why
    return tuple(
        printable(f"{config_file().name}{_line_of(text, table, name)}: {what}")
        for table, name, what in _stand_for_nothing(said, keys, key_ids, is_key)
    )


def _stand_for_nothing(
    said: dict[str, Any],
    keys: dict[str, str],
    key_ids: Collection[str] | None,
    is_key: Callable[[str], bool],
) -> Iterator[tuple[str, str, str]]:
    """Table, name and what is wrong with it."""
    for name in [name for name in said if name not in Config.__struct_fields__]:
        yield "", name, f"nothing is set by {name}{_nearest(name, Config.__struct_fields__)}."
    for name, value in keys.items() if key_ids is not None else ():
        if key_ids is not None and name not in key_ids:
            yield "keys", name, f"no key does {name}{_nearest(name, key_ids)}."
        for key in value.split(","):
            if not is_key(key.strip()):
                yield "keys", name, f"there is no key {key.strip() or 'without a name'} for {name}."


def _nearest(name: str, known: Collection[str]) -> str:
    from difflib import get_close_matches

    found = get_close_matches(name, sorted(known), 1)
    return f"; the nearest is {found[0]}" if found else ""


def _line_of(text: str, table: str, name: str) -> str:
    """Where in the file that is; empty where it is written in another way than one to a line."""
    inside = ""
    entry = _entry(name)
    for number, line in enumerate(text.split("\n"), start=1):
        if (start := _TABLE.match(line)) is not None:
            inside = start[1]
            if not table and inside.strip("\"'").split(".")[0] == name:
                return f", line {number}"
        elif inside == table and entry.match(line):
            return f", line {number}"
    return ""


def _entry(name: str) -> re.Pattern[str]:
    return re.compile(rf"""\s*(?:{re.escape(name)}|"{re.escape(name)}"|'{re.escape(name)}')\s*=""")


def _rc_file_settings() -> "RcLines | None":
    try:
        return read_rc(rc_file().read_text("utf-8", "replace"))
    except OSError:
        return None


# crash's own file.


class RcLines(msgspec.Struct, frozen=True):
    """What the lines of a ``.crashrc`` come to."""

    aliases: dict[str, str]
    radix: Literal[10, 16]
    unused: tuple[tuple[int, str, str], ...]
    """Lines that have no use here: number, text and why."""


def read_rc(text: str) -> RcLines:
    """The aliases and settings in the text of a ``.crashrc``."""
    aliases: dict[str, str] = {}
    radix: Literal[10, 16] = 10
    unused: list[tuple[int, str, str]] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        try:
            line = parse(raw)
            if not line.words and not line.shell:
                continue
            # An alias is a line itself: its pipe is part of it, quoted or not.
            words = raw.strip().split(None, 2)
            if words[0] == "alias":
                name, saved = _alias(words)
                aliases[name] = saved
            elif words[0] in ("hex", "dec") or words[:2] in (["set", "hex"], ["set", "dec"]):
                radix = 16 if words[-1] == "hex" else 10
            elif words[:2] == ["set", "radix"] and len(words) == 3:
                radix = 16 if words[2] in ("16", "hex") else 10
            elif words[0] == "set":
                raise CommandError(f"{' '.join(words[1:2])} has no meaning here")
            else:
                raise CommandError("only alias and set lines are taken over")
        except (CommandError, LineError) as error:
            unused.append((number, raw.strip(), str(error)))
    return RcLines(aliases, radix, tuple(unused))


def _alias(words: list[str]) -> tuple[str, str]:
    if len(words) < 3:
        raise CommandError("the alias stands for nothing")
    name, saved = words[1], words[2].strip()
    if saved[0] in "'\"" and saved[-1] == saved[0] and len(saved) > 1:
        saved = saved[1:-1]
    if not name.replace("-", "_").isidentifier():
        raise CommandError(f"{name} is no name for an alias")
    body = parse(saved)
    if body.command in ("gdb", "extend", "repeat", "wr"):
        raise CommandError(f"there is no {body.command} here")
    if not body.words and not body.shell:
        raise CommandError("the alias stands for nothing")
    return name, saved


# Writing.


class SavedAliases(MutableMapping[str, str]):
    """Aliases that are written to the file as they change."""

    def __init__(self, aliases: dict[str, str]) -> None:
        self._aliases = dict(aliases)

    def __getitem__(self, name: str) -> str:
        return self._aliases[name]

    def __setitem__(self, name: str, line: str) -> None:
        self._write(name, line)
        self._aliases[name] = line

    def __delitem__(self, name: str) -> None:
        self._write(name, None)
        del self._aliases[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._aliases)

    def __len__(self) -> int:
        return len(self._aliases)

    @staticmethod
    def _write(name: str, line: str | None) -> None:
        try:
            save_alias(name, line)
        except ConfigError as error:
            raise CommandError(f"alias: {error}") from error


def save_alias(name: str, line: str | None) -> None:
    """Write one alias into the file, or take it out; the rest of the file stays as it is.

    :raises ConfigError: if the file cannot be written, or is not understood.
    """
    path = config_file()
    try:
        with locked(path):
            _save_alias(path, name, line)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except _NOT_UNDERSTOOD as error:
        raise ConfigError(f"{path}: {error}") from error


def _save_alias(path: Path, name: str, line: str | None) -> None:
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        text = _HEADER
    before = _parsed(text.encode())
    wanted = {key: value for key, value in before.aliases.items() if key != name}
    if line is not None:
        wanted[name] = line
    changed = _with_alias(text, name, line).encode()
    if _parsed(changed) != msgspec.structs.replace(before, aliases=wanted):
        raise ConfigError(f"{path}: [aliases] is written in a way that cannot be edited here")
    replace_file(path, changed)


def _with_alias(text: str, name: str, line: str | None) -> str:
    """The text with one line of ``[aliases]`` changed, added or removed."""
    # Not splitlines(), which also breaks lines where TOML does not.
    lines = text.removesuffix("\n").split("\n")
    table, found, end = "", None, None
    entry = _entry(name)
    for index, each in enumerate(lines):
        if (start := _TABLE.match(each)) is not None:
            table = start[1]
        if table == "aliases":
            if each.strip():
                end = index + 1
            if entry.match(each):
                found = index
    new = [] if line is None else [f"{_quoted(name)} = {_quoted(line)}"]
    if found is not None:
        lines[found : found + 1] = new
    elif end is not None:
        lines[end:end] = new
    elif new:
        lines += ["", "[aliases]", *new]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A string of TOML: as JSON's, but with neither pairs of surrogates nor DEL in it."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def import_crashrc(path: Path) -> tuple[RcLines, list[str]]:
    """Take over the aliases of a ``.crashrc``; says what was taken over and what was not.

    :raises ConfigError: if it cannot be read, or the configuration not be written.
    """
    try:
        text = path.read_text("utf-8", "replace")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    lines = read_rc(text)
    report = []
    known = load().aliases
    for name, line in lines.aliases.items():
        if known.get(name, line) != line:
            report.append(f"kept   {name}: there is an alias of that name already")
            continue
        save_alias(name, line)
        report.append(f"taken  {name} = {line}")
    if lines.radix == 16:
        report.append("set    radix: write  radix = 16  into the file")
    report += [f"line {number} is not used: {why}: {text}" for number, text, why in lines.unused]
    return lines, report
