"""The colours of kscope, and what each of them is for.

Widgets never name a colour. They name a **role** ("dim", "critical", "link"), or several
("critical strong"), and ``RoleStyles`` turns that into a style of the current theme. The themes
only set variables that every Textual theme has, so Textual's own themes work as well.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from rich.style import Style
from textual.app import App
from textual.color import Color
from textual.theme import Theme


def _theme(
    name: str,
    *,
    dark: bool,
    background: str,
    bars: str,
    cursor: str,
    frame: str,
    foreground: str,
    muted: str,
    accent: str,
    critical: str,
    warning: str,
    good: str,
    selection: str,
) -> Theme:
    return Theme(
        name=name,
        primary=accent,
        secondary=accent,
        accent=accent,
        foreground=foreground,
        background=background,
        surface=bars,
        panel=bars,
        warning=warning,
        error=critical,
        success=good,
        dark=dark,
        variables={
            "foreground-muted": muted,
            "border": accent,
            "border-blurred": frame,
            "block-cursor-foreground": foreground,
            "block-cursor-background": cursor,
            "block-cursor-blurred-foreground": foreground,
            "block-cursor-blurred-background": cursor,
            "input-cursor-foreground": background,
            "input-cursor-background": accent,
            "input-selection-background": selection,
        },
    )


DARK = _theme(
    "kscope-dark",
    dark=True,
    background="#0d1117",
    bars="#161b22",
    cursor="#1f2a3a",
    frame="#30363d",
    foreground="#c9d1d9",
    muted="#7a8699",
    accent="#7fb4ff",
    critical="#ff7b72",
    warning="#e3b341",
    good="#7ee787",
    selection="#2c4a75",
)

LIGHT = _theme(
    "kscope-light",
    dark=False,
    background="#ffffff",
    bars="#eef1f4",
    cursor="#d7e5f8",
    frame="#c5ccd3",
    foreground="#1f2328",
    muted="#5b646e",
    accent="#0550ae",
    critical="#b3161f",
    warning="#7d4e00",
    good="#116329",
    selection="#b6d4fa",
)

# The nearest of the 256 colours to #0d1117 and #161b22 are both black, and to #1f2a3a a deep
# blue: over SSH, which does not pass on COLORTERM, the fields would be lost. These are exact.
DARK_256 = _theme(
    "kscope-dark-256",
    dark=True,
    background="#121212",
    bars="#1c1c1c",
    cursor="#303030",
    frame="#444444",
    foreground="#d0d0d0",
    muted="#8a8a8a",
    accent="#87afff",
    critical="#ff8787",
    warning="#d7af5f",
    good="#87d787",
    selection="#005faf",
)

LIGHT_256 = _theme(
    "kscope-light-256",
    dark=False,
    background="#ffffff",
    bars="#eeeeee",
    cursor="#d7d7ff",
    frame="#c6c6c6",
    foreground="#262626",
    muted="#5f5f5f",
    accent="#005faf",
    critical="#af0000",
    warning="#5f5f00",
    good="#005f00",
    selection="#afd7ff",
)


def _sixteen_colours(name: str, dark: bool) -> Theme:
    """A theme of the terminal's own colours, for terminals that have 16 or none.

    The RGB themes cannot serve there: #0d1117, #161b22 and #1f2a3a all become black.
    """
    bright = "bright_" if dark else ""
    return Theme(
        name=name,
        ansi=True,
        primary=f"ansi_{bright}blue",
        secondary=f"ansi_{bright}blue",
        accent=f"ansi_{bright}blue",
        foreground="ansi_default",
        background="ansi_default",
        surface="ansi_default",
        panel="ansi_default",
        boost="ansi_default",
        warning=f"ansi_{bright}yellow",
        error=f"ansi_{bright}red",
        success=f"ansi_{bright}green",
        dark=dark,
        variables={
            "ansi-background": "ansi_black" if dark else "ansi_white",
            "ansi-foreground": "ansi_white" if dark else "ansi_black",
            "foreground-muted": "ansi_bright_black",
            "border": f"ansi_{bright}blue",
            "border-blurred": "ansi_bright_black",
            "block-cursor-foreground": "ansi_bright_white" if dark else "ansi_black",
            "block-cursor-background": "ansi_blue" if dark else "ansi_cyan",
            "block-cursor-blurred-foreground": "ansi_bright_white" if dark else "ansi_black",
            "block-cursor-blurred-background": "ansi_blue" if dark else "ansi_cyan",
            "input-cursor-foreground": "ansi_default",
            "input-cursor-background": "ansi_default",
            "input-cursor-text-style": "reverse",
        },
    )


DARK_16 = _sixteen_colours("kscope-dark-16", dark=True)
LIGHT_16 = _sixteen_colours("kscope-light-16", dark=False)

THEMES = (DARK, LIGHT, DARK_256, LIGHT_256, DARK_16, LIGHT_16)


def suitable_theme(color_system: str | None, *, no_color: bool, light: bool = False) -> str:
    """The name of the theme for a terminal.

    :param color_system: ``App.console.color_system``: "standard" (16 colours), "256", "truecolor".
    :param no_color: ``NO_COLOR`` is set. The App must then also be constructed with
        ``ansi_color=True``: Textual decides in its constructor whether it removes colours or only
        turns them grey.
    """
    if no_color or color_system in (None, "standard"):
        theme = LIGHT_16 if light else DARK_16
    elif color_system == "256":
        theme = LIGHT_256 if light else DARK_256
    else:
        theme = LIGHT if light else DARK
    return theme.name


Role: TypeAlias = str
"""One or more of the words below, separated by spaces. The empty role is ordinary text."""

RoleWord: TypeAlias = Literal[
    "dim",  # addresses, labels, units, what is normal
    "strong",  # names, what was found
    "accent",
    "critical",
    "warning",
    "good",
    "link",  # leads somewhere
    "header",  # a column's title
    "chip",  # a filter or tab that is in force; takes its colour from a second word
    "match",  # what was searched for
    "track",  # the empty part of a bar
    "frame",  # lines around and between things
    "here",  # the link that enter would follow
]

_COLOURS = {
    "dim": "foreground-muted",
    "header": "foreground-muted",
    "accent": "primary",
    "critical": "error",
    "warning": "warning",
    "good": "success",
    "frame": "border-blurred",
}


class RoleStyles:
    """Roles as styles of one theme."""

    def __init__(self, variables: dict[str, str], *, no_color: bool, sixteen: bool) -> None:
        """
        :param variables: ``App.theme_variables``.
        :param no_color: colours are taken away afterwards: weight, underline and reverse video
            must say everything.
        :param sixteen: the theme uses the terminal's 16 colours.
        """
        self._variables = variables
        self._no_color = no_color
        self._sixteen = sixteen
        self._cache: dict[tuple[Role, bool], Style] = {}
        self.cursor = self._cursor()
        """Laid over the line under the cursor."""

    def _color(self, variable: str) -> Color:
        return Color.parse(self._variables[variable])

    def _cursor(self) -> Style:
        if self._no_color:
            return Style(reverse=True)
        return Style(bgcolor=self._color("block-cursor-background").rich_color)

    def style(self, role: Role, *, under_cursor: bool = False) -> Style:
        """The style of ``role``, to be added to a widget's own colours."""
        key = (role, under_cursor)
        style = self._cache.get(key)
        if style is None:
            words = role.split()
            style = Style.combine([Style.null(), *(self._word(word, words) for word in words)])
            if under_cursor:
                if self._sixteen and not self._no_color and style.bgcolor is None:
                    # None of the 16 but these two is sure to be read on the cursor's colour.
                    style += Style(color=self._color("block-cursor-foreground").rich_color)
                if style.bgcolor is None:
                    style += self.cursor
            self._cache[key] = style
        return style

    def _word(self, word: str, words: list[str]) -> Style:
        if word == "strong":
            return Style(bold=True)
        if word == "link":
            return Style(underline=True)
        if word == "header":
            return Style(bold=True) + self._foreground("header", words)
        if word == "chip":
            return self._block(next((w for w in words if w in _COLOURS), "accent"))
        if word == "match":
            return self._block("warning")
        if word == "here":
            return self._block("accent")
        if word == "track":
            if self._no_color:
                return Style()
            return Style(bgcolor=self._color("border-blurred").rich_color)
        return self._foreground(word, words)

    def _foreground(self, word: str, words: list[str]) -> Style:
        if word not in _COLOURS:
            raise ValueError(f"no such role: {word!r}")
        if "chip" in words:
            return Style()
        if self._no_color:
            return Style(dim=True) if word in ("dim", "header", "frame") else Style()
        return Style(color=self._color(_COLOURS[word]).rich_color)

    def _block(self, word: str) -> Style:
        """Text on a field of a role's colour."""
        if self._no_color:
            return Style(reverse=True, bold=True)
        if self._sixteen:
            return Style(color=self._color(_COLOURS[word]).rich_color, reverse=True)
        return Style(
            color=self._color("background").rich_color,
            bgcolor=self._color(_COLOURS[word]).rich_color,
        )


_role_styles: dict[tuple[str, bool], RoleStyles] = {}


def role_styles(app: App[object]) -> RoleStyles:
    """The styles of ``app``'s current theme."""
    key = (app.theme, app.no_color)
    styles = _role_styles.get(key)
    if styles is None:
        styles = RoleStyles(
            app.theme_variables, no_color=app.no_color, sixteen=app.current_theme.ansi
        )
        _role_styles[key] = styles
    return styles
