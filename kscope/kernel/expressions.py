"""Answers what an expression of the address bar names, and how a begun one may go on."""

import re
from collections.abc import Generator

from drgn import Type, TypeKind

from kscope.kernel.access.fields import Field
from kscope.kernel.access.names import Names, names_in_slices
from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.expression.language import Expressions
from kscope.kernel.expression.reader import LONGEST, TYPE_KEYWORDS
from kscope.kernel.memory import start_address
from kscope.model.base import Address, Progress, QueryError
from kscope.model.expressions import (
    Candidate,
    CandidateKind,
    Completion,
    CompletionQuery,
    Place,
    PlaceQuery,
)
from kscope.target.target import Target

_WORD = re.compile(r"[A-Za-z_$][A-Za-z0-9_$.]*$")
_PATH = re.compile(r"(.*?)(?:\.|->)([A-Za-z0-9_$]*)$", re.DOTALL)
_LIST = re.compile(r"((?:struct\s+|union\s+)?\w+)\.(?:[\w.]+,)+(\w*)$")
"""``task_struct.pid,co``"""


def place(target: Target, query: PlaceQuery) -> Place:
    """Answer a PlaceQuery; where no types are, still of addresses, and of symbols if there are."""
    if target.debug_info.types != "none":
        return Expressions(target).locate(query.text).place
    try:
        address = Address(start_address(target, query.text))
    except QueryError:
        target.need_types("Objects")
        raise
    return Place(kind="memory", expression=f"{address:#x}", address=address)


def completion(target: Target, query: CompletionQuery) -> Generator[Progress, None, Completion]:
    """Answer a CompletionQuery."""
    names = yield from names_in_slices(target)
    if len(query.text) > LONGEST:
        return Completion(candidates=(), total=0)
    members = _complete_member(target, query)
    if members is not None:
        return members
    return _complete_name(names, query)


def _complete_name(names: Names, query: CompletionQuery) -> Completion:
    match = _WORD.search(query.text)
    if match is None:
        return Completion(candidates=(), total=0)
    word, before = match[0], query.text[: match.start()]
    only_types = before.split()[-1:] and before.split()[-1] in TYPE_KEYWORDS
    prefixed = names.beginning_with(word)
    indexes = list(prefixed[: query.limit * 4])
    total = len(prefixed)
    if len(indexes) < query.limit and len(word) >= 2:
        known = set(indexes)
        inside = [i for i in names.containing(word, 5 * query.limit) if i not in known]
        total += len(inside)
        indexes += inside
    candidates = []
    for index in indexes:
        kind = names.kinds[index]
        if only_types and kind in ("function", "variable"):
            continue
        candidates.append(Candidate(kind, before + names.names[index], names.names[index]))
    # The shorter, the likelier: task_struct before task_struct_cachep.
    candidates.sort(key=lambda c: (not c.name.startswith(word), len(c.name), c.name, c.kind))
    return Completion(candidates=tuple(candidates[: query.limit]), total=total)


def _complete_member(target: Target, query: CompletionQuery) -> Completion | None:
    """The members of what comes before the last ``.`` or ``->``; ``None`` if that has none."""
    match = _LIST.match(query.text) or _PATH.match(query.text)
    if match is None or not match[1].strip() or target.debug_info.types == "none":
        return None
    expressions = Expressions(target)
    try:
        type_ = _type_before_dot(expressions, match[1])
    except (QueryError, *READ_ERRORS):
        return None
    if type_ is None:
        return None
    names = [name for name in Field(type_).names() if name.startswith(match[2])]
    kind: CandidateKind = "member"
    before = query.text[: len(query.text) - len(match[2])]
    return Completion(
        candidates=tuple(Candidate(kind, before + name, name) for name in names[: query.limit]),
        total=len(names),
    )


def _type_before_dot(expressions: Expressions, text: str) -> Type | None:
    typed = expressions.type_named(text, must=False) if re.fullmatch(r"[\w\s]+", text) else None
    if typed is None:
        named = expressions.evaluate(text)
        found = named.copies[0][1] if named.copies else named.object
        if found is None:
            return None
        typed = found.type_
    typed = typed.unaliased()
    if typed.kind is TypeKind.POINTER:
        typed = typed.type.unaliased()
    return typed if typed.kind in (TypeKind.STRUCT, TypeKind.UNION) else None


ANSWERS = {PlaceQuery: place, CompletionQuery: completion}
