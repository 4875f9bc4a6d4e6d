"""The log of the bundled dump, read without types, against drgn's own reader."""

import re
from pathlib import Path

import pytest
from drgn.helpers.linux.printk import get_dmesg, get_printk_records

from kscope.dialect.log import text
from kscope.kernel.log import log
from kscope.model.base import QueryError
from kscope.model.log import Log, LogQuery
from kscope.model.target import OpenQuery
from kscope.session.answering import finish
from kscope.target.opening import open_target
from kscope.target.target import Target
from tests.kernel.putting import put, put_bytes


@pytest.fixture(scope="module")
def whole(demo_target: Target) -> Log:
    return log(demo_target, LogQuery())


def test_each_record_equals_drgns(demo_target: Target, whole: Log) -> None:
    expected = [
        (r.seq, r.timestamp, r.level, r.facility, r.text.decode())
        for r in get_printk_records(demo_target.program)
    ]
    assert [(r.seq, r.timestamp_ns, r.level, r.facility, r.text) for r in whole.records] == expected


def test_the_text_equals_drgns_dmesg(demo_target: Target, whole: Log) -> None:
    # As crash does and drgn does not, further lines of a record are indented.
    unindented = re.sub(r"\n {15}(?=\S| )", "\n", text(LogQuery(), whole))
    assert unindented + "\n" == get_dmesg(demo_target.program).decode()


def with_block_at_the_end(demo: Path) -> Target:
    """With the last record's text at the very end of the buffer."""
    target = finish(open_target(OpenQuery(path=str(demo))), None)
    program = target.program
    ring = program["prb"]
    size = 1 << ring.text_data_ring.size_bits.value_()
    last = ring.desc_ring.head_id.counter.value_() % (1 << ring.desc_ring.count_bits.value_())
    place = ring.desc_ring.descs[last].text_blk_lpos
    block = program.read(
        ring.text_data_ring.data.value_() + place.begin.value_() % size,
        place.next.value_() - place.begin.value_(),
    )
    put_bytes(program, ring.text_data_ring.data.value_() + size - len(block), block)
    put(program, place.begin, size - len(block))
    put(program, place.next, size)
    return target


def test_a_record_that_fills_the_buffer_to_its_end_has_its_text(demo: Path, whole: Log) -> None:
    assert log(with_block_at_the_end(demo), LogQuery()).records == whole.records


def test_the_hung_tasks_and_the_panic_are_found_as_reports(whole: Log) -> None:
    kinds = [report.kind for report in whole.reports]
    assert kinds.count("panic") == 1
    assert kinds[-1] == "panic"
    assert set(kinds[:-1]) == {"hung-task"}
    assert len(kinds) > 3


def test_a_report_spans_its_whole_call_trace(whole: Log) -> None:
    report = whole.reports[0]
    lines = [record.text for record in whole.records[report.first : report.last + 1]]
    assert "blocked for more than" in lines[0]
    assert lines[-1].strip() == "</TASK>"
    assert sum("blocked for more than" in line for line in lines) == 1


def test_reports_do_not_overlap(whole: Log) -> None:
    for before, after in zip(whole.reports, whole.reports[1:], strict=False):
        assert before.last < after.first


def test_a_level_keeps_that_level_and_worse(demo_target: Target, whole: Log) -> None:
    kept = log(demo_target, LogQuery(level="err")).records
    assert kept == tuple(record for record in whole.records if record.level <= 3)
    assert kept


def test_a_pattern_can_be_inverted(demo_target: Target, whole: Log) -> None:
    with_it = log(demo_target, LogQuery(match="hung_task")).records
    without = log(demo_target, LogQuery(match="!hung_task")).records
    assert len(with_it) + len(without) == len(whole.records)
    assert all("hung_task" in record.text for record in with_it)


@pytest.mark.parametrize(
    "query", [LogQuery(level="loud"), LogQuery(facility="x"), LogQuery(match="(")]
)
def test_a_filter_that_makes_no_sense_is_one_sentence(demo_target: Target, query: LogQuery) -> None:
    with pytest.raises(QueryError):
        log(demo_target, query)
