"""The survey of a guest that waits for three NFS servers and a FUSE server.

One NFS server can no longer be reached, one takes what it is sent and says nothing, one was never
there.
"""

import contextlib
import io
import re
from typing import Any

import msgspec
import pytest
from drgn.helpers.linux.fs import for_each_mount, mount_dst

from kscope.kernel.locks import read_locks
from kscope.model.base import Address
from kscope.model.locks import Blocked
from kscope.model.survey import Finding, Survey, SurveyQuery
from kscope.model.target import OpenQuery
from kscope.model.task import TaskQuery
from kscope.screens.task_lines import stack_lines
from kscope.session.answering import answer, finish
from kscope.target.btf import ModulesBesideDwarf
from kscope.target.opening import open_target
from kscope.target.target import Target
from kscope.triage.facts import Facts
from kscope.triage.rules.remote_filesystems import RULE
from tests.dialect.interpreting import interpreter
from tests.lab.catalogue import LabDump, find
from tests.lab.kernel import NEWEST
from tests.lab.oracle import crash
from tests.on_lab.opening import SERIES, find_or_skip, open_lab
from tests.on_lab.surveys import of_rule, surveyed

pytestmark = pytest.mark.lab

SERVERS = ("nfs", "quiet", "absent", "fuse")
"""As the manifest names them."""


@pytest.fixture(
    params=[*((series, types) for series in SERIES for types in ("btf", "dwarf")), (NEWEST, "btf")],
    ids="-".join,
    scope="module",
)
def opened(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A kernel and where its types come from; of the newest there is no vmlinux."""
    which: tuple[str, str] = request.param
    if which[0] == NEWEST:
        find_or_skip("remote-stuck", NEWEST)
    return which


@pytest.fixture(scope="module")
def target(opened: tuple[str, str]) -> Target:
    return open_lab("remote-stuck", *opened)


@pytest.fixture(scope="module")
def stuck(opened: tuple[str, str]) -> LabDump:
    return find("remote-stuck", opened[0])


@pytest.fixture(scope="module")
def survey(opened: tuple[str, str]) -> Survey:
    return surveyed("remote-stuck", *opened)


@pytest.fixture(scope="module")
def blocked(target: Target) -> dict[str, Blocked]:
    return {task.comm: task for task in read_locks(target).blocked}


def server(dump: LabDump, kind: str) -> dict[str, Any]:
    description: dict[str, Any] = dump.manifest["servers"][kind]
    return description


def waiting(dump: LabDump, kind: str) -> dict[str, str]:
    """What each task has asked the server for, by comm."""
    return {
        comm: asked if isinstance(asked, str) else asked[dump.series]
        for comm, asked in server(dump, kind)["waiting"].items()
    }


def pids(dump: LabDump, kind: str) -> set[int]:
    return {dump.task(comm)["pid"] for comm in waiting(dump, kind)}


def about(survey: Survey, dump: LabDump, kind: str) -> Finding:
    (finding,) = (
        finding for finding in of_rule(survey, RULE.name)
        if finding.title.startswith(f"{named(dump, kind)} does not answer: ")
    )  # fmt: skip
    return finding


def named(dump: LabDump, kind: str) -> str:
    if kind == "fuse":
        return f"FUSE server of {server(dump, kind)['mounted']}"
    return f"NFS server {server(dump, kind)['address']}"


def evidence(finding: Finding, label: str) -> list[str]:
    return [each.text for each in finding.evidence if each.label.startswith(label)]


def test_each_server_has_one_finding_with_the_tasks_that_wait_for_it(
    stuck: LabDump, survey: Survey
) -> None:
    assert len(of_rule(survey, RULE.name)) == len(SERVERS)
    for kind in SERVERS:
        assert set(about(survey, stuck, kind).tasks) == pids(stuck, kind)


def test_titles_say_how_many_wait_and_for_how_long(stuck: LabDump, survey: Survey) -> None:
    titles = [about(survey, stuck, kind).title.partition("answer: ")[2] for kind in SERVERS]
    for title, tasks in zip(titles, ("5 tasks", "1 task", "1 task", "2 tasks"), strict=True):
        assert re.fullmatch(rf"{tasks} blocked for [1-9]\d s", title)


@pytest.mark.parametrize("kind", ["nfs", "quiet", "absent"])
def test_who_waits_for_an_nfs_server_is_told_what_was_asked_and_when(
    stuck: LabDump, blocked: dict[str, Blocked], kind: str
) -> None:
    for comm, operation in waiting(stuck, kind).items():
        asked = rf"NFSv4 {operation}, not answered for [1-9]\d s"
        assert re.match(rf"waits for {named(stuck, kind)} \({asked}\) in ", blocked[comm].doing)


def test_who_waits_for_the_fuse_server_is_told_what_was_asked(
    stuck: LabDump, blocked: dict[str, Blocked]
) -> None:
    for comm, operation in waiting(stuck, "fuse").items():
        since = r" for [1-9]\d s" if stuck.series == NEWEST else ""
        words = rf"waits for the {named(stuck, 'fuse')} \({operation}, not answered{since}\) in "
        assert re.match(words, blocked[comm].doing)


def test_readers_of_one_folio_wait_for_the_same_request(blocked: dict[str, Blocked]) -> None:
    first, second = blocked["mailtail"].asked, blocked["mailreader"].asked
    assert first is not None
    assert first == second


def test_requests_were_sent_that_the_network_does_not_acknowledge(
    stuck: LabDump, survey: Survey
) -> None:
    finding = about(survey, stuck, "nfs")
    requests = evidence(finding, "request")
    assert len(requests) == 4
    assert all(", sent once, in the queue xprt_pending" in text for text in requests)
    (connection,) = evidence(finding, "connection")
    assert connection.startswith("connected, ")
    (socket,) = evidence(finding, "socket")
    assert re.fullmatch(
        r"[1-9]\d* bytes not acknowledged, [1-9]\d* retransmissions since .*", socket
    )
    assert "(tcp port 2049) is up, but what was sent last is not ack" in finding.explanation


def test_the_filesystems_of_an_nfs_server_are_told_with_where_they_are_mounted(
    stuck: LabDump, survey: Survey
) -> None:
    nfs = server(stuck, "nfs")
    finding = about(survey, stuck, "nfs")
    assert evidence(finding, "filesystem") == [f"{nfs['address']}:/ on {nfs['mounted']}"]


def test_a_server_that_takes_what_is_sent_and_says_nothing_is_told_from_a_network_that_is_down(
    stuck: LabDump, survey: Survey
) -> None:
    finding = about(survey, stuck, "quiet")
    assert evidence(finding, "socket") == [
        "0 bytes not acknowledged, 0 retransmissions since something was"
    ]
    assert "(tcp port 2050) is up, and all that was sent is ack" in finding.explanation


def test_a_server_to_which_there_is_no_connection_is_told_to_be_so(
    stuck: LabDump, survey: Survey
) -> None:
    finding = about(survey, stuck, "absent")
    assert finding.explanation.startswith("There is no connection (tcp port 2050): ")
    (request,) = evidence(finding, "request")
    assert ", not sent yet" in request
    assert not evidence(finding, "socket")


def test_the_fuse_finding_names_the_process_that_serves_and_how_to_give_up(
    stuck: LabDump, survey: Survey
) -> None:
    finding = about(survey, stuck, "fuse")
    fuse = server(stuck, "fuse")
    process = f"{fuse['task']} {stuck.task(fuse['task'])['pid']}"
    assert f"fuse.sshfs {fuse['source']} is served by {process}," in finding.explanation
    (state,) = evidence(finding, f"server {process}")
    assert state.startswith("IN, last on a CPU ")
    (connection,) = (e for e in finding.evidence if e.label.startswith("connection"))
    number = connection.label.removeprefix("connection ")
    assert f"/sys/fs/fuse/connections/{number}/abort" in finding.explanation


def test_a_connections_number_is_the_minor_of_its_filesystems_device(
    target: Target, stuck: LabDump, survey: Survey
) -> None:
    where = server(stuck, "fuse")["mounted"].encode()
    (mount,) = (each for each in for_each_mount(target.program) if mount_dst(each) == where)
    minor = mount.mnt.mnt_sb.s_dev.value_() & 0xFFFFF
    assert evidence(about(survey, stuck, "fuse"), f"connection {minor}")


def test_what_the_fuse_server_has_read_and_what_not_is_told(stuck: LabDump, survey: Survey) -> None:
    read, waiting_to_be = evidence(about(survey, stuck, "fuse"), "request")
    assert read.startswith("READ, ")
    assert read.endswith(", read by the server")
    assert waiting_to_be.startswith("LOOKUP, ")
    assert waiting_to_be.endswith(", not read by the server yet, interrupted by a signal")


def test_locks_say_which_request_a_task_sleeps_on(target: Target) -> None:
    names = {lock.name for lock in read_locks(target).locks}
    assert sum(bool(re.fullmatch("tk_runstate of rpc_task [0-9a-f]{16}", n)) for n in names) == 4
    assert sum(bool(re.fullmatch("waitq of fuse_req [0-9a-f]{16}", n)) for n in names) == 1


def test_what_is_shown_of_a_task_says_what_it_waits_for(
    target: Target, blocked: dict[str, Blocked]
) -> None:
    locks = read_locks(target)
    for task in (task for task in blocked.values() if task.asked is not None):
        detail = answer(target, TaskQuery(task=str(task.pid), stack=True))
        assert detail.stack is not None
        lines = stack_lines(detail.stack, detail.row, locks, 100, all_symbols=False)
        assert task.doing in ["".join(span.text for span in each) for each in lines]


def test_servers_come_before_the_queue_behind_one_of_their_victims(
    stuck: LabDump, survey: Survey
) -> None:
    rules = [finding.rule for finding in survey.findings]
    assert rules[:5] == [*[RULE.name] * len(SERVERS), "lock-chain"]
    (chain,) = of_rule(survey, "lock-chain")
    ((behind, owner),) = server(stuck, "nfs")["behind"].items()
    assert chain.tasks == (stuck.task(owner)["pid"], stuck.task(behind)["pid"])
    assert f"{named(stuck, 'nfs')} does not answer, so they are all vic" in chain.explanation


def test_nobody_who_waits_for_a_server_has_another_finding(survey: Survey) -> None:
    assert not of_rule(survey, "blocked-tasks")


def test_the_drgn_code_of_every_evidence_runs(target: Target, survey: Survey) -> None:
    codes = {e.drgn for finding in of_rule(survey, RULE.name) for e in finding.evidence}
    assert all(codes)
    for code in codes:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code, {"prog": target.program})


async def test_kscope_obeys_the_crash_command_of_every_evidence(
    target: Target, survey: Survey
) -> None:
    ours = interpreter(target)
    lines = {e.crash for finding in of_rule(survey, RULE.name) for e in finding.evidence}
    for line in lines:
        output = await ours.run(line)
        assert (bool(output.text), output.error) == (True, ""), line


def test_crash_understands_the_command_of_every_evidence() -> None:
    """It does not open 6.1's dumps of guests that did not panic."""
    findings = of_rule(surveyed("remote-stuck", "6.12"), RULE.name)
    lines = sorted({e.crash for finding in findings for e in finding.evidence})
    outputs = crash(find("remote-stuck", "6.12"), lines)
    assert all(output.strip() for output in outputs)
    assert not [output for output in outputs if "invalid" in output]


def test_without_the_modules_types_the_functions_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """FUSE is a module on 6.1. What RPC and NFS have is known to vmlinux, too."""
    monkeypatch.setattr(ModulesBesideDwarf, "_may_define", lambda *_: False)
    dump = find("remote-stuck", "6.1")
    query = OpenQuery(path=str(dump.vmcore), vmlinux=str(dump.vmlinux))
    target = finish(open_target(query), None)
    blocked = {task.comm: task for task in read_locks(target).blocked}
    assert blocked["archivestat"].doing == "waits for a FUSE server in request_wait_answer()"
    assert blocked["archivestat"].asked is None
    survey = answer(target, SurveyQuery())
    assert not [f for f in of_rule(survey, RULE.name) if "FUSE" in f.title]
    told = {pid for finding in of_rule(survey, "blocked-tasks") for pid in finding.tasks}
    assert pids(dump, "fuse") <= told


def test_a_connection_that_cannot_be_read_is_said_to_be_so_and_the_rest_is_told(
    target: Target,
) -> None:
    facts = Facts(target)
    elsewhere = Address(0xFFFF_FE00_DEAD_0000)
    locks = msgspec.structs.replace(
        facts.locks,
        blocked=tuple(
            msgspec.structs.replace(
                task, asked=msgspec.structs.replace(task.asked, connection=elsewhere)
            )
            if task.asked is not None
            else task
            for task in facts.locks.blocked
        ),
    )
    facts.__dict__["locks"] = locks
    for finding in RULE.check(facts):
        assert finding.explanation.startswith("What its connection is like could not be read.")
        (connection,) = evidence(finding, "connection")
        assert re.match("cannot be read: 0xfffffe00dead0.{3} is not mapped", connection)
        assert evidence(finding, "request")
