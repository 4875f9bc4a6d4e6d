"""Results and Queries as bytes: MessagePack between processes, JSON for other programs."""

from typing import Any, TypeVar

import msgspec

from kscope.model.base import Address

T = TypeVar("T")


def _address_to_integer(value: Any) -> int:
    if isinstance(value, Address):
        return int(value)
    raise NotImplementedError(f"{type(value).__name__} is not plain data")


def _address_to_text(value: Any) -> str:
    if isinstance(value, Address):
        return hex(value)
    raise NotImplementedError(f"{type(value).__name__} is not plain data")


def _address_from_wire(expected: type, value: Any) -> Any:
    if expected is Address:
        return Address(value, 16) if isinstance(value, str) else Address(value)
    raise NotImplementedError(f"{expected.__name__} is not plain data")


_packer = msgspec.msgpack.Encoder(enc_hook=_address_to_integer)
_json = msgspec.json.Encoder(enc_hook=_address_to_text)


def pack(value: object) -> bytes:
    """MessagePack of a Query or result."""
    return _packer.encode(value)


def unpack(data: bytes | msgspec.Raw, expected: type[T]) -> T:
    """The Query or result in ``data``.

    :raises msgspec.DecodeError: if it is not MessagePack or not an ``expected``.
    """
    return msgspec.msgpack.decode(data, type=expected, dec_hook=_address_from_wire)


def to_json(value: object) -> bytes:
    """JSON of a result, two spaces of indentation, addresses as ``"0x…"``."""
    return msgspec.json.format(_json.encode(value), indent=2)


def from_json(data: bytes | msgspec.Raw, expected: type[T]) -> T:
    """The Query or result in JSON ``data``.

    :raises msgspec.DecodeError: if it is not JSON or not an ``expected``.
    """
    return msgspec.json.decode(data, type=expected, dec_hook=_address_from_wire)
