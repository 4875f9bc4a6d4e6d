"""Reports as Markdown and text, with names replaced or not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kscope.model.base import Unreadable
from kscope.model.survey import Evidence, Finding
from kscope.model.system import System
from kscope.model.target import DebugInfo, Identity
from kscope.report.drafts import of_finding
from kscope.report.export import Header, export
from kscope.report.notebook import Block, Notebook, Step
from kscope.report.redaction import Redactor

HEADER = Header(
    identity=Identity(
        path="/srv/db-7/vmcore", name="vmcore", format="kdump", compression="zlib", dump_level=31,
        size_bytes=16 << 20, complete=True, missing_bytes=0, incomplete_why="", live=False,
        release="6.1.0-9", version="#1 SMP", machine="x86_64", nodename="db-7", build_id="ab12",
        crash_time_seconds=None,
    ),
    debug_info=DebugInfo(
        types="btf", vmlinux="", searched=(), missing=("No source lines.",), fetch=()
    ),
    system=System(
        dumpfile="/srv/db-7/vmcore", nodename="db-7",
        panic_message="Kernel panic - not syncing: hung_task: blocked tasks",
        unreadable=(Unreadable("DMI strings", "the page was excluded"),),
    ),
    drgn_version="0.3.0",
)  # fmt: skip
BLOCK = Block(
    question="Who is blocked?\n\nThe panic says *somebody*.",
    steps=(Step(command="ps -m | grep UN", output="[0 00:00:31.918] [UN]  PID: 171",
                answered_by="kscope"),),
    relevant="`scan/2` has waited longest.",
)  # fmt: skip


def markdown(*blocks: Block) -> str:
    return export(Notebook(blocks=blocks), HEADER, "markdown")


def test_markdown_has_the_form_that_analysts_use() -> None:
    assert markdown(BLOCK).partition("## ")[2] == (
        "1. Who is blocked?\n"
        "\n"
        "The panic says *somebody*.\n"
        "\n"
        "~~~\n"
        "crash> ps -m | grep UN\n"
        "[0 00:00:31.918] [UN]  PID: 171\n"
        "~~~\n"
        "\n"
        "`scan/2` has waited longest.\n"
    )


@pytest.mark.parametrize(
    "fact",
    [
        "# vmcore: hung\\_task: blocked tasks",
        "- Dump: /srv/db-7/vmcore (kdump zlib, 16 MB)",
        "- Release: 6.1.0-9 \\#1 SMP",
        "- Build-ID: ab12",
        "partial on purpose (makedumpfile -d 31)",
        ", drgn 0.3.0",
        "  - No source lines.",
        "  - DMI strings: the page was excluded",
    ],
)
def test_the_header_says_what_the_outputs_are_of(fact: str) -> None:
    assert fact in markdown()


def test_text_has_the_same_blocks() -> None:
    text = export(Notebook(blocks=(BLOCK,)), HEADER, "text")
    assert "crash> ps -m | grep UN\n[0 00:00:31.918] [UN]  PID: 171\n" in text
    assert "~~~" not in text


def test_a_step_without_a_crash_command_and_one_that_was_not_run_say_so() -> None:
    text = markdown(Block(steps=(Step(command=""), Step(command="bt 1"))))
    assert "crash> (no crash command shows this)\n(not run)" in text
    assert "crash> bt 1\n(not run)" in text


@given(st.lists(st.sampled_from(["~~~", "~~~~", "a", "```", "~~~ x", "# no", ""]), max_size=8))
def test_no_output_ends_its_own_fence(lines: list[str]) -> None:
    step = Step(command="x", output="\n".join(lines), answered_by="kscope")
    after = markdown(Block(question="q", steps=(step,), relevant="END")).partition("## 1. q\n\n")[2]
    fence = after.partition("\n")[0]
    inside = after.removeprefix(fence + "\n").partition(f"\n{fence}\n")[0]
    assert inside.split("\n")[1:] == step.lines


def test_a_name_from_the_dump_cannot_become_html() -> None:
    text = markdown(Block(question="<img src=x> waits", relevant="`<b>` stays, <b>bold</b> not"))
    assert "## 1. &lt;img src=x> waits" in text
    assert "`<b>` stays, &lt;b>bold&lt;/b> not" in text


@pytest.mark.parametrize(
    "hostile", ["\\<script>", "``<script>`", "`\n\n<script>`", "`a` <script> ``b`"]
)
def test_what_only_looks_like_code_hides_no_html(hostile: str) -> None:
    assert "<script>" not in markdown(Block(question="q", relevant=hostile))


def test_a_command_with_backquotes_is_a_heading_of_code() -> None:
    text = markdown(Block(steps=(Step(command="p `<b>`", answered_by="kscope"),)))
    assert "## 1. `` p `<b>` ``" in text


def test_a_finding_draws_no_link_or_picture_out_of_the_dump() -> None:
    named = Finding(
        rule="x", severity="info", title="![a](http://b) waits", explanation="", disproof="",
        evidence=(Evidence(label="comm", text="[a](http://b)"),),
    )  # fmt: skip
    block = of_finding(named)
    assert "](" not in block.question + block.relevant


# Redaction.


def redacted(text: str, **known: tuple[str, ...]) -> str:
    return Redactor(**known).redact(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.1.2.3 -> 10.1.2.4 -> 10.1.2.3", "address-1 -> address-2 -> address-1"),
        ("fe80::1%eth0 2001:db8::7", "address-1 address-2"),
        ("fe80::1: no route; [2001:db8::7]:2049 at:2001:db8::7", "address-1: no route; "
         "[address-2]:2049 at:address-2"),
        ("lost 10.1.2.3. To 10.1.2.4:2049, 10.1.2.3, 10.1.2.3:", "lost address-1. To "
         "address-2:2049, address-1, address-1:"),
        ("52:54:00:12:34:56 up", "mac-1 up"),
        ("52:54:00:12:34:56: up", "mac-1: up"),
        ("12:30: at 1: f: ab:cd:", "12:30: at 1: f: ab:cd:"),
        ("db-7 db-7.example.com db-77", "host-1 host-1 db-77"),
        ('COMMAND: "oracle" oracle_x', 'COMMAND: "command-1" oracle_x'),
        ("ARG: oracle --password x", "ARG: arguments-1"),
        ("[0 00:00:31.918] 05:43:31 ffff8a75", "[0 00:00:31.918] 05:43:31 ffff8a75"),
        ("127.0.0.1 ::1 1.2.3.4.5 version 6.1.192", "127.0.0.1 ::1 1.2.3.4.5 version 6.1.192"),
        ("PID: 161 at ffffffffa8a1154a", "PID: 161 at ffffffffa8a1154a"),
    ],
)  # fmt: skip
def test_names_are_replaced_alike_everywhere_and_nothing_else_is(text: str, expected: str) -> None:
    assert redacted(text, hosts=("db-7.example.com",), commands=("oracle",)) == expected


def test_a_redacted_report_names_no_host() -> None:
    text = export(Notebook(blocks=(BLOCK,)), HEADER, "markdown", Redactor(hosts=("db-7",)))
    assert "db-7" not in text
    assert "/srv/host-1/vmcore" in text


# Drafts.


def test_a_finding_becomes_a_block_with_its_evidence_and_commands() -> None:
    finding = Finding(
        rule="r", severity="critical", title="backupd waits", explanation="For a mutex.",
        evidence=(
            Evidence(label="state", text="UN", crash="bt 163", drgn="x"),
            Evidence(label="again", text="UN", crash="bt 163"),
            Evidence(label="inside", text="no command"),
        ),
        disproof="an owner that runs",
    )  # fmt: skip
    block = of_finding(finding)
    assert block.heading == "backupd waits"
    assert [step.command for step in block.steps] == ["bt 163"]
    assert block.steps[0].drgn == "x"
    assert "- inside: no command" in block.relevant
    assert "an owner that runs" in block.relevant
