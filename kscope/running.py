"""``kscope run``: crash command lines without a screen, from the arguments or a script."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from kscope import headless
from kscope.config import Config, ConfigError, SavedAliases, doubts, load
from kscope.dialect.crash.interpreter import Interpreter
from kscope.dialect.crash.user_shell import run_attached
from kscope.model.base import Progress, Query, Result
from kscope.model.target import OpenQuery

R = TypeVar("R", bound=Result)

_DESCRIPTION = """\
Each LINE is a crash command line; without one they are read from standard input, a line each.
Pipes, redirections and ! are your shell's. Exit status 1 if a command failed.
"""


def run(arguments: list[str]) -> int:
    """Run the lines; returns the exit status.

    :raises QueryError: if the target cannot be opened.
    """
    elsewhere = any(each == "--live" or each.startswith("--qemu") for each in arguments)
    parser = argparse.ArgumentParser(prog="kscope run", description=_DESCRIPTION)
    headless.add_target_options(parser, path="none" if elsewhere else "needed")
    parser.add_argument("lines", nargs="*", metavar="LINE", help="such as 'ps -m | grep UN'")
    options = parser.parse_intermixed_args(arguments)
    query = headless.target_from(options)
    if sum(map(bool, (query.path, query.live, query.qemu))) != 1:
        parser.error("name one VMCORE, or --live, or --qemu SOCKET")
    lines: Iterable[str] = options.lines
    if not options.lines:
        if sys.stdin.isatty():
            parser.error("name a LINE, or give a script on standard input")
        lines = sys.stdin
    try:
        config = load()
    except ConfigError as error:
        print(f"kscope: {error}", file=sys.stderr)
        config = Config()
    for sentence in doubts(None):
        print(f"kscope: {sentence}", file=sys.stderr)
    return asyncio.run(_run_all(query, lines, config))


async def _run_all(query: OpenQuery, lines: Iterable[str], config: Config) -> int:
    interpreter = Interpreter(
        _asker(query), run_attached, SavedAliases(config.aliases), radix=config.radix
    )
    status = 0
    for line in lines:
        output = await interpreter.run(line)
        if output.text:
            print(output.text, flush=True)
        if output.error:
            print(output.error, file=sys.stderr, flush=True)
            status = 1
        if output.ends:
            break
    return status


def _asker(query: OpenQuery) -> Any:
    """Answers in this process; a dump's answers are kept, since a dump never changes."""
    target = headless.open_here(query)
    answers: dict[Query[Any], Result] = {}

    async def ask(
        question: Query[R],
        progress: Callable[[Progress], None] | None = None,  # noqa: ARG001
    ) -> R:
        known = answers.get(question)
        if known is None:
            known = headless.ask(target, question)
            if not (query.live or query.qemu):
                answers[question] = known
        return known  # type: ignore[return-value]

    return ask
