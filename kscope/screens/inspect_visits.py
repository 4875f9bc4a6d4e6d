"""Where the reader of the Inspect screen was: places, the ways to them, what was open there."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from kscope.model.base import QueryError
from kscope.model.list import ListQuery
from kscope.model.search import ignored_bits
from kscope.model.tree import TreeQuery

Face = Literal["members", "layout", "memory", "code", "address", "search", "walk"]
"""The ways of looking at a place."""

CodePart = Literal["", "to here", "from here"]
"""Of a function: all, up to the place as ``dis -r``, from the place on as ``dis -f``."""
_NEXT_PART: dict[CodePart, CodePart] = {"": "to here", "to here": "from here", "from here": ""}


@dataclass
class Visit:
    """A place, and how it is being looked at."""

    expression: str
    """C for a pointer to it, or a type's name."""
    address: int | None = None
    """``None`` of a type alone."""
    type: str = ""
    """Empty of memory and code."""
    label: str = ""
    """How it was reached: what was typed, or the member that was followed."""
    is_start: bool = True
    """Whether it was named, not followed from the place before."""
    face: Face = "members"
    walk: ListQuery | TreeQuery | None = None
    query_type: str = ""
    """What StructQuery is asked for, where the type has no name of its own."""
    count: int = 1
    stacks_only: bool = False
    mask: str = ""
    """Bits that a search leaves out of account."""
    code_part: CodePart = ""
    function: str = ""
    """Of code: ``schedule+0x1e``."""
    members: str = ""
    """Members to begin with, as ``comm,pid`` of ``task_struct.comm,pid ADDRESS``."""
    toggled: set[str] = field(default_factory=set)
    cursor: str = ""
    """Key of the member under the cursor."""
    lines: dict[Face, int] = field(default_factory=dict)
    """Of the faces that show no members: the line that the reader left the cursor on."""
    memory_start: int | None = None
    big_endian: bool = False
    """Whether words of memory are shown with their highest byte first."""

    @property
    def name(self) -> str:
        """The place as an object: ``*(struct task_struct *)0xffff…``."""
        if self.function:
            return self.function
        if self.address is None:
            return self.expression
        if self.expression.startswith("&"):
            return self.expression[1:]
        if not self.type:
            return self.expression
        return f"*({self.type} *){self.address:#x}"

    @property
    def as_typed(self) -> str:
        """What the address bar takes for it."""
        if self.address is not None and self.type and "<" not in self.type:
            return f"{self.type} {self.address:#x}"
        return self.expression

    def may_show(self, face: Face) -> bool:
        """Whether it can be looked at in that way."""
        if face in ("members", "layout") and not self.type:
            return False
        return self.address is not None or face == "layout"

    @property
    def is_aside(self) -> bool:
        """Whether it is an object of which something else than its members is being looked at."""
        looked_at = self.face not in ("members", "layout") and self.walk is None
        return looked_at and bool(self.type and self.address)

    @property
    def can_be_shown(self) -> bool:
        """Whether its face has all that it needs: of one that was read from a file, it may not."""
        if self.face == "walk":
            return self.walk is not None
        if self.address is None and self.face not in ("members", "layout"):
            return False
        with contextlib.suppress(QueryError):
            ignored_bits(self.mask)
            return True
        return False

    def next_code_part(self) -> None:
        """Another part of the function."""
        self.code_part = _NEXT_PART[self.code_part]
        self.lines.pop("code", None)

    def member(self, path: str) -> str:
        """C for a member of the object; for an empty path, for the object itself."""
        if not path:
            lvalue = self.expression.removeprefix("&")
            return lvalue if lvalue != self.expression else f"*{self.expression}"
        if self.expression.startswith("&"):
            return f"{self.expression[1:]}.{path}"
        pointer = self.expression
        if pointer.startswith("(") and not pointer.startswith("(("):
            pointer = f"({pointer})"
        return f"{pointer}->{path}"


class History:
    """The way here, and the way on for one who went back."""

    def __init__(self) -> None:
        self._visits: list[Visit] = []
        self._position = -1

    @property
    def current(self) -> Visit | None:
        """Where the reader is."""
        return self._visits[self._position] if self._position >= 0 else None

    @property
    def way_here(self) -> list[Visit]:
        """All places up to this one."""
        return self._visits[: self._position + 1]

    def restore(self, visits: Iterable[Visit]) -> None:
        """Be where ``way_here`` led, with nothing ahead."""
        self._visits = list(visits)
        self._position = len(self._visits) - 1

    @property
    def path(self) -> list[Visit]:
        """From the place that was named to this one, each followed from the one before."""
        path: list[Visit] = []
        for visit in reversed(self.way_here):
            path.insert(0, visit)
            if visit.is_start:
                break
        return path

    def go(self, visit: Visit) -> None:
        """A new place: what was ahead is forgotten."""
        del self._visits[self._position + 1 :]
        self._visits.append(visit)
        self._position += 1

    def back(self) -> bool:
        """One place back. Returns whether there is one."""
        if self._position <= 0:
            return False
        self._position -= 1
        return True

    def forward(self) -> bool:
        """One place forward again."""
        if self._position + 1 >= len(self._visits):
            return False
        self._position += 1
        return True
