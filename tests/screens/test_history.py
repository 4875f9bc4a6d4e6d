"""The lines that were typed, kept for the next time."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kscope.model.base import Query, QueryError
from kscope.screens.command_line import CommandLine, history_file


def test_lines_typed_in_two_kscopes_at_once_are_all_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    async def ask(query: Query[Any], progress: object = None) -> Any:
        raise QueryError("There is nothing to ask.")

    one, other = CommandLine(ask), CommandLine(ask)
    for each, text in ((one, "eval 1"), (other, "eval 2"), (one, "eval 3")):
        asyncio.run(each.run(text, lambda _: None))
    assert history_file().read_text().splitlines() == ["eval 1", "eval 2", "eval 3"]
