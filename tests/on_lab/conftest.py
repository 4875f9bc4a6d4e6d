"""The kernels whose dumps are looked at, and where their types come from."""

import pytest

from tests.lab.catalogue import LabDump
from tests.on_lab.opening import EVERY, SERIES, find_or_skip


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
