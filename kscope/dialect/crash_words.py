"""What crash's own commands take, which is less than what is typed here."""

import re

_SYMBOL = re.compile(r"[A-Za-z_]\w*(?:[+-](?:0x)?[0-9a-fA-F]+)?")


def is_symbol(text: str) -> bool:
    """Whether it is a symbol's name, ``schedule+0x20``: all else crash needs as an address."""
    return _SYMBOL.fullmatch(text.strip()) is not None
