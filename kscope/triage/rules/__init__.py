"""The rules, one a file. A new one is found by being here."""

import importlib
import pkgutil

from kscope.triage.rule import Rule


def all_rules() -> list[Rule]:
    """Every rule; those about the panic first, which are quick and what is asked first."""
    rules: list[Rule] = [
        importlib.import_module(f"{__name__}.{module.name}").RULE
        for module in pkgutil.iter_modules(__path__)
    ]
    return sorted(rules, key=lambda rule: not rule.name.startswith("panic"))
