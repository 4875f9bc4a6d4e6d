"""The keys that work at this moment, read from the bindings of the focused widget and around it.

There is no second list of keys: the footer, the help and the palette all read the bindings, so
none of them can be wrong about a key, also when the user's configuration has changed it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen

_NAMES = {
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "escape": "esc",
    "question_mark": "?",
    "slash": "/",
    "colon": ":",
    "asterisk": "*",
    "full_stop": ".",
    "comma": ",",
    "minus": "-",
    "plus": "+",
    "equals_sign": "=",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "exclamation_mark": "!",
    "number_sign": "#",
    "ampersand": "&",
    "apostrophe": "'",
    "quotation_mark": '"',
}


def key_name(key: str) -> str:
    """A key as it is written on screen: ``ctrl+y``, ``/``, ``pgdn``."""
    *modifiers, last = key.split("+")
    return "+".join([*modifiers, _NAMES.get(last, last)])


@dataclass
class KeyHelp:
    """An action with all the keys that perform it."""

    binding: Binding
    node: DOMNode
    """Where the binding is defined: whose action it is."""
    names: list[str] = field(default_factory=list)
    enabled: bool = True

    @property
    def keys(self) -> str:
        return self.binding.key_display or " ".join(self.names)

    @property
    def what(self) -> str:
        return self.binding.description


def active_keys(screen: Screen[object]) -> list[KeyHelp]:
    """Every action that a key performs now, the focused widget's first.

    Bindings without an id are Textual's own and left out: all of kscope's have one, because
    the user's configuration names them by it.
    """
    by_action: dict[tuple[DOMNode, str], KeyHelp] = {}
    for key, (node, binding, enabled, _) in screen.active_bindings.items():
        if not binding.id or not binding.description or _is_typed(screen, key, node):
            continue
        action = (node, binding.action)
        entry = by_action.setdefault(action, KeyHelp(binding, node, enabled=enabled))
        entry.names.append(key_name(key))
    return list(by_action.values())


def _is_typed(screen: Screen[object], key: str, node: DOMNode) -> bool:
    """Whether the key does not get as far as ``node``, because it is typed into an input."""
    focused = screen.focused
    if focused is None or node is focused:
        return False
    name = key_name(key)
    return focused.check_consume_key(key, name if len(name) == 1 else None)


def footer_keys(screen: Screen[object]) -> list[KeyHelp]:
    """What the last line shows: the bindings with ``show``, with their first key only."""
    shown: dict[str, KeyHelp] = {}
    for entry in active_keys(screen):
        if entry.binding.show:
            group = entry.binding.group
            if group is None:
                shown[entry.binding.action] = KeyHelp(entry.binding, entry.node, entry.names[:1])
            elif group.description in shown:
                shown[group.description].names[0] += entry.names[0]
            else:
                merged = Binding("", "", group.description)
                shown[group.description] = KeyHelp(merged, entry.node, entry.names[:1])
    return list(shown.values())


def heading(node: DOMNode) -> str:
    """What the help calls the place where a binding is defined."""
    own = getattr(node, "HELP_HEADING", "")
    if own:
        return str(own)
    if isinstance(node, App):
        return "Everywhere"
    words = re.findall(r"[A-Z]+[a-z]*|[a-z]+", type(node).__name__)
    return " ".join(words).capitalize()
