"""drgn's helpers are imported as they are needed, and none is missing to who wants all of them."""

import subprocess
import sys

import pytest


def printed(code: str) -> str:
    """What a new interpreter prints that runs this after kscope's own types were imported."""
    run = [sys.executable, "-c", f"import sys, kscope.target.btf\n{code}"]
    return subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()


def test_only_the_helpers_that_are_needed_are_imported() -> None:
    assert printed("print('drgn.helpers.linux.bpf' in sys.modules, 'drgn.cli' in sys.modules)") == (
        "False False"
    )


@pytest.mark.parametrize(
    "code",
    [
        "from drgn.helpers.linux import find_task; print(find_task.__name__)",
        "from drgn.helpers.linux import *; print(find_task.__name__)",
        "import drgn.helpers.linux; print(drgn.helpers.linux.find_task.__name__)",
        "import drgn.helpers.linux; print(drgn.helpers.linux.pid.find_task.__name__)",
        "from kscope.target.drgn_helpers import import_all; import_all();"
        "print(sys.modules['drgn.helpers.linux'].__dict__['find_task'].__name__)",
    ],
)
def test_the_package_has_all_of_its_names(code: str) -> None:
    assert printed(code) == "find_task"


def test_the_package_knows_the_same_names_as_drgns_own() -> None:
    ours = printed("import drgn.helpers.linux as linux; print(sorted(linux.__all__))")
    own = [sys.executable, "-c", "import drgn.helpers.linux as linux; print(sorted(linux.__all__))"]
    assert ours == subprocess.run(own, capture_output=True, text=True, check=True).stdout.strip()
