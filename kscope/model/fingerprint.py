"""Which dump this is, whatever its path."""

from kscope.model.base import Query, Result


class Fingerprint(Result, frozen=True, kw_only=True):
    """The same for the same dump under another path, and for no other dump."""

    build_id: str
    content: str
    """Hexadecimal; of the file's size and of samples of its content."""


class FingerprintQuery(Query[Fingerprint], frozen=True, kw_only=True):
    """Tell this dump from every other."""
