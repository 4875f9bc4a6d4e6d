"""What can be done to a notebook, undone, and merged with what another kscope did."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from kscope.report.notebook import TRIMMED, Block, History, Notebook, Step, merge


def block(name: str, question: str = "") -> Block:
    return Block(id=name, question=question or name)


def notebook(*names: str) -> Notebook:
    return Notebook(blocks=tuple(block(name) for name in names))


def names(notebook: Notebook) -> list[str]:
    return [block.id for block in notebook.blocks]


def questions(notebook: Notebook) -> list[str]:
    return [block.question for block in notebook.blocks]


# Blocks.


def test_a_block_is_added_after_another_or_at_the_end() -> None:
    assert names(notebook("a", "b").added(block("x"), after="a")) == ["a", "x", "b"]
    assert names(notebook("a", "b").added(block("x"))) == ["a", "b", "x"]


def test_a_block_moves_and_stops_at_the_ends() -> None:
    assert names(notebook("a", "b", "c").moved("a", 1)) == ["b", "a", "c"]
    assert names(notebook("a", "b", "c").moved("b", -9)) == ["b", "a", "c"]


def test_the_heading_is_the_first_line_of_the_question_or_the_command() -> None:
    assert Block(question="# Who waits?\nmore").heading == "Who waits?"
    assert Block(steps=(Step(command="ps -m"),)).heading == "ps -m"


# Trimming.

OUTPUT = Step(command="x", output="0\n1\n2\n3\n4\n5", answered_by="kscope")


def test_trimmed_lines_are_marked_once_and_come_back() -> None:
    step = OUTPUT.trimmed(1, 2).trimmed(3, 4)
    assert step.lines == ["0", TRIMMED, "5"]
    assert step.output == OUTPUT.output
    assert step.restored(2).lines == ["0", "1", "2", "3", "4", "5"]


def test_a_shown_line_is_found_in_the_output_again() -> None:
    step = OUTPUT.trimmed(1, 2)
    assert step.lines == ["0", TRIMMED, "3", "4", "5"]
    assert [step.original_line(shown) for shown in range(5)] == [0, 1, 3, 4, 5]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=6))
def test_every_line_is_shown_or_stands_behind_one_mark(ranges: list[tuple[int, int]]) -> None:
    step = OUTPUT
    for first, last in ranges:
        step = step.trimmed(first, last)
    gone = {n for a, b in ranges for n in range(min(a, b), max(a, b) + 1)}
    assert [line for line in step.lines if line != TRIMMED] == [
        str(n) for n in range(6) if n not in gone
    ]
    for shown, line in enumerate(step.lines):
        original = step.original_line(shown)
        assert original in gone if line == TRIMMED else str(original) == line


# Undo.


def test_undo_goes_back_and_redo_forth() -> None:
    history = History(notebook("a", "b"))
    history.change(history.now.deleted("a"), "deleted a block")
    assert history.undo() == "deleted a block"
    assert names(history.now) == ["a", "b"]
    assert history.redo() == "deleted a block"
    assert names(history.now) == ["b"]
    assert history.redo() == ""


def test_undo_does_not_take_away_what_another_kscope_added() -> None:
    history = History(notebook("a"))
    history.change(history.now.added(block("mine")), "added a block")
    history.merged(history.now.added(block("theirs")))
    history.undo()
    assert names(history.now) == ["a", "theirs"]


# Merging.


def test_blocks_that_both_added_are_both_there_in_their_places() -> None:
    base = notebook("a", "b")
    mine = base.added(block("m"), after="a")
    theirs = base.added(block("t"), after="b")
    assert names(merge(base, mine, theirs)) == ["a", "m", "b", "t"]


def test_a_block_that_one_changed_is_changed() -> None:
    base = notebook("a", "b")
    changed = base.changed(block("a", "new"))
    assert questions(merge(base, changed, base)) == ["new", "b"]
    assert questions(merge(base, base, changed)) == ["new", "b"]


def test_a_block_that_both_changed_is_there_twice() -> None:
    base = notebook("a")
    mine, theirs = base.changed(block("a", "mine")), base.changed(block("a", "theirs"))
    assert questions(merge(base, mine, theirs)) == ["mine", "theirs"]


def test_a_block_that_both_changed_alike_is_there_once() -> None:
    base = notebook("a")
    changed = base.changed(block("a", "new"))
    assert questions(merge(base, changed, changed)) == ["new"]


def test_a_block_that_one_deleted_is_gone_unless_the_other_changed_it() -> None:
    base = notebook("a", "b")
    assert names(merge(base, base.deleted("a"), base)) == ["b"]
    assert names(merge(base, base, base.deleted("a"))) == ["b"]
    changed = base.changed(block("a", "new"))
    assert "new" in questions(merge(base, base.deleted("a"), changed))
    assert "new" in questions(merge(base, changed, base.deleted("a")))


def test_folding_is_no_change_to_keep() -> None:
    base = notebook("a")
    folded = base.changed(msgspec.structs.replace(base.blocks[0], folded=True))
    assert names(merge(base, folded, base.deleted("a"))) == []


CHANGES = st.lists(
    st.tuples(st.sampled_from(["add", "change", "delete", "move"]), st.integers(0, 5)), max_size=6
)


def changed_by(base: Notebook, changes: list[tuple[str, int]], who: str) -> Notebook:
    result = base
    for number, (what, at) in enumerate(changes):
        name = result.blocks[at % len(result.blocks)].id if result.blocks else ""
        if what == "add":
            result = result.added(block(f"{who}{number}"), after=name)
        elif what == "change" and name:
            result = result.changed(block(name, f"{who} wrote {number}"))
        elif what == "delete":
            result = result.deleted(name)
        else:
            result = result.moved(name, at - 2)
    return result


@given(CHANGES, CHANGES)
def test_nothing_that_either_wrote_is_lost(
    mine: list[tuple[str, int]], theirs: list[tuple[str, int]]
) -> None:
    base = notebook("a", "b", "c")
    one, other = changed_by(base, mine, "m"), changed_by(base, theirs, "t")
    merged = merge(base, one, other)
    written = {b.question for b in (*one.blocks, *other.blocks)} - set(questions(base))
    assert written <= set(questions(merged))
    assert len(names(merged)) == len(set(names(merged)))
