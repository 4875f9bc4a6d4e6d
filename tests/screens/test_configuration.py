"""The dashboard with a configuration that was edited by hand."""

from pathlib import Path

import pytest

from kscope.app import KscopeApp
from kscope.config import config_file
from kscope.screens.log import LogScreen
from tests.screens.conftest import dashboard_on, painted, settle


@pytest.fixture(autouse=True)
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = config_file()
    path.parent.mkdir(parents=True)
    return path


async def test_a_key_for_nothing_is_said_and_the_others_count(
    configuration: Path, demo: Path
) -> None:
    configuration.write_text('[keys]\n"log.filtr" = "/"\n"screen.log" = "L"\n')
    async with dashboard_on(demo) as app, app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        assert "config.toml, line 2: no key does log.filtr; the nearest is log.filter" in (
            painted(app)
        )
        await pilot.press("L")
        await settle(pilot)
        assert is_on_the_log(app)


async def test_a_key_may_be_given_as_a_character(configuration: Path, demo: Path) -> None:
    configuration.write_text('[keys]\n"screen.log" = "$, ("\n')
    async with dashboard_on(demo) as app, app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("left_parenthesis")
        await settle(pilot)
        assert is_on_the_log(app)


def is_on_the_log(app: KscopeApp) -> bool:
    return isinstance(app.current, LogScreen)
