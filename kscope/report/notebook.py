"""The notebook of one dump: thought blocks in order, and what can be done to them.

A block is what analysts write down: what I want to learn, the commands and their outputs
unchanged, what in them is relevant. Everything here is immutable: a change makes a new notebook,
so that undoing is going back to the one before.
"""

import secrets
from collections.abc import Sequence

import msgspec

TRIMMED = "..... (trim)"
"""What stands for output lines that the reader left out."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One command and its output, unchanged."""

    command: str
    """A crash command line, or where crash has none, what comes nearest."""
    output: str = ""
    drgn: str = ""
    """drgn code that yields the same."""
    answered_by: str = ""
    """``kscope``, ``drgn`` or ``shell``; empty when it was not run."""
    note: str = ""
    """Where the command shows less or other than the output."""
    trims: tuple[tuple[int, int], ...] = ()
    """Lines of the output that are left out: first and last, counted from 0, in order."""

    @property
    def lines(self) -> list[str]:
        """The output as the reader wants it."""
        lines = self.output.splitlines()
        for first, last in reversed(self.trims):
            lines[first : last + 1] = [TRIMMED]
        return lines

    def original_line(self, shown: int) -> int:
        """Which line of the output a shown line is; of a trim its first."""
        line = shown
        for first, last in self.trims:
            if line <= first:
                break
            line += last - first
        return line

    def trimmed(self, first: int, last: int) -> "Step":
        """Without these lines of the output, besides those already left out."""
        ranges: list[tuple[int, int]] = []
        for start, end in sorted((*self.trims, (min(first, last), max(first, last)))):
            if ranges and start <= ranges[-1][1] + 1:
                ranges[-1] = (ranges[-1][0], max(end, ranges[-1][1]))
            else:
                ranges.append((start, end))
        return msgspec.structs.replace(self, trims=tuple(ranges))

    def restored(self, line: int) -> "Step":
        """With the lines that are left out at ``line``."""
        kept = tuple((first, last) for first, last in self.trims if not first <= line <= last)
        return msgspec.structs.replace(self, trims=kept)


def new_id() -> str:
    """A name for a block that no other kscope gives to one of its own."""
    return secrets.token_hex(8)


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One thought."""

    id: str = msgspec.field(default_factory=new_id)
    question: str = ""
    """What I want to learn: Markdown of the reader's, its first line the heading."""
    steps: tuple[Step, ...] = ()
    relevant: str = ""
    """What is relevant in the outputs."""
    folded: bool = False

    @property
    def heading(self) -> str:
        """One line that names it."""
        first = self.question.strip().partition("\n")[0].lstrip("#").strip()
        if first:
            return first
        return self.steps[0].command if self.steps else ""


class Notebook(msgspec.Struct, frozen=True, kw_only=True):
    """The blocks of one dump, in order."""

    version: int = 1
    build_id: str = ""
    content: str = ""
    """The dump's fingerprint."""
    paths: tuple[str, ...] = ()
    """Where the dump was when it was opened, the last first."""
    blocks: tuple[Block, ...] = ()

    def find(self, block_id: str) -> Block | None:
        """The block of that name."""
        return next((block for block in self.blocks if block.id == block_id), None)

    def _with(self, blocks: Sequence[Block]) -> "Notebook":
        return msgspec.structs.replace(self, blocks=tuple(blocks))

    def added(self, block: Block, after: str = "") -> "Notebook":
        """With a block more: after the one named, else at the end."""
        blocks = list(self.blocks)
        places = [i + 1 for i, each in enumerate(blocks) if each.id == after]
        blocks.insert(places[0] if places else len(blocks), block)
        return self._with(blocks)

    def changed(self, block: Block) -> "Notebook":
        """With another content for the block of that name."""
        return self._with([block if each.id == block.id else each for each in self.blocks])

    def deleted(self, block_id: str) -> "Notebook":
        """Without a block."""
        return self._with([each for each in self.blocks if each.id != block_id])

    def moved(self, block_id: str, by: int) -> "Notebook":
        """With a block so many places further down."""
        blocks = list(self.blocks)
        places = [i for i, each in enumerate(blocks) if each.id == block_id]
        if not places:
            return self
        block = blocks.pop(places[0])
        blocks.insert(max(0, min(len(blocks), places[0] + by)), block)
        return self._with(blocks)


class History:
    """The notebooks that there were, to go back to and forth."""

    def __init__(self, notebook: Notebook) -> None:
        self.now = notebook
        self._before: list[tuple[str, Notebook]] = []
        self._after: list[tuple[str, Notebook]] = []

    def change(self, notebook: Notebook, what: str) -> None:
        """Go on to another notebook.

        :param what: what was done, as in "deleted a block".
        """
        if notebook != self.now:
            self._before.append((what, self.now))
            self._after.clear()
            self.now = notebook

    def undo(self) -> str:
        """Go back one step; what was undone, empty if there is nothing."""
        return self._step(self._before, self._after)

    def redo(self) -> str:
        """Go forth again."""
        return self._step(self._after, self._before)

    def _step(self, source: list[tuple[str, Notebook]], target: list[tuple[str, Notebook]]) -> str:
        if not source:
            return ""
        what, notebook = source.pop()
        target.append((what, self.now))
        self.now = notebook
        return what

    def merged(self, notebook: Notebook) -> None:
        """Take in what another kscope wrote; that is no step of this reader's to undo."""
        mine = {block.id for block in self.now.blocks}
        new = [block for block in notebook.blocks if block.id not in mine]
        self.now = notebook
        for steps in (self._before, self._after):
            steps[:] = [(what, _with_blocks(each, new)) for what, each in steps]


def _with_blocks(notebook: Notebook, blocks: Sequence[Block]) -> Notebook:
    for block in blocks:
        notebook = notebook.added(block)
    return notebook


# Two at once.


def merge(base: Notebook, mine: Notebook, theirs: Notebook) -> Notebook:
    """What two kscopes made of the same notebook, with nothing of either lost.

    A block that both changed is there twice, the other's copy after mine. One that one deleted
    and the other changed stays.

    :param base: what both began with.
    """
    before = {block.id: block for block in base.blocks}
    other = {block.id: block for block in theirs.blocks}
    merged: list[Block] = []
    for block in mine.blocks:
        old, their = before.get(block.id), other.get(block.id)
        if their is None:
            # They deleted it, or I added it.
            if old is None or not _same(old, block):
                merged.append(block)
        elif old is not None and _same(old, block):
            merged.append(their)
        else:
            merged.append(block)
            if not _same(their, block) and (old is None or not _same(old, their)):
                merged.append(msgspec.structs.replace(their, id=new_id()))
    mine_ids = {block.id for block in mine.blocks}
    previous = ""
    for block in theirs.blocks:
        old = before.get(block.id)
        mine_deleted = old is not None and block.id not in mine_ids
        if block.id not in mine_ids and (not mine_deleted or not _same(old, block)):
            places = [i + 1 for i, each in enumerate(merged) if each.id == previous]
            merged.insert(places[0] if places else len(merged), block)
        previous = block.id
    paths = tuple(dict.fromkeys((*mine.paths, *theirs.paths)))
    return msgspec.structs.replace(mine, blocks=tuple(merged), paths=paths)


def _same(one: Block | None, other: Block) -> bool:
    """Whether two blocks say the same; whether they are folded does not matter."""
    return one is not None and msgspec.structs.replace(one, folded=other.folded) == other
