"""Which NFS, other RPC or FUSE server a task waits for, and what it has asked for.

Who has sent a request itself sleeps on the request. Who reads or writes through the page cache
sleeps on a folio, for which somebody has sent one: whose filesystem that is, the folio says.
"""

import time
from collections.abc import Mapping, Sequence

from drgn import Object, Program

from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.waiting import fuse_requests, rpc_requests
from kscope.kernel.waiting.waits import Wait
from kscope.model.durations import in_words
from kscope.model.locks import Unanswered

_FOLIOS = {
    b"nfs": rpc_requests.asked_for_folios,
    b"nfs4": rpc_requests.asked_for_folios,
    b"fuse": fuse_requests.asked_for_folios,
    b"fuseblk": fuse_requests.asked_for_folios,
}
"""By ``file_system_type.name``."""

_SECONDS = 1.0
"""How long a filesystem's requests are gone through: a flood of writes has millions of folios."""


class RemoteServers:
    """Finds the servers; goes through a filesystem's requests once, when they are needed."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._folios: dict[int, Mapping[int, Unanswered]] = {}

    def asked(self, wait: Wait, functions: Sequence[str]) -> Unanswered | None:
        """What the one who sleeps in ``functions`` has asked; ``None`` if that cannot be told."""
        try:
            if wait.kind == "bit_lock" and rpc_requests.SLEEPS_IN in functions:
                return rpc_requests.asked(self._program, wait.lock)
            if wait.kind == "wait_queue" and fuse_requests.SLEEPS_IN in functions:
                return fuse_requests.asked(self._program, wait.lock)
            if wait.is_for_folio:
                return self._asked_for_folio(wait.lock)
        except READ_ERRORS:
            pass
        return None

    def _asked_for_folio(self, address: int) -> Unanswered | None:
        block = Object(self._program, "struct folio", address=address).mapping.host.i_sb
        key = block.value_()
        if key not in self._folios:
            self._folios[key] = self._folios_of(block)
        return self._folios[key].get(address)

    def _folios_of(self, block: Object) -> Mapping[int, Unanswered]:
        ask = _FOLIOS.get(block.s_type.name.string_())
        found: dict[int, Unanswered] = {}
        if ask is None:
            return found
        until = time.process_time() + _SECONDS
        try:
            for folio, request in ask(self._program, block):
                found[folio] = request
                if time.process_time() > until:
                    break
        except READ_ERRORS:
            pass  # what was found before stands
        return found


def request_name(asked: Unanswered) -> str:
    """What the lock is called that somebody sleeps on who has asked that himself."""
    if asked.kind == "rpc":
        return f"tk_runstate of rpc_task {asked.request:x}"
    return f"waitq of fuse_req {asked.request:x}"


def in_sentence(asked: Unanswered) -> str:
    """``NFS server 127.0.0.1 (NFSv4 GETATTR, not answered for 34 s)``"""
    article = "the " if asked.kind == "fuse" else ""
    since = "" if asked.age_ns is None else f" for {in_words(asked.age_ns)}"
    return f"{article}{asked.server} ({asked.operation}, not answered{since})"
