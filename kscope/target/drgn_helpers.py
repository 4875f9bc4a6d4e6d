"""Lets drgn's helpers be imported one by one; importing this file is enough, before any of them.

``drgn.helpers.linux`` imports every file in it when any of them is imported: 40 modules, and with
them drgn's whole command line, a tenth of the time that opening a dump takes. Here the package
stands for itself without that, until someone wants a name of the package rather than of a file in
it (``from drgn.helpers.linux import find_task``): then it runs as it would have at first.

Their walks through lists and trees are guarded from here on, whoever calls them: ``loops.py``.
"""

import importlib.util
import sys
from types import ModuleType
from typing import Any

_PACKAGE = "drgn.helpers.linux"


class _NotYetRun(ModuleType):
    """A package whose own code runs when one of its names is first asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__all__":
            raise AttributeError(name)
        import_all()
        return getattr(self, name)


def import_all() -> None:
    """Import all of drgn's helpers now, for code that looks into the package's ``__dict__``."""
    package: ModuleType = sys.modules[_PACKAGE]
    if type(package) is _NotYetRun:
        package.__class__ = ModuleType  # type: ignore[assignment]
        assert package.__spec__ is not None
        assert package.__spec__.loader is not None
        package.__spec__.loader.exec_module(package)


def _import_singly() -> None:
    spec = importlib.util.find_spec(_PACKAGE)
    if _PACKAGE in sys.modules or spec is None:
        return
    package = importlib.util.module_from_spec(spec)
    package.__class__ = _NotYetRun
    sys.modules[_PACKAGE] = package
    parent, _, name = _PACKAGE.rpartition(".")
    setattr(sys.modules[parent], name, package)


_import_singly()

from kscope.target import loops  # noqa: E402

loops.guard()
