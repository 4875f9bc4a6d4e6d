"""``kscope survey`` of several dumps: a process each, one failing without harm to the others."""

from pathlib import Path

import pytest

from kscope.model.base import QueryError
from kscope.model.codec import from_json
from kscope.model.survey import Survey
from kscope.surveying import Surveys, run


def test_one_dump_is_surveyed_as_json(demo: Path) -> None:
    text, status = run([str(demo), "--json"])
    assert status == 0
    assert from_json(text.encode(), Survey).panic.kind == "hung-task"


def test_a_dump_that_cannot_be_opened_does_no_harm_to_the_others(
    demo: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "vmcore"
    empty.touch()
    text, status = run([str(demo), str(empty), "--json"])
    surveys = from_json(text.encode(), Surveys)
    assert status == 1
    assert [survey.panic.kind for survey in surveys.surveys] == ["hung-task"]
    assert [failed.path for failed in surveys.failed] == [str(empty)]
    assert "empty" in surveys.failed[0].why


def test_nothing_to_survey_is_bad_usage() -> None:
    with pytest.raises(QueryError) as raised:
        run([])
    assert raised.value.kind == "bad-usage"
