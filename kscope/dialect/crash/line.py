r"""A crash command line, taken apart.

::

    ps -m | grep UN              the command's output into a pipeline of the user's shell
    bt -a > FILE   bt >> FILE    into a file
    bt < FILE                    the command once for each line of FILE, whose words are added
    < FILE                       the command lines in FILE
    ! ls   | ls                  the user's shell alone
    # words                      nothing

As in crash, ``|``, ``<`` and ``>`` inside quotes or parentheses belong to the command, so that
``p (1 << 3)`` means a shift, and so does the arrow of ``p init_task->comm``. What follows the first
``|`` is the shell's and is not looked at.
"""

import re
import shlex
from collections.abc import Sequence

import msgspec

_QUOTES = "'\""
_PLACEHOLDER = re.compile(r"\$(?:(\d)|(\*))")
_NEEDS_QUOTES = re.compile(r"[\s'\"|<>()]|^$|^[#!]")


class LineError(Exception):
    """A line that means nothing, in a sentence."""


class Word(msgspec.Struct, frozen=True):
    """One word of a command."""

    text: str
    """Without its quotes."""
    raw: str
    """As it was typed."""

    @property
    def is_pattern(self) -> bool:
        """Whether it is in single quotes, which crash takes for a regular expression."""
        return len(self.raw) > 2 and self.raw[0] == self.raw[-1] == "'"


class CrashLine(msgspec.Struct, frozen=True, kw_only=True):
    """What a command line asks for. Empty when it asks for nothing."""

    words: tuple[Word, ...] = ()
    shell: str = ""
    """What goes to the user's shell, verbatim: a pipeline, or after ``!`` a command."""
    shell_arguments: tuple[str, ...] = ()
    """What ``$1`` and so on are in it; never text that the shell would read as its own."""
    output_file: str = ""
    append: bool = False
    input_file: str = ""

    @property
    def command(self) -> str:
        """The command's name; empty when there is none."""
        return self.words[0].text if self.words else ""

    @property
    def arguments(self) -> tuple[str, ...]:
        """The words after it, without quotes."""
        return tuple(word.text for word in self.words[1:])

    @property
    def argument_text(self) -> str:
        """The words after it as they were typed: an expression is one, whatever its blanks."""
        return " ".join(word.raw for word in self.words[1:])

    @property
    def text(self) -> str:
        """The command without pipes and redirections."""
        return " ".join(word.raw for word in self.words)

    @property
    def whole(self) -> str:
        """With them. The arguments of the shell stay parameters: put in the places of ``$1``, one
        with a ``$(`` in it would be a command where the pipeline has double quotes."""
        parts = [self.text] if self.words else []
        if self.input_file:
            parts.append(f"< {self.input_file}")
        if self.shell:
            shell = self.shell
            if self.shell_arguments and "$" in shell:
                shell = shlex.join(("sh", "-c", shell, "sh", *self.shell_arguments))
            parts.append(f"{'|' if self.words else '!'} {shell}")
        if self.output_file:
            parts.append(f"{'>>' if self.append else '>'} {self.output_file}")
        return " ".join(parts)


def parse(text: str) -> CrashLine:
    """Take a command line apart.

    :raises LineError: if it means nothing.
    """
    text = text.strip()
    if not text or text.startswith("#"):
        return CrashLine()
    if text[0] in "!|":
        command = text[1:].strip()
        if not command:
            raise LineError("an interactive shell needs a terminal of its own; ! COMMAND runs one")
        return CrashLine(shell=command)
    return _Scanner(text).scan()


class _Scanner:
    """Reads a line from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._words: list[Word] = []
        self._files: dict[str, str] = {}

    def scan(self) -> CrashLine:
        depth = 0
        while (character := self._next()) is not None:
            if depth == 0 and character == "|":
                pipeline = self._text[self._position + 1 :].strip()
                if not pipeline:
                    raise LineError("there is no command after |")
                return self._line(pipeline)
            if depth == 0 and character in "<>" and not self._is_arrow():
                self._redirection()
                continue
            word, depth = self._word(depth)
            self._words.append(word)
        return self._line("")

    def _line(self, pipeline: str) -> CrashLine:
        if pipeline and ">" in self._files:
            raise LineError("the output goes into a file or into a pipeline, not both")
        return CrashLine(
            words=tuple(self._words),
            shell=pipeline,
            output_file=self._files.get(">", ""),
            append="append" in self._files,
            input_file=self._files.get("<", ""),
        )

    def _next(self) -> str | None:
        """The next character that is not blank."""
        while self._position < len(self._text):
            if not self._text[self._position].isspace():
                return self._text[self._position]
            self._position += 1
        return None

    def _is_arrow(self, position: int | None = None) -> bool:
        """Whether the ``>`` there is the end of a ``->`` between two names."""
        at = self._position if position is None else position
        before, after = self._text[max(0, at - 2) : at], self._text[at + 1 : at + 2]
        return (
            self._text[at] == ">" and len(before) == 2 and before[1] == "-"
            and (before[0].isalnum() or before[0] in "_)]")
            and (after.isalpha() or after == "_")
        )  # fmt: skip

    def _word(self, depth: int) -> tuple[Word, int]:
        """The word here, and how deep in parentheses it ends."""
        start = self._position
        text = ""
        while self._position < len(self._text):
            character = self._text[self._position]
            if character.isspace():
                break
            if character in _QUOTES:
                end = self._text.find(character, self._position + 1)
                if end < 0:
                    raise LineError(f"the quote {character} is not closed")
                text += self._text[self._position + 1 : end]
                self._position = end + 1
                continue
            if depth == 0 and (
                character == "|" or (character in "<>" and not self._is_arrow())
            ):  # fmt: skip
                break
            if character == "(":
                depth += 1
            elif character == ")":
                depth = max(0, depth - 1)
            text += character
            self._position += 1
        return Word(text, self._text[start : self._position]), depth

    def _redirection(self) -> None:
        operator = self._text[self._position]
        self._position += 1
        if self._text[self._position : self._position + 1] == operator:
            if operator == "<":
                raise LineError("a shift goes into parentheses: (1 << 3)")
            self._position += 1
            self._files["append"] = ""
        following = self._next()
        if following is None or following in "|<>":
            raise LineError(f"there is no file after {operator}")
        if operator in self._files:
            raise LineError(f"there is more than one {operator}")
        self._files[operator] = self._word(0)[0].text
        if not self._files[operator]:
            raise LineError(f"there is no file after {operator}")


def quoted(text: str) -> Word:
    """A word that stands for exactly ``text``."""
    if not _NEEDS_QUOTES.search(text):
        return Word(text, text)
    # Double quotes: single ones would make a regular expression of it.
    quote = "'" if '"' in text else '"'
    return Word(text, f"{quote}{text}{quote}" if quote not in text else shlex.quote(text))


def expand(line: CrashLine, alias: str) -> CrashLine:
    """The line with its first word, an alias, replaced by what that stands for.

    ``$1`` to ``$9`` and ``$*`` in the alias are the line's arguments; if there is none of them the
    arguments are added, as crash does. An argument stays one word whatever is in it, and in the
    pipeline of an alias it is a parameter of the shell: it can never become a command.

    :raises LineError: if the alias means nothing, or has a redirection where the line has one.
    """
    body = parse(alias)
    arguments = line.words[1:]
    if not body.words and not body.shell:
        raise LineError(f"the alias {line.command} stands for nothing")
    if body.output_file and (line.output_file or line.shell):
        raise LineError(f"the alias {line.command} has its own >")
    pipeline = body.shell or line.shell
    if body.shell and line.shell:
        pipeline = f"{{ {body.shell}\n}} | {line.shell}"
    used = _PLACEHOLDER.search(alias) is not None
    words: list[Word] = []
    for word in body.words:
        words += _substituted(word, arguments)
    if not used:
        words += arguments
    return CrashLine(
        words=tuple(words),
        shell=pipeline,
        shell_arguments=tuple(word.text for word in arguments) if body.shell else (),
        output_file=body.output_file or line.output_file,
        append=body.append or line.append,
        input_file=body.input_file or line.input_file,
    )


def _substituted(word: Word, arguments: Sequence[Word]) -> list[Word]:
    if word.raw == "$*":
        return list(arguments)
    if not _PLACEHOLDER.search(word.raw) or word.is_pattern:
        return [word]
    alone = re.fullmatch(r"\$(\d)", word.raw)
    if alone:
        index = int(alone[1]) - 1
        return [arguments[index]] if 0 <= index < len(arguments) else []

    def replacement(match: re.Match[str]) -> str:
        if match[2]:
            return " ".join(argument.text for argument in arguments)
        index = int(match[1]) - 1
        return arguments[index].text if 0 <= index < len(arguments) else ""

    return [quoted(_PLACEHOLDER.sub(replacement, word.text))]
