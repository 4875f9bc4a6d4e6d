"""How the list of tasks can be arranged: by stack, as a tree, flat."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Protocol

from kscope.model.base import Address
from kscope.model.stacks import Stacks
from kscope.model.tasks import Tasks
from kscope.screens.task_columns import columns, stack_columns
from kscope.screens.task_filters import InForce
from kscope.screens.task_rows import GroupRow, Row, TaskList, stack_rows
from kscope.screens.task_tree import Tree
from kscope.widgets.table import Column


class Left(NamedTuple):
    """What the filters leave."""

    rows: Sequence[Row] = ()
    tasks: int = 0
    resident_bytes: int | None = None
    """What those have in memory together; by stack it is not shown."""


class Arrangement(Protocol):
    """Makes rows of the tasks, and knows which of them are open."""

    TITLE: ClassVar[str]

    def columns(self, names: tuple[str, ...], tasks: Tasks) -> list[Column[Row]]:
        """Its columns; of those that can be chosen, the ones of these names."""

    def left(self, task_list: TaskList, filters: InForce) -> Left:
        """The rows of the tasks that the filters leave."""

    def fold(self, row: Row, opened: bool) -> None:
        """Open a row or close it, from the next ``left`` on."""

    def uncover(self, task: Address, left: Left, filters: InForce) -> object:
        """Open what hides a task that has no row. Returns the key of the row that stands for it
        then; ``None`` if that changes nothing."""


class Flat:
    """A row for each task, in the order that is chosen."""

    TITLE: ClassVar[str] = "Tasks"

    def columns(self, names: tuple[str, ...], tasks: Tasks) -> list[Column[Row]]:
        return columns(names, tasks, tree=False)

    def left(self, task_list: TaskList, filters: InForce) -> Left:
        if not filters.leave_out:
            return Left(task_list.all.rows, len(task_list.by_pid), task_list.resident_bytes)
        chosen = task_list.all.selected(filters.selection).matching(filters.text)
        return Left(chosen.rows, len(chosen.rows), chosen.resident_bytes)

    def fold(self, row: Row, opened: bool) -> None:
        """There is nothing below a row."""

    def uncover(self, task: Address, left: Left, filters: InForce) -> object:  # noqa: ARG002
        return None


class AsTree:
    """Children below their parents, threads below their process; brothers in the order chosen."""

    TITLE: ClassVar[str] = "Tasks as a tree"

    def __init__(self) -> None:
        self._tree: Tree | None = None
        self._folding: dict[int, bool] = {}
        """Rows that were opened or closed, by address."""

    def columns(self, names: tuple[str, ...], tasks: Tasks) -> list[Column[Row]]:
        return columns(names, tasks, tree=True)

    def left(self, task_list: TaskList, filters: InForce) -> Left:
        tree = self._tree_of(task_list)
        if not filters.leave_out:
            return Left(tree.rows(), len(task_list.by_pid), task_list.resident_bytes)
        chosen = tree.all.selected(filters.selection).matching(filters.text)
        return Left(tree.rows_of(chosen.places), len(chosen.rows), chosen.resident_bytes)

    def _tree_of(self, task_list: TaskList) -> Tree:
        if self._tree is None or self._tree.task_list is not task_list:
            self._tree = Tree(task_list, self._folding)
        elif self._tree.sorted_by != task_list.sorted_by:
            self._tree.sort()
        return self._tree

    def fold(self, row: Row, opened: bool) -> None:
        self._folding[row.address] = opened

    def uncover(self, task: Address, left: Left, filters: InForce) -> object:  # noqa: ARG002
        if self._tree is None or filters.leave_out:
            return None
        self._tree.open_to(task)
        return task


class ByStack:
    """Tasks with the same stack in one row, those that are blocked first."""

    TITLE: ClassVar[str] = "Tasks by stack"

    def __init__(self) -> None:
        self.stacks: Stacks | None = None
        """What was found of them so far."""
        self._opened: set[object] = set()
        """Groups that were opened, by key."""

    def columns(self, names: tuple[str, ...], tasks: Tasks) -> list[Column[Row]]:  # noqa: ARG002
        assert self.stacks is not None
        return stack_columns(self.stacks)

    def left(self, task_list: TaskList, filters: InForce) -> Left:
        assert self.stacks is not None
        text = filters.text
        chosen = task_list.all.selected(filters.selection)
        selected = chosen.addresses if filters.selects else None
        matching = chosen.matching(text).addresses if text.active else set()
        rows = stack_rows(self.stacks.groups, selected, text, matching, opened=self._opened)
        return Left(rows, sum(len(row.members) for row in rows if isinstance(row, GroupRow)))

    def fold(self, row: Row, opened: bool) -> None:
        (self._opened.add if opened else self._opened.discard)(row.key)

    def uncover(self, task: Address, left: Left, filters: InForce) -> object:  # noqa: ARG002
        for row in left.rows:
            if isinstance(row, GroupRow) and not row.is_open and task in row.addresses:
                if row.address == task:
                    return row.key
                self._opened.add(row.key)
                return task
        return None
