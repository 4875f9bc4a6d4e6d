"""Names that modules' BTF has."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from kscope.model.target import OpenQuery
from kscope.session.answering import finish
from kscope.target.btf import finders
from kscope.target.btf.format import Btf
from kscope.target.opening import open_target


def test_a_module_is_listed_once_however_many_names_are_asked_for(
    demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: Counter[int] = Counter()
    variables = finders._section_variables

    def counted(btf: Btf) -> Iterator[tuple[str, int, int]]:
        listed[id(btf)] += 1
        return variables(btf)

    monkeypatch.setattr(finders, "_section_variables", counted)
    program = finish(open_target(OpenQuery(path=str(demo))), None).program
    # Types of the module's; there are no variables of these names.
    for name in ("storlab_item", "storlab_state"):
        with pytest.raises(LookupError):
            program.variable(name)
    assert len(listed) > 1
    assert set(listed.values()) == {1}
