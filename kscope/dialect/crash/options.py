"""The options of crash's commands, which may stand anywhere among the arguments."""

from collections.abc import Mapping

from kscope.dialect.crash.errors import CommandError
from kscope.dialect.crash.line import CrashLine, Word
from kscope.dialect.crash.nearest import refusal


def parse_options(line: CrashLine, known: str, usage: str) -> tuple[dict[str, str], list[Word]]:
    """The options with their values, and the words that are none.

    :param known: as for getopt(3): ``mC:`` is ``-m`` and ``-C`` with a value.
    :raises CommandError: with the usage, if there is another option.
    """
    takes_value = _known(known)
    options: dict[str, str] = {}
    rest: list[Word] = []
    words = iter(line.words[1:])
    for word in words:
        text = word.raw
        if len(text) < 2 or text[0] != "-" or text[1].isdigit():
            rest.append(word)
            continue
        letters = text[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter not in takes_value:
                refused = refusal(line.command, f"-{letter}")
                if refused:
                    raise CommandError(refused)
                raise CommandError(f"{line.command}: invalid option -- '{letter}'\nUsage: {usage}")
            value = ""
            if takes_value[letter]:
                following = None if letters else next(words, None)
                if not letters and following is None:
                    raise CommandError(
                        f"{line.command}: option requires an argument -- '{letter}'\nUsage: {usage}"
                    )
                value = letters or (following.text if following else "")
                letters = ""
            options[f"-{letter}"] = value
    return options, rest


def _known(known: str) -> Mapping[str, bool]:
    return {
        letter: known[index + 1 : index + 2] == ":"
        for index, letter in enumerate(known)
        if letter != ":"
    }
