"""Keys one after the other.

Textual gives each key at once to what has the focus. Over SSH, and of what is pasted, several keys
arrive together: those right behind the one that opens a prompt would be commands to what was there
before, and not typed in it.
"""

from collections import deque
from functools import partial

from textual import on
from textual.app import App
from textual.events import Event, Key, Paste
from textual.message import Message
from textual.timer import Timer

_LONGEST = 0.5
"""Seconds that a key may keep the next ones waiting: it may lead to what has just been removed."""


class Handled(Message):
    """Follows a key from widget to widget; when it comes to the app, the key has been obeyed."""

    def __init__(self, key: Key | Paste) -> None:
        super().__init__()
        self.key = key


class KeysInTurn(App[str]):
    """An app that gives a key to what has the focus when the keys before it have been obeyed."""

    def __init__(self, *, ansi_color: bool | None = None) -> None:
        super().__init__(ansi_color=ansi_color)
        self._waiting: deque[Key | Paste] = deque()
        self._at_work: Key | Paste | None = None
        self._timer: Timer | None = None

    async def on_event(self, event: Event) -> None:
        """Take a key or a pasted text, or let it wait for its turn."""
        if not isinstance(event, (Key, Paste)) or event.is_forwarded:
            await super().on_event(event)
        elif self._at_work is not None:
            self._waiting.append(event)
        else:
            await self._give(event)

    async def _give(self, key: Key | Paste) -> None:
        receiver = self.focused or self.screen
        await super().on_event(key)
        if key.is_forwarded:
            self._at_work = key
            self._timer = self.set_timer(_LONGEST, partial(self._give_next, key))
            receiver.post_message(Handled(key))

    @on(Handled)
    def _handled(self, message: Handled) -> None:
        # Behind what the key has left for later: mostly that is a change of the focus.
        self.call_later(self._give_next, message.key)

    async def _give_next(self, behind: Key | Paste) -> None:
        if behind is not self._at_work:
            return  # It took longer than others wait for it.
        assert self._timer is not None
        self._timer.stop()
        self._at_work = None
        while self._waiting and self._at_work is None:
            await self._give(self._waiting.popleft())
