"""The tasks screen in a real terminal: filter, sort, drill in, leave."""

from tests.cli.test_terminal import Terminal


def test_filtering_sorting_and_drilling_in_with_keys_alone() -> None:
    terminal = Terminal("demo")
    try:
        terminal.wait_for("Survey")
        terminal.press("3")
        terminal.wait_for("Tasks by stack")
        terminal.press("F")
        terminal.wait_for("114 tasks")
        terminal.press("/")
        terminal.wait_for("text or regular expression")
        terminal.press("logrot")
        terminal.wait_for("1 of 114")
        terminal.press("\r")
        terminal.wait_for("/logrot")
        terminal.press("t")
        terminal.wait_for("ps -m")
        terminal.press("\r")
        terminal.wait_for("bt ")
        terminal.press("]]")
        terminal.wait_for("/proc/storlab/control")
        terminal.press("qq")
        terminal.press("q")
        assert terminal.wait_for_end() == 0
    finally:
        terminal.close()
