"""The kernels whose dumps are looked at, where their types come from, and what is wrong in them."""

import pytest

from kscope.model.survey import Survey
from tests.lab.catalogue import LabDump
from tests.on_lab.opening import EVERY, SERIES, find_or_skip
from tests.on_lab.surveys import surveyed


@pytest.fixture(params=SERIES, scope="module")
def series(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=["btf", "dwarf"], scope="module")
def types(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture(params=EVERY, ids="-".join, scope="module")
def dump(request: pytest.FixtureRequest) -> LabDump:
    return find_or_skip(*request.param)


@pytest.fixture(scope="module")
def survey(dump: LabDump, types: str) -> Survey:
    return surveyed(dump.name, dump.series, types)
