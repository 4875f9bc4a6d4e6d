"""The kernels whose dumps are looked at, and where their types come from."""

import pytest

from tests.on_lab.opening import SERIES


@pytest.fixture(params=SERIES, scope="module")
def series(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=["btf", "dwarf"], scope="module")
def types(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind
