"""Where notebooks are kept: one file per dump, whole at every moment, safe from a second kscope.

A save locks the notebook, reads what is there now, merges it if another kscope wrote it, and puts
the new file in the old one's place. Whoever is killed in the midst of it leaves the old file.
"""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import platformdirs

from kscope.files import locked, replace_file
from kscope.model.codec import from_json, to_json
from kscope.report.notebook import Notebook, merge


class StorageError(Exception):
    """A notebook that cannot be read or written, in a sentence."""


def directory() -> Path:
    """Where all notebooks are."""
    return Path(platformdirs.user_data_dir("kscope", appauthor=False), "reports")


class Storage:
    """The file of one notebook."""

    def __init__(self, build_id: str, content: str, place: Path | None = None) -> None:
        """:param content: the dump's fingerprint."""
        self._build_id = build_id
        self._content = content
        name = f"{build_id[:12] or 'no-build-id'}-{content[:20]}.json"
        self.path = (place or directory()) / name
        self._base = Notebook(build_id=build_id, content=content)
        self._written = b""
        self._in_turn = threading.Lock()
        """A save may still go on in its thread when whoever wanted it no longer waits."""

    def load(self, dump: str) -> tuple[Notebook, str]:
        """The notebook, a new one if there is none; and what there is to say about it.

        :param dump: the path under which the dump is open now.
        :raises StorageError: if it is there and cannot be read.
        """
        said = ""
        with self._in_turn, self._locked(to_save=False):
            found, damaged = self._read()
            if damaged is not None:
                said = f"the report was damaged; what is left of it is in {damaged}"
            self._base = found
        paths = tuple(dict.fromkeys((dump, *found.paths)))
        if found.paths and dump not in found.paths:
            said = said or f"this report was begun when the dump was {found.paths[0]}"
        return msgspec.structs.replace(found, paths=paths), said

    def save(self, notebook: Notebook) -> Notebook:
        """Write it; what another kscope wrote meanwhile is merged into what is returned.

        :raises StorageError: if it cannot be written; what was there before stays.
        """
        with self._in_turn, self._locked(to_save=True):
            theirs, _ = self._read()
            # A file that is gone or damaged is no other kscope's wish to delete what is in it.
            if self._bytes_now and self._written != self._bytes_now:
                notebook = merge(self._base, notebook, theirs)
            data = to_json(notebook) + b"\n"
            if data != self._bytes_now:
                try:
                    replace_file(self.path, data)
                except OSError as error:
                    raise StorageError(
                        f"the report is not saved: {self.path}: {error.strerror}"
                    ) from error
            self._base, self._written = notebook, data
        return notebook

    def changed_by_another(self) -> bool:
        """Whether another kscope has written it since."""
        try:
            return self.path.read_bytes() != self._written
        except OSError:
            return False

    def _read(self) -> tuple[Notebook, Path | None]:
        """What the file holds; where it was put aside, if it is no notebook."""
        self._bytes_now = b""
        new = Notebook(build_id=self._build_id, content=self._content)
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return new, None
        except OSError as error:
            raise StorageError(f"the report cannot be read: {self.path}: {error.strerror}") from (
                error
            )
        try:
            notebook = from_json(data, Notebook)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            aside = self._aside()
            try:
                self.path.rename(aside)
            except OSError as error:
                raise StorageError(f"{self.path} is damaged: {error.strerror}") from error
            return new, aside
        self._bytes_now = data
        return notebook, None

    def _aside(self) -> Path:
        for number in range(1, 1000):
            path = self.path.with_suffix(f".damaged-{number}")
            if not path.exists():
                return path
        raise StorageError(f"there are too many damaged copies of {self.path}")

    @contextlib.contextmanager
    def _locked(self, *, to_save: bool) -> Iterator[None]:
        """Keep every other kscope out; where nothing can be written, reading needs no lock."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked(self.path))
            except OSError as error:
                if to_save:
                    raise StorageError(
                        f"the report is not saved: {error.filename}: {error.strerror}"
                    ) from error
            yield
