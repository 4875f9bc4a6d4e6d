"""A notebook as Markdown in the form that analysts send, and as plain text."""

import re
from collections.abc import Iterator
from importlib import metadata
from typing import Literal

import msgspec

from kscope import __version__
from kscope.dialect.layout import date, size
from kscope.model.base import Unreadable
from kscope.model.system import System
from kscope.model.target import DebugInfo, Identity
from kscope.model.text import code_span
from kscope.report.notebook import Block, Notebook, Step
from kscope.report.redaction import Redactor

Form = Literal["markdown", "text"]

PROMPT = "crash> "
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~])")
_TAG = re.compile(r"<(?=[A-Za-z/!?])(?!https?:)")
_CODE = re.compile(r"(?<!`)(`+)(?!`)(?:(?!\n[ \t]*\n).)+?(?<!`)\1(?!`)", re.DOTALL)
"""A code span: it ends with as many backquotes as it begins with, in the same paragraph."""
_MOST_UNREADABLE = 20


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What the outputs are outputs of."""

    identity: Identity
    debug_info: DebugInfo | None = None
    system: System | None = None
    drgn_version: str = ""

    @property
    def title(self) -> str:
        """The dump and how it died."""
        panic = self.system.panic_message if self.system else ""
        words = panic.removeprefix("Kernel panic - not syncing: ")
        return f"{self.identity.name}: {words}" if words else self.identity.name


def drgn_version() -> str:
    """Of the drgn that reads the dump; empty if it is not here."""
    try:
        return metadata.version("drgn")
    except metadata.PackageNotFoundError:
        return ""


def export(notebook: Notebook, header: Header, form: Form, redactor: Redactor | None = None) -> str:
    """The whole report.

    :param redactor: replaces names; ``None`` leaves everything as it is.
    """
    text = "\n".join((_markdown if form == "markdown" else _plain)(notebook, header)).rstrip()
    return (redactor.redact(text) if redactor else text) + "\n"


# What both say.


def _facts(header: Header) -> Iterator[tuple[str, str]]:
    identity, system = header.identity, header.system
    shape = " ".join(filter(None, (identity.format, identity.compression)))
    yield "Dump", f"{identity.path} ({shape}, {size(identity.size_bytes)})"
    yield "Release", " ".join(filter(None, (identity.release, identity.version)))
    yield "Build-ID", identity.build_id or "none"
    if system is not None and system.nodename:
        yield "Host", system.nodename
    if system is not None and system.date_seconds is not None:
        yield "Date", date(system.date_seconds)
    if system is not None and system.panic_message:
        yield "Panic", system.panic_message
    yield "Complete", _completeness(identity)
    info = header.debug_info
    if info is not None:
        source = {"dwarf": info.vmlinux, "btf": "the dump's own BTF", "none": "none"}[info.types]
        yield "Types", source
    versions = f"kscope {__version__}"
    yield "Read by", f"{versions}, drgn {header.drgn_version}" if header.drgn_version else versions


def _completeness(identity: Identity) -> str:
    said = "yes" if identity.complete else f"no: {identity.incomplete_why}"
    if identity.filtered:
        said += f"; partial on purpose (makedumpfile -d {identity.dump_level})"
    return said


def _unreadable(header: Header) -> list[str]:
    """What the reader of the report must know is missing."""
    missing = list(header.debug_info.missing) if header.debug_info else []
    failed: tuple[Unreadable, ...] = header.system.unreadable if header.system else ()
    missing += [f"{value.what}: {value.why}" for value in failed]
    more = len(missing) - _MOST_UNREADABLE
    return missing[:_MOST_UNREADABLE] + ([f"and {more} more"] if more > 0 else [])


def _shown(step: Step) -> list[str]:
    """The prompt, the command and the output, unchanged."""
    command = step.command or "(no crash command shows this)"
    lines = [PROMPT + command, *step.lines]
    if not step.answered_by:
        lines.append("(not run)")
    return lines


# Markdown.


def _markdown(notebook: Notebook, header: Header) -> Iterator[str]:
    yield f"# {_escaped(header.title)}"
    yield ""
    for label, value in _facts(header):
        yield f"- {label}: {_escaped(value)}"
    missing = _unreadable(header)
    if missing:
        yield "- Not readable:"
        yield from (f"  - {_escaped(value)}" for value in missing)
    for number, block in enumerate(notebook.blocks, start=1):
        yield ""
        yield from _markdown_block(number, block)


def _markdown_block(number: int, block: Block) -> Iterator[str]:
    heading = _without_tags(block.heading) if block.question.strip() else code_span(block.heading)
    yield f"## {number}. {heading}".rstrip()
    rest = block.question.strip().partition("\n")[2].strip("\n")
    if rest:
        yield ""
        yield _without_tags(rest)
    for step in block.steps:
        lines = _shown(step)
        # A fence must be longer than any in the output.
        longest = max((len(m[0]) for line in lines for m in re.finditer("~+", line)), default=0)
        fence = "~" * max(3, longest + 1 if longest >= 3 else 3)
        yield ""
        yield fence
        yield from lines
        yield fence
        if step.note:
            yield ""
            yield f"*{_escaped(step.note)}*"
    if block.relevant.strip():
        yield ""
        yield _without_tags(block.relevant.strip())


def _escaped(text: str) -> str:
    """Text that is not the reader's own, so that Markdown makes nothing of it."""
    return _MARKDOWN.sub(r"\\\1", text)


def _without_tags(text: str) -> str:
    """The reader's Markdown, in which a name from the dump may look like a tag of HTML."""
    # An entity, since a backslash that stands before the name already would undo another.
    pieces = []
    end = 0
    for code in _CODE.finditer(text):
        pieces += [_TAG.sub("&lt;", text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*pieces, _TAG.sub("&lt;", text[end:])])


# Plain text.


def _plain(notebook: Notebook, header: Header) -> Iterator[str]:
    yield header.title
    yield "=" * len(header.title)
    yield ""
    facts = list(_facts(header))
    width = max(len(label) for label, _ in facts)
    for label, value in facts:
        yield f"{label:>{width}}: {value}"
    missing = _unreadable(header)
    if missing:
        yield ""
        yield "Not readable:"
        yield from (f"  {value}" for value in missing)
    for number, block in enumerate(notebook.blocks, start=1):
        title = f"{number}. {block.heading}"
        yield from ("", title, "-" * len(title))
        rest = block.question.strip().partition("\n")[2].strip("\n")
        if rest:
            yield from ("", rest)
        for step in block.steps:
            yield ""
            yield from _shown(step)
            if step.note:
                yield f"({step.note})"
        if block.relevant.strip():
            yield from ("", block.relevant.strip())
