"""Whole stacks as ``bt -t`` shows them, also those of which a page is not in the dump."""

import pytest
from drgn.helpers.linux.pid import find_task

from kscope.dialect.backtrace import text_symbols
from kscope.kernel.process.task_table import task_rows
from kscope.kernel.process.whole_stacks import whole_stacks
from kscope.kernel.unwinding.unwind import unwind
from kscope.model.backtrace import Backtrace, BacktraceQuery
from kscope.model.target import OpenQuery
from kscope.session.answering import answer, finish
from kscope.target.opening import open_target
from kscope.target.target import Target
from tests.kernel.excluding import exclude

_PAGE = 4096


def of_init(target: Target) -> Backtrace:
    (found,) = answer(target, BacktraceQuery(tasks="1", raw=True)).backtraces
    return found


def stack_of_init(target: Target) -> int:
    return int(find_task(target.program, 1).stack.value_())


@pytest.fixture
def without_a_page(demo: object) -> Target:
    """The bundled dump without the lowest page of init's stack."""
    target = finish(open_target(OpenQuery(path=str(demo))), None)
    exclude(target.program, [stack_of_init(target)], _PAGE)
    return target


def test_a_whole_stack_has_every_word_and_says_nothing(demo_target: Target) -> None:
    found = of_init(demo_target)
    size = int(demo_target.program["THREAD_SIZE"])
    start = stack_of_init(demo_target)
    assert [word.address for word in found.words] == list(range(start, start + size, 8))
    assert found.words_why == ""


def test_the_words_above_a_missing_page_are_there_and_the_gap_is_told(
    demo_target: Target, without_a_page: Target
) -> None:
    found, whole = of_init(without_a_page), of_init(demo_target)
    assert found.words == whole.words[_PAGE // 8 :]
    assert "excluded" in found.words_why
    shown = text_symbols(found, whole=False)
    assert found.words_why in shown
    assert "schedule at" in shown


def test_each_of_many_backtraces_is_what_unwinding_that_very_task_yields(
    demo_target: Target,
) -> None:
    rows = task_rows(demo_target)
    every = BacktraceQuery(tasks=" ".join(f"{task.task:x}" for task in rows))
    found = answer(demo_target, every).backtraces
    assert [of.task for of in found] == rows
    assert [of.stack for of in found] == [unwind(demo_target, task.task) for task in rows]
    assert whole_stacks(demo_target).unwound < len(rows) / 2
