"""The report of the dump that is open: loaded when it is first needed, saved as it is written."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from kscope.dialect.crash.interpreter import Asker
from kscope.model.base import QueryError
from kscope.model.fingerprint import FingerprintQuery
from kscope.report.notebook import Block, History, Notebook
from kscope.report.storage import Storage, StorageError

_SAVE_AFTER_SECONDS = 0.5
"""After the last change, so that typing is not a write a key."""
_RETRY_SECONDS = 5.0


class Reports:
    """One dump's notebook, its past, and its file."""

    def __init__(self, ask: Asker, dump: Callable[[], str]) -> None:
        """:param dump: the path under which the dump is open."""
        self._ask = ask
        self._dump = dump
        self._history = History(Notebook())
        self._storage: Storage | None = None
        self._opening: asyncio.Task[None] | None = None
        self._saving: asyncio.Task[None] | None = None
        self._change = asyncio.Event()
        self.said = ""
        """What is to be known about the report since it was opened; empty when all is well."""
        self.problem = ""
        """Why it is not saved; empty when it is."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when blocks changed or the state of saving did."""

    @property
    def notebook(self) -> Notebook:
        """As it is now."""
        return self._history.now

    @property
    def path(self) -> Path | None:
        """Its file."""
        return self._storage.path if self._storage else None

    @property
    def is_saved(self) -> bool:
        """Whether everything is in the file."""
        return not self._change.is_set() and not self.problem

    async def open(self) -> None:
        """Load it, if that was not done before; once more if it is not known which dump it is."""
        if self._opening is None or (self._opening.done() and self._storage is None):
            self._opening = asyncio.create_task(self._open())
        await asyncio.shield(self._opening)

    async def _open(self) -> None:
        try:
            found = await self._ask(FingerprintQuery())
            storage = Storage(found.build_id, found.content)
            notebook, self.said = await asyncio.to_thread(storage.load, self._dump())
        except (QueryError, StorageError) as error:
            # Written all the same; it is saved as soon as that can be done.
            self.problem = str(error)
            self.on_change()
            return
        self._storage, self.problem = storage, ""
        if self._history.now.blocks:
            for block in self._history.now.blocks:
                notebook = notebook.added(block)
        self._history.merged(notebook)
        self.on_change()

    def change(self, notebook: Notebook, what: str) -> None:
        """Go on to another notebook, and save it.

        :param what: what was done, as undoing it will say.
        """
        self._history.change(notebook, what)
        self._changed()

    def add(self, block: Block, after: str = "") -> int:
        """Add a block; returns its number in the report."""
        self.change(self.notebook.added(block, after), "added a block")
        return 1 + [each.id for each in self.notebook.blocks].index(block.id)

    def undo(self) -> str:
        """Undo; says what was undone."""
        what = self._history.undo()
        self._changed()
        return what

    def redo(self) -> str:
        """Redo; says what was done again."""
        what = self._history.redo()
        self._changed()
        return what

    def _changed(self) -> None:
        self._change.set()
        self.on_change()
        if self._saving is None or self._saving.done():
            self._saving = asyncio.create_task(self._save_changes())

    async def _save_changes(self) -> None:
        """Save until there is nothing left to save; a full disk is tried again and again."""
        await asyncio.sleep(_SAVE_AFTER_SECONDS)
        while self._change.is_set():
            await self.open()
            if not await self.save():
                await asyncio.sleep(_RETRY_SECONDS)

    async def save(self) -> bool:
        """Save now. Returns whether that was possible."""
        if self._opening is not None:
            await asyncio.shield(self._opening)
        if self._storage is None:
            return False
        self._change.clear()
        before = self.notebook
        try:
            saved = await asyncio.to_thread(self._storage.save, before)
        except StorageError as error:
            self.problem = str(error)
            self._change.set()
            self.on_change()
            return False
        self.problem = ""
        if saved != before and self.notebook is before:
            self._history.merged(saved)
        elif saved != before:
            # Written on meanwhile: the next save merges again.
            self._change.set()
        self.on_change()
        return True

    async def refresh(self) -> None:
        """Take in what another kscope wrote."""
        if self._storage is None:
            await self.open()
        elif self._storage.changed_by_another():
            await self.save()

    async def close(self) -> None:
        """Save what is not yet saved, once."""
        if self._saving is not None:
            self._saving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._saving
        if self._change.is_set():
            await self.save()
