"""The words of an expression of the address bar, one after the other."""

import re
from dataclasses import dataclass, field

from kscope.model.base import QueryError

LONGEST = 1000
"""Characters: beyond this it was pasted by mistake."""
DEEPEST = 50
"""Parentheses and signs within each other."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<hexadecimal>0[xX][0-9a-fA-F]+)
      | (?P<name>[A-Za-z_$][A-Za-z0-9_$]*)
      | (?P<digits>[0-9][0-9a-fA-F]*)
      | (?P<sign>->|[-+.\[\]()&*:,])
      | (?P<other>\S)
    )""",
    re.VERBOSE,
)
BARE_ADDRESS = re.compile(r"[0-9a-fA-F]{8,16}")
TYPE_KEYWORDS = ("struct", "union", "enum")
BASE_TYPE_WORDS = ("unsigned", "signed", "long", "short", "int", "char")
"""Of which a type's name may have several."""
EXAMPLES = "For example: init_task, pid 1, task_struct 0xffff…, runqueues:0, schedule+0x20."


@dataclass
class Reader:
    """A place in the text that is being read."""

    text: str
    position: int = 0
    depth: int = 0
    _token: tuple[str, str, int] | None = field(default=None, repr=False)

    def peek(self) -> tuple[str, str]:
        """Kind and text of the next token; two empty strings at the end."""
        if self._token is None:
            match = _TOKEN.match(self.text, self.position)
            if match is None:
                self._token = ("", "", len(self.text))
            else:
                self._token = (match.lastgroup or "", match[match.lastgroup or 0], match.end())
        return self._token[0], self._token[1]

    def take(self) -> tuple[str, str]:
        token = self.peek()
        assert self._token is not None
        self.position, self._token = self._token[2], None
        return token

    def accept(self, sign: str) -> bool:
        if self.peek() == ("sign", sign):
            self.take()
            return True
        return False

    def expect(self, sign: str) -> None:
        if not self.accept(sign):
            found = self.peek()[1]
            raise QueryError(
                f"There should be a {sign} {f'before {found}' if found else 'at the end'}."
            )

    def go_to(self, position: int) -> None:
        self.position, self._token = position, None


def checked(text: str) -> str:
    text = text.strip()
    if len(text) > LONGEST:
        raise QueryError(f"This is {len(text):,} characters long: it is no expression.")
    if not text:
        raise QueryError("Nothing was asked for.", EXAMPLES)
    return text


def skip_blanks(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def continues(text: str, position: int) -> bool:
    return position < len(text) and (text[position].isalnum() or text[position] in "_$")
