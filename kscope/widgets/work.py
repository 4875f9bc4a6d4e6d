"""Work that goes on while keys are answered."""

from collections.abc import Callable, Coroutine
from typing import Any, cast

from textual.dom import DOMNode


def start(
    node: DOMNode,
    work: Callable[[], Coroutine[Any, Any, None]],
    *,
    group: str = "default",
    exclusive: bool = False,
) -> None:
    """Let a worker of ``node`` do it.

    Its coroutine is made when it begins: of one that is cancelled before that, Python would say
    that it was never awaited.

    :param exclusive: whether what goes on in the same group is cancelled.
    """
    node.run_worker(cast(Any, work), group=group, exclusive=exclusive)
