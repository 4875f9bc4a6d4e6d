"""What a rule is. Each file in ``kscope.triage.rules`` holds one, as ``RULE``."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from kscope.model.survey import Finding
from kscope.triage.facts import Facts


@dataclass(frozen=True)
class Rule:
    """One thing that may be wrong with a machine.

    It reports and does not decide whether it may run: that is declared, and decided for all rules
    in one place.
    """

    name: str
    about: str
    """What it looks for, in a few words."""
    check: Callable[[Facts], Iterable[Finding]]
    needs: tuple[str, ...] = field(default=())
    """Kernel variables (``rcu_state``) and types (``struct worker_pool``) it cannot do without."""
    needs_types: bool = True
    live: bool = True
    """Whether what it reads stands still long enough on a running machine."""
    seconds: float = 10.0
    """After that it is stopped, and what it found by then is kept."""
