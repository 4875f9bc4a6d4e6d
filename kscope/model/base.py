"""What every Query and result is made of."""

from typing import Any, ClassVar, Generic, TypeVar, get_args

import msgspec


class Address(int):
    """A kernel virtual address (or a physical one, where the name says so): ``"0x…"`` in JSON."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Address({int(self):#x})"

    def __str__(self) -> str:
        """As crash writes it: 16 digits, no prefix."""
        return f"{int(self):016x}"


def may_be_kernel_address(value: int) -> bool:
    """Whether a word lies where kernels have their memory, with five levels of page tables too.

    The highest page holds nothing: there ffffffffffffffda is -ENOSYS.
    """
    return 0xFF << 56 <= value < (1 << 64) - 4096


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """An answer. Equal results are equal facts."""


class Unreadable(msgspec.Struct, frozen=True):
    """A value that could not be read, and why: shown in its place, never replaced by a zero."""

    what: str
    why: str


R = TypeVar("R", bound=Result)


class Query(msgspec.Struct, Generic[R], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question to the target whose answer is an ``R``; hashable, so it keys the result cache."""

    deadline_seconds: ClassVar[float] = 60.0
    """How long the worker may be silent over it before it is taken for hung and killed."""


def subsystem_of(query_type: type[Query[Any]]) -> str:
    """The subsystem a Query belongs to: the name of its file in ``model``, ``kernel`` and so on."""
    return query_type.__module__.rpartition(".")[2]


def result_type(query_type: type[Query[R]]) -> type[R]:
    """The result type a Query class was declared with: ``class LogQuery(Query[Log])``."""
    for base in query_type.__orig_bases__:  # type: ignore[attr-defined]
        for argument in get_args(base):
            return argument  # type: ignore[no-any-return]
    raise TypeError(f"{query_type.__name__} does not say what answers it")


class Progress(msgspec.Struct, frozen=True):
    """How far a long answer has come. ``total`` is 0 when it cannot be known."""

    done: int
    total: int
    what: str


class Part(Result, Generic[R], frozen=True):
    """What a long answer has found so far, ahead of the whole."""

    result: R


class QueryError(Exception):
    """A Query that cannot be answered: one sentence that says why, and what to do about it.

    ``kind`` is one of ``bad-query`` (the Query asks for what does not exist), ``unreadable``
    (the target does not have it), ``no-types`` (needs debug info that is missing),
    ``cannot-open`` (the target), ``worker-lost``, ``deadline`` and ``bug``.
    """

    def __init__(self, sentence: str, hint: str = "", *, kind: str = "bad-query") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint
        self.kind = kind

    def __str__(self) -> str:
        return f"{self.sentence} {self.hint}".rstrip()
