"""Text from a dump, made harmless.

Task names, log lines and strings in a dump were written by whoever had that machine: they may
hold escape sequences that set the reader's clipboard, newlines that forge lines of output, or
marks that reverse the reading direction. They become ``str`` here and nowhere else.
"""

import re


def printable(raw: bytes | str) -> str:
    r"""``raw`` with everything that is not a visible character written as an escape.

    Control characters, ESC, invalid UTF-8, bidirectional and zero-width marks, private and
    unassigned characters become ``\x1b``, ``\xff``, ``\u202e``; everything else stays.
    """
    text = raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else raw
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def printable_lines(raw: bytes | str) -> str:
    """``printable``, but line breaks and tabs stay: for text that is shown line by line."""
    text = raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else raw
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\U{code:08x}"


def code_span(text: str) -> str:
    """Text as code in Markdown: its marks are longer than any in the text."""
    mark = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{mark}{text}{mark}" if len(mark) == 1 else f"{mark} {text} {mark}"
