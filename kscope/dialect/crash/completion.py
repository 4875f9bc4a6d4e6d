"""How a crash command line may go on: commands, options, symbols, types and members."""

import re
from collections.abc import Iterable

import msgspec

from kscope.dialect.crash.interpreter import BUILTIN_ALIASES, Interpreter, answered_here, find
from kscope.model.command import CommandsQuery
from kscope.model.expressions import CompletionQuery

_OPTION = re.compile(r"(?<![\w-])-([A-Za-z])\b")
_WORDS = {
    "foreach": (
        "UN", "IN", "RU", "ID", "ZO", "ST", "TR", "kernel", "user", "gleader", "active",
        "bt", "files", "net", "ps", "set", "sig", "task", "vm", "vtop",
    ),
    "ps": ("NORMAL", "FIFO", "RR", "BATCH", "IDLE", "DEADLINE"),
    "set": ("radix", "hex", "dec"),
    "sys": ("config",),
}  # fmt: skip
"""Words that are neither options nor names of the kernel's."""

_NAMES_OF_THE_KERNEL = frozenset((
    "p", "struct", "union", "*", "eval", "rd", "sym", "whatis", "list", "tree", "dis", "search",
    "px", "pd", "waitq", "kmem", "vtop",
))  # fmt: skip
"""Commands that take symbols, types and members."""


class Completion(msgspec.Struct, frozen=True):
    """What a line may become."""

    common: str
    """The line with as much added as all of them begin with."""
    lines: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """What each adds, to be listed."""


async def complete(interpreter: Interpreter, text: str) -> Completion:
    """How ``text`` may go on, completed at its end."""
    if "|" in text or text.startswith("!"):
        return Completion(text)
    before, word = _last_word(text)
    command = text.split(None, 1)[0] if before.strip() else ""
    if not before.strip():
        return _among(before, word, sorted(await _commands(interpreter)))
    if word.startswith("-"):
        return _among(before, word, _options(command))
    if command == "help":
        return _among(before, word, sorted(await _commands(interpreter)))
    words = [each for each in _WORDS.get(command, ()) if each.startswith(word)]
    if words and word:
        return _among(before, word, words)
    if word and command in _NAMES_OF_THE_KERNEL:
        found = await interpreter.look_up(CompletionQuery(text=word, limit=60))
        names = [candidate.text for candidate in found.candidates]
        # A member may follow.
        return _among(before, word, names, end="")
    return _among(before, word, _WORDS.get(command, ()))


def _last_word(text: str) -> tuple[str, str]:
    start = len(text) - len(text.lstrip("(&*!~"))
    match = re.search(r"[^\s(),&*+|~!-]*$|(?<=\s)-\w*$", text[start:])
    at = start + (match.start() if match else 0)
    if at and text[at - 1] == "-" and (at == 1 or text[at - 2].isspace()):
        at -= 1
    return text[:at], text[at:]


async def _commands(interpreter: Interpreter) -> set[str]:
    known = await interpreter.look_up(CommandsQuery())
    return {
        *answered_here(), *interpreter.aliases, *BUILTIN_ALIASES,
        *(command.name for command in known.commands), "q",
    }  # fmt: skip


def _options(command: str) -> list[str]:
    """The options that its usage names."""
    module = find(BUILTIN_ALIASES.get(command, command))
    if module is None:
        return []
    return [f"-{letter}" for letter in dict.fromkeys(_OPTION.findall(module.USAGE))]


def _among(before: str, word: str, names: Iterable[str], *, end: str = " ") -> Completion:
    fitting = [name for name in names if name.startswith(word)]
    if not fitting:
        return Completion(before + word)
    first, last = min(fitting), max(fitting)
    same = next((i for i, c in enumerate(first) if last[i : i + 1] != c), len(first))
    common = first[:same]
    return Completion(
        before + common + (end if len(fitting) == 1 else ""),
        tuple(before + name for name in fitting),
        tuple(fitting),
    )
