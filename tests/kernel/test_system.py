"""The machine, as drgn's crash mode says it on the same dump."""

import contextlib
import io
from dataclasses import replace
from pathlib import Path

import drgn.commands._crash  # registers the commands  # noqa: F401
import msgspec
import pytest
from drgn.commands import run_command

from kscope.dialect.system import equivalent, text
from kscope.kernel.system import system
from kscope.model.system import System, SystemQuery
from kscope.model.target import OpenQuery
from kscope.session.answering import finish
from kscope.target.opening import open_target
from kscope.target.target import Target
from tests.kernel.putting import put


@pytest.fixture(scope="module")
def answer(demo_target: Target) -> System:
    return system(demo_target, SystemQuery())


def drgn_crash(target: Target, command: str) -> str:
    target.program.config["crash_scroll"] = False
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        run_command(target.program, f"crash {command}")
    return output.getvalue()


def facts(printed: str) -> dict[str, str]:
    return {
        label.strip(): value
        for label, colon, value in (line.partition(": ") for line in printed.splitlines())
        if colon and label.strip().isupper()
    }


def test_every_fact_of_sys_equals_drgns_crash_mode(demo_target: Target, answer: System) -> None:
    expected = facts(drgn_crash(demo_target, "sys"))
    found = facts(text(SystemQuery(), answer).partition("\n\n")[0])
    # The processor's clock is crash's; drgn's crash mode leaves it out.
    assert found["MACHINE"].split()[0] == expected.pop("MACHINE")
    # crash's too: that pages were left out.
    assert found.pop("DUMPFILE") == expected.pop("DUMPFILE") + "  [PARTIAL DUMP]"
    expected.pop("KERNEL", None)  # its vmlinux: there is none here
    expected.pop("MEMORY")  # the same in another unit, see below
    assert expected.items() <= found.items()


def test_the_panic_task_is_drgns_crashed_thread(demo_target: Target, answer: System) -> None:
    task = demo_target.program.crashed_thread().object
    assert answer.panic_task is not None
    assert answer.panic_task.task == task.value_()
    assert answer.panic_task.comm == "khungtaskd"


def test_memory_is_totalram_pages(demo_target: Target, answer: System) -> None:
    from drgn.helpers.linux.mm import totalram_pages

    assert answer.memory is not None
    assert answer.memory.total_bytes == totalram_pages(demo_target.program) * 4096


def test_nothing_of_the_bundled_dump_is_unreadable(answer: System) -> None:
    assert answer.unreadable == ()


def test_every_cpu_saved_its_registers(answer: System) -> None:
    assert [cpu.registers for cpu in answer.cpu_states] == ["crash note"] * 4


def test_the_settings_that_made_it_panic_are_notable(answer: System) -> None:
    by_name = {setting.name: setting for setting in answer.settings}
    assert by_name["kernel.hung_task_panic"].value == 1
    assert by_name["kernel.hung_task_panic"].notable
    assert not by_name["kernel.panic_on_warn"].notable


def test_taint_letters_are_those_of_drgn(demo_target: Target, answer: System) -> None:
    from drgn.helpers.linux.panic import tainted

    assert answer.taints is not None
    letters = {taint.letter for taint in answer.taints}
    assert letters == set(tainted(demo_target.program)) - {" ", "G"}


def test_a_kdump_kernel_was_loaded_into_its_reservation(answer: System) -> None:
    assert answer.crash_kernel is not None
    assert answer.crash_kernel.size_bytes == 192 << 20
    assert answer.crash_kernel.loaded


def test_a_kernel_that_did_not_die_has_no_panic_whatever_its_log_says(demo: Path) -> None:
    """As a hypervisor dumps it: no CPU has panicked, and no crash kernel was started."""
    target = finish(open_target(OpenQuery(path=str(demo))), None)
    put(target.program, target.program["panic_cpu"].counter, -1)
    identity = msgspec.structs.replace(target.identity, crash_time_seconds=None)
    answer = system(replace(target, identity=identity), SystemQuery())
    assert (answer.panic_message, answer.panic_task) == ("", None)
    assert "PANIC" not in facts(text(SystemQuery(), answer))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(equivalent(SystemQuery()).drgn, {"prog": target.program})
    assert "no panic: " in printed.getvalue()
    assert "hung_task" not in printed.getvalue()
