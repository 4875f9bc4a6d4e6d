"""The colours: readable, distinct at 256 and 16 colours, absent with NO_COLOR."""

from __future__ import annotations

import itertools
import re

import pytest
from rich.color import ColorSystem
from textual.color import Color
from textual.theme import Theme

from kscope.widgets.facts import bar
from kscope.widgets.line import line
from kscope.widgets.pane import Pane
from kscope.widgets.table import Column, VirtualTable
from kscope.widgets.text_view import TextView
from kscope.widgets.theme import (
    DARK,
    DARK_16,
    DARK_256,
    LIGHT,
    LIGHT_16,
    LIGHT_256,
    THEMES,
    RoleStyles,
    suitable_theme,
)

from .support import Stage

RGB_THEMES = [DARK, LIGHT, DARK_256, LIGHT_256]
TEXT = ["foreground", "foreground-muted", "primary", "error", "warning", "success"]
FIELDS = ["background", "surface", "block-cursor-background"]


def color(theme: Theme, name: str) -> Color:
    variables = theme.to_color_system().generate()
    return Color.parse(theme.variables.get(name, variables[name]))


def contrast(one: Color, other: Color) -> float:
    """As WCAG 2 defines it."""

    def luminance(color: Color) -> float:
        linear = [
            c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in color.normalized
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", RGB_THEMES, ids=lambda theme: theme.name)
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("text", TEXT)
def test_every_text_can_be_read_on_every_field(theme: Theme, text: str, field: str) -> None:
    least = 3.8 if text == "foreground-muted" else 4.5
    assert contrast(color(theme, text), color(theme, field)) >= least


@pytest.mark.parametrize("theme", [DARK_256, LIGHT_256], ids=lambda theme: theme.name)
def test_at_256_colours_nothing_that_must_differ_becomes_the_same(theme: Theme) -> None:
    def at_256(name: str) -> int | None:
        return color(theme, name).rich_color.downgrade(ColorSystem.EIGHT_BIT).number

    fields = [*FIELDS, "border-blurred"]
    assert len({at_256(name) for name in fields}) == len(fields)
    assert len({at_256(name) for name in TEXT}) == len(TEXT)
    for text, field in itertools.product(TEXT, FIELDS):
        assert at_256(text) != at_256(field)


@pytest.mark.parametrize("theme", [DARK_16, LIGHT_16], ids=lambda theme: theme.name)
def test_at_16_colours_severities_are_the_terminal_s_own_colours(theme: Theme) -> None:
    names = {color(theme, text).ansi for text in ["primary", "error", "warning", "success"]}
    assert len(names) == 4
    assert color(theme, "background").ansi == -1


def test_the_theme_follows_the_terminal() -> None:
    assert suitable_theme("truecolor", no_color=False) == "kscope-dark"
    assert suitable_theme("256", no_color=False, light=True) == "kscope-light-256"
    assert suitable_theme("standard", no_color=False) == "kscope-dark-16"
    assert suitable_theme("truecolor", no_color=True) == "kscope-dark-16"


def everything() -> tuple[Stage, VirtualTable[str]]:
    table = VirtualTable(Column[str]("ST", lambda s: (s, "critical" if s == "UN" else "dim")))
    text = TextView(
        [
            line(("C", "critical strong"), " ", ("W", "warning"), " ", ("ok", "good")),
            line(("link", "link"), (" chip ", "chip critical"), ("hit", "match"), *bar(0.3, 8)),
        ]
    )
    stage = Stage(Pane("Left", table), Pane("Right", text, subtitle="1/2"), theme=DARK_16.name)
    return stage, table


def codes(app: Stage) -> set[str]:
    """Every SGR parameter string that a full paint sends."""
    update = app.screen._compositor.render_full_update()
    sent = update.render_segments(app.console)
    return set(re.findall(r"\x1b\[([\d;]*)m", sent))


async def test_no_color_sends_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app, table = everything()
    async with app.run_test(size=(60, 12)) as pilot:
        table.show_rows(["UN", "IN"])
        await pilot.pause()
        parameters = {parameter for code in codes(app) for parameter in code.split(";")}
        # Default colours, bold, dim, underline and reverse video.
        assert parameters <= {"0", "39", "49", "1", "2", "4", "7"}


async def test_without_colour_the_cursor_and_the_focus_still_show(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app, table = everything()
    async with app.run_test(size=(60, 12)) as pilot:
        table.show_rows(["UN", "IN"])
        table.focus()
        await pilot.pause()
        reversed_text = [
            segment.text.strip()
            for strip in app.screen._compositor.render_strips()
            for segment in strip
            if segment.style and segment.style.reverse
        ]
        assert "UN" in reversed_text
        assert "Left" in reversed_text
        assert "Right" not in reversed_text


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
async def test_every_role_has_a_style_in_every_theme(theme: Theme) -> None:
    app, table = everything()
    app.theme = theme.name
    async with app.run_test(size=(60, 12)):
        table.show_rows(["UN"])
        assert codes(app)


async def test_themes_of_textual_work_as_well() -> None:
    app, table = everything()
    app.theme = "nord"
    async with app.run_test(size=(60, 12)):
        table.show_rows(["UN"])
        assert codes(app)


async def test_a_change_of_theme_shows_at_once() -> None:
    app, table = everything()
    app.theme = DARK.name
    async with app.run_test(size=(60, 12)) as pilot:
        table.show_rows(["UN"])
        dark = codes(app)
        app.theme = LIGHT.name
        await pilot.pause()
        assert not {code for code in codes(app) if "38" in code} & dark


def test_a_misspelt_role_is_an_error() -> None:
    styles = RoleStyles(DARK.to_color_system().generate(), no_color=False, sixteen=False)
    with pytest.raises(ValueError, match="critcal"):
        styles.style("critcal")
