"""What the configuration may say under ``[keys]``: the ids of all that keys do, and keys' names."""

import importlib
import pkgutil
import unicodedata
from collections.abc import Iterator, Mapping

from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import KEY_NAME_REPLACEMENTS, Keys, _character_to_key

import kscope.screens
import kscope.widgets

_MODIFIERS = frozenset(["alt", "ctrl", "hyper", "meta", "shift", "super"])
_NAMES = frozenset([*(key.value for key in Keys), *KEY_NAME_REPLACEMENTS.values()])


def key_ids() -> frozenset[str]:
    """The id of every binding of kscope's own. Imports every screen."""
    for package in (kscope.screens, kscope.widgets):
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
    for name in ("kscope.app", "kscope.chooser"):
        importlib.import_module(name)
    return frozenset(
        binding.id
        for node in _subclasses(DOMNode)
        if node.__module__.startswith("kscope.")
        for binding in node.__dict__.get("BINDINGS", ())
        if isinstance(binding, Binding) and binding.id
    )


def _subclasses(node: type[DOMNode]) -> Iterator[type[DOMNode]]:
    for each in node.__subclasses__():
        yield each
        yield from _subclasses(each)


def keymap(keys: Mapping[str, str]) -> dict[str, str]:
    """Keys by id as Textual wants them: without blanks, and a character by its name."""
    return {name: ",".join(map(_named, value.split(","))) for name, value in keys.items()}


def is_key(text: str) -> bool:
    """Whether a terminal may send this key: ``slash`` or ``/``, ``ctrl+y``, ``Y``."""
    modifiers, last = _parts(text)
    if not _MODIFIERS.issuperset(modifiers):
        return False
    if len(last) == 1 or last in _NAMES:
        return True
    try:
        # As Textual names a character that has no shorter name.
        unicodedata.lookup(last.replace("_", " "))
    except KeyError:
        return False
    return True


def _named(key: str) -> str:
    modifiers, last = _parts(key)
    return "+".join([*modifiers, _character_to_key(last) if len(last) == 1 else last])


def _parts(key: str) -> tuple[list[str], str]:
    """The modifiers, and the key that they modify, which may be + itself."""
    key = key.strip()
    if key == "+" or key.endswith("++"):
        *modifiers, _, _ = key.split("+")
        return modifiers, "+"
    *modifiers, last = key.split("+")
    return modifiers, last
