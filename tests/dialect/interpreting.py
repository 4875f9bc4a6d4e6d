"""An interpreter on the bundled dump, without a worker and without a terminal."""

from collections.abc import Callable
from typing import Any, TypeVar

from kscope.dialect.crash.interpreter import Interpreter, Output
from kscope.dialect.crash.user_shell import run_captured
from kscope.model.base import Progress, Query, Result
from kscope.session.answering import answer
from kscope.target.target import Target

R = TypeVar("R", bound=Result)


def interpreter(target: Target, aliases: dict[str, str] | None = None) -> Interpreter:
    """One whose answers come from ``target``, each asked once."""
    answers: dict[Query[Any], Any] = {}

    async def ask(query: Query[R], progress: Callable[[Progress], None] | None = None) -> R:
        if query not in answers:
            answers[query] = answer(target, query, progress)
        found: R = answers[query]
        return found

    return Interpreter(ask, run_captured, aliases)


async def text(interpreter: Interpreter, line: str) -> str:
    """What a line prints; it must not fail."""
    output = await interpreter.run(line)
    assert not output.error, output.error
    return output.text


async def error(interpreter: Interpreter, line: str) -> str:
    """What a line that fails says."""
    output: Output = await interpreter.run(line)
    assert output.error, f"{line} did not fail: {output.text}"
    return output.error
