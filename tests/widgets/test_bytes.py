"""What goes to the terminal: over SSH every byte is waited for."""

from __future__ import annotations

from rich.console import RenderableType
from textual._compositor import CompositorUpdate
from textual.app import ComposeResult
from textual.screen import Screen

from kscope.widgets.frame import Frame, FrameScreen
from kscope.widgets.line import Span
from kscope.widgets.line_view import LineView
from kscope.widgets.pane import Pane
from kscope.widgets.table import Column, VirtualTable

from .support import Stage


class Wide(FrameScreen):
    """A full-width table with its position in the border and its command below."""

    def __init__(self) -> None:
        super().__init__()
        self.table = VirtualTable(
            Column[int]("PID", str, width=7, right=True),
            Column[int]("ADDRESS", lambda n: Span(f"{0xFFFF888000000000 + n * 64:x}", "dim"), 16),
            Column[int]("ST", lambda n: Span("UN", "critical") if n % 3 else "IN", width=2),
            Column[int]("TIME", lambda n: f"{n % 60} m {n % 59:02} s", width=9, right=True),
            Column[int]("RSS", lambda n: f"{n * 37 % 100_000:,}", width=9, right=True),
            Column[int]("COMMAND", lambda n: f"kworker/{n % 8}:{n % 7}-events"),
        )
        self.pane = Pane("Tasks", self.table)
        self.frame = Frame(self.pane)

    def compose(self) -> ComposeResult:
        yield self.frame

    def on_mount(self) -> None:
        self.table.show_rows(range(100_000))
        self.table.focus()

    def on_line_view_cursor_moved(self, message: LineView.CursorMoved) -> None:
        self.pane.show_subtitle(message.view.position)
        self.frame.equivalent.show_command(f"task {message.index}")


class Counting(Stage):
    """Counts what would be written to the terminal."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = Wide()
        self.sent = 0

    def get_default_screen(self) -> Wide:
        return self.wide

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        if isinstance(renderable, CompositorUpdate):
            self.sent += len(renderable.render_segments(self.console).encode())
        super()._display(screen, renderable)

    def since(self) -> int:
        sent, self.sent = self.sent, 0
        return sent


async def test_a_line_down_is_less_than_a_kilobyte() -> None:
    app = Counting()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        app.since()
        costs = []
        for _ in range(20):
            await pilot.press("down")
            await pilot.pause()
            costs.append(app.since())
        assert max(costs) < 1024


async def test_holding_down_is_about_a_kilobyte_a_line_scrolling_included() -> None:
    app = Counting()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        app.since()
        for _ in range(100):
            app.wide.table.action_down()
            await pilot.pause()
        assert app.since() / 100 < 1100


async def test_a_page_is_less_than_twelve_kilobytes() -> None:
    app = Counting()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("pagedown")
        await pilot.pause()
        costs = []
        for key in ("pagedown", "pagedown", "G", "pageup", "pageup", "g"):
            app.since()
            await pilot.press(key)
            await pilot.pause()
            costs.append(app.since())
        assert max(costs) < 12 * 1024


async def test_nothing_is_sent_while_nothing_happens() -> None:
    app = Counting()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.5)
        app.since()
        await pilot.pause(1.5)
        assert app.since() == 0
