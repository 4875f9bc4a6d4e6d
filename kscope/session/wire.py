"""What passes between the dashboard and the worker: length-prefixed MessagePack frames.

Only bytes on two pipes, so that the worker may run on another host. A request is followed by any
number of progress and partial messages and by exactly one of answer, failure or cancelled.
"""

import importlib
import struct
from typing import Any

import msgspec

from kscope.model.base import Query, QueryError, subsystem_of
from kscope.model.codec import pack, unpack

LENGTH = struct.Struct(">I")
LARGEST_FRAME = 1 << 30


class Request(msgspec.Struct, frozen=True, tag="request"):
    """Answer a Query."""

    id: int
    subsystem: str
    query: str
    """The Query's class name in ``kscope.model.<subsystem>``."""
    body: msgspec.Raw


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop answering request ``id``. SIGINT follows, which interrupts what runs."""

    id: int


class ProgressMessage(msgspec.Struct, frozen=True, tag="progress"):
    """How far the answer to ``id`` has come."""

    id: int
    done: int
    total: int
    what: str


class PartMessage(msgspec.Struct, frozen=True, tag="part"):
    """What was found so far for ``id``."""

    id: int
    body: msgspec.Raw


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """The whole result for ``id``."""

    id: int
    body: msgspec.Raw


class Failure(msgspec.Struct, frozen=True, tag="failure"):
    """``id`` cannot be answered; the members are ``QueryError``'s."""

    id: int
    kind: str
    sentence: str
    hint: str


class Cancelled(msgspec.Struct, frozen=True, tag="cancelled"):
    """``id`` was cancelled as asked."""

    id: int


ToWorker = Request | Cancel
FromWorker = ProgressMessage | PartMessage | Answer | Failure | Cancelled


class WireError(Exception):
    """Bytes that are not frames, or frames that are not messages."""


def frame(message: ToWorker | FromWorker) -> bytes:
    """``message`` as bytes to be written."""
    body = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a stream of bytes into messages of one direction."""

    def __init__(self, expected: Any) -> None:
        self._decoder = msgspec.msgpack.Decoder(expected)
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """The messages that ``data`` completes.

        :raises WireError: if a frame is too large or no message of this direction.
        """
        self._buffer += data
        messages = []
        while len(self._buffer) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._buffer)
            if length > LARGEST_FRAME:
                raise WireError(f"a frame claims {length} bytes")
            end = LENGTH.size + length
            if len(self._buffer) < end:
                break
            body = bytes(self._buffer[LENGTH.size : end])
            del self._buffer[:end]
            try:
                messages.append(self._decoder.decode(body))
            except msgspec.DecodeError as error:
                raise WireError(f"a frame is no message: {error}") from error
        return messages


def request(request_id: int, query: Query[Any]) -> Request:
    """The request that asks ``query``."""
    query_type = type(query)
    return Request(
        request_id, subsystem_of(query_type), query_type.__name__, msgspec.Raw(pack(query))
    )


def query_of(message: Request) -> Query[Any]:
    """The Query in a request.

    :raises QueryError: if it is none that this version knows.
    """
    try:
        if not message.subsystem.isidentifier():
            raise ImportError
        module = importlib.import_module(f"kscope.model.{message.subsystem}")
        query_type = getattr(module, message.query)
        if not (isinstance(query_type, type) and issubclass(query_type, Query)):
            raise AttributeError
    except (ImportError, AttributeError) as error:
        raise QueryError(f"There is no query {message.subsystem}.{message.query}.") from error
    try:
        return unpack(message.body, query_type)
    except msgspec.DecodeError as error:
        raise QueryError(f"A {message.query} does not look like that: {error}.") from error
