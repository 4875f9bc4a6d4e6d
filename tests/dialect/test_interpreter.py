"""Running crash command lines on the bundled dump."""

import asyncio
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kscope.dialect.crash import writing
from kscope.dialect.crash.interpreter import Context, Interpreter
from kscope.dialect.crash.user_shell import ShellOutput
from kscope.model.base import Query, QueryError
from kscope.model.tasks import TasksQuery
from kscope.target.target import Target
from tests.dialect.interpreting import error, interpreter, text


@pytest.fixture
def crash(demo_target: Target) -> Interpreter:
    return interpreter(demo_target)


# Pipes and files.


async def test_the_output_goes_through_the_users_pipeline(crash: Interpreter) -> None:
    assert int(await text(crash, "ps -m | grep UN | wc -l")) == 13


async def test_nothing_matched_is_no_failure(crash: Interpreter) -> None:
    assert await text(crash, "ps | grep no-such-task") == ""


async def test_a_pipeline_that_fails_says_how(crash: Interpreter) -> None:
    assert await error(crash, "ps | exit 7") == "exit status 7"


async def test_the_output_goes_into_a_file_and_is_added_to_it(
    crash: Interpreter, tmp_path: Path
) -> None:
    file = tmp_path / "out"
    assert await text(crash, f"ps 1 > {file}") == ""
    assert await text(crash, f"ps 2 >> {file}") == ""
    lines = file.read_text().splitlines()
    assert [line.split()[-1] for line in lines] == ["COMM", "init", "COMM", "[kthreadd]"]


async def test_a_command_runs_once_for_each_line_of_a_file(
    crash: Interpreter, tmp_path: Path
) -> None:
    (tmp_path / "pids").write_text("161\n\n162\n")
    shown = await text(crash, f"ps -H < {tmp_path}/pids")
    assert [line.split()[-1] for line in shown.splitlines()] == ["rtowner", "logrotated"]


async def test_lines_of_a_file_are_arguments_and_never_commands(
    crash: Interpreter, tmp_path: Path
) -> None:
    marker = tmp_path / "touched"
    (tmp_path / "pids").write_text(f"| touch {marker}\n; touch {marker}\n> {marker}\n! touch\n")
    await crash.run(f"bt < {tmp_path}/pids | cat")
    assert not marker.exists()


async def test_a_file_of_commands_runs_line_by_line(crash: Interpreter, tmp_path: Path) -> None:
    (tmp_path / "script").write_text("set 161\n# comment\nset | grep COMMAND\nq\nps\n")
    shown = await text(crash, f"< {tmp_path}/script")
    assert shown.endswith('COMMAND: "rtowner"')


async def test_a_shell_command_has_no_terminal_and_no_input(crash: Interpreter) -> None:
    assert await text(crash, "! cat; (: < /dev/tty) 2>/dev/null || echo none") == "none"


async def test_what_a_pipeline_prints_cannot_steer_the_terminal(crash: Interpreter) -> None:
    assert await text(crash, r"! printf '\033]52;c;eA==\007'") == r"\x1b]52;c;eA==\x07"


async def test_a_missing_file_is_named(crash: Interpreter) -> None:
    assert "No such file" in await error(crash, "bt < /nonexistent/pids")


# Who answers.


@pytest.mark.parametrize(
    ("line", "who"),
    [
        ("ps", "kscope"), ("ps -p 1", "drgn"), ("kmem -i", "drgn"), ("mod -t", "drgn"),
        ("list_head", "kscope"), ("bt -FF 1", "drgn"), ("! true", "shell"), ("# x", ""),
    ],
)  # fmt: skip
async def test_it_is_said_who_answered(crash: Interpreter, line: str, who: str) -> None:
    output = await crash.run(line)
    assert output.answered_by == who
    assert not output.error


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nosuch", "crash: command not found: nosuch"),
        ("bt 99999", "bt: invalid task or pid value: 99999"),
        ("bt -c 77", "bt: invalid cpu specification: 77"),
        ("struct nosuch", "struct: invalid data structure reference: nosuch"),
        ("wr jiffies 0", "wr: not allowed on dumpfiles"),
        ("sym nosuch", "symbol not found: nosuch"),
        ("task -R pid 99999", "task: invalid task or pid value: 99999"),
        # What nobody answers says what comes nearest.
        ("vm -p 1", "vm: -p: not answered by kscope or by drgn's crash mode; "
         "nearest: vtop -c PID -u ADDRESS translates one page"),
        ("bt -v", "bt: -v: not answered by kscope or by drgn's crash mode; "
         "nearest: bt -r PID shows a stack with the magic number at its end"),
        ("pte 25", "pte: not answered by kscope or by drgn's crash mode; "
         "nearest: vtop ADDRESS shows the flags of the entries on its way"),
        ("p 1/0", "p: Division by zero."),
        ("bt -n xyz", "bt: invalid argument: -n xyz"),
        ("foreach UN bt -n xyz", "bt: invalid argument: -n xyz"),
        ("foreach nosuch bt", 'foreach: unknown argument: "nosuch"'),
        ("set 99999", "set: invalid task or pid value: 99999"),
        ("drgn", "An interactive drgn needs a terminal of its own. drgn CODE runs one piece of "
         "Python."),
    ],
)  # fmt: skip
async def test_a_failure_is_the_commands_own_message(
    crash: Interpreter, line: str, said: str
) -> None:
    assert await error(crash, line) == said


async def test_a_wrong_option_shows_the_usage(crash: Interpreter) -> None:
    said = await error(crash, "ps -Z")
    assert said.startswith("ps: invalid option -- 'Z'\nUsage: ps ")


async def test_q_ends(crash: Interpreter) -> None:
    assert (await crash.run("q")).ends
    assert (await crash.run("exit")).ends


# The context.


async def test_the_context_is_the_panic_task_until_another_is_set(crash: Interpreter) -> None:
    assert "(PANIC)" in await text(crash, "set")
    await text(crash, "set 161")
    assert (await text(crash, "bt")).startswith("PID: 161 ")
    assert 'COMMAND: "rtowner"' in await text(crash, "files")


async def test_foreach_does_not_move_the_context(crash: Interpreter) -> None:
    await text(crash, "foreach UN files")
    assert (await crash.context()).comm == "khungtaskd"


async def test_the_radix_holds_for_kscope_and_for_drgn(crash: Interpreter) -> None:
    await text(crash, "hex")
    assert await text(crash, "struct task_struct.flags init_task") == "  flags = 0x4200002,"
    assert "0x" in await text(crash, "task -R flags 1 | grep flags")


@pytest.mark.parametrize("command", ["bt", "set", "task"])
async def test_what_needs_a_current_task_says_that_there_is_none(
    crash: Interpreter, command: str
) -> None:
    crash._context = Context(why_none="this kernel did not panic")
    said = await error(crash, command)
    assert said == f"{command}: no current task: this kernel did not panic"


# foreach.


async def test_foreach_takes_crashs_states(crash: Interpreter) -> None:
    shown = await text(crash, "foreach UN bt | grep COMMAND")
    assert shown.count("PID: ") == 13
    assert "logrotated" in shown


async def test_foreach_names_are_any_of_and_keywords_all_of(crash: Interpreter) -> None:
    shown = await text(crash, "foreach kernel UN ps -H")
    assert [line.split()[-1] for line in shown.splitlines()] == [
        "[kworker/0:1]", "[storlab/trim]", "[storlab/resync]",
    ]  # fmt: skip
    assert await text(crash, "foreach user 'storlab' ps") == ""


async def test_foreach_set_says_that_idle_tasks_share_their_pid(crash: Interpreter) -> None:
    idle = await text(crash, "foreach swapper/0 set")
    assert idle.splitlines()[1:] == (await text(crash, "set 0")).splitlines()
    assert "  (1 of 4)  [THREAD_INFO: " in idle
    assert "(1 of" not in await text(crash, "foreach 1 set")


async def test_foreach_leaves_idle_tasks_out_of_backtraces(crash: Interpreter) -> None:
    assert await text(crash, "foreach 0 bt -n idle") == ""


# Values.


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1+2*3", "7"),
        ("((1 << 20) | 5)", "1048581"),
        ("sizeof(struct list_head) * 4", "64"),
        ("init_task.comm", '"swapper/0"'),
        ("(init_task.prio > 100) ? 11 : 22", "11"),
        ("(char)65", "65 'A'"),
        ("&init_task", "(struct task_struct *) 0xffffffffa9a1aa40 <init_task>"),
        ("init_task.tasks.next == &init_task.tasks", "0"),
        ("-1", "-1"),
        ("~0UL", "18446744073709551615"),
    ],
)
async def test_p_evaluates_c(crash: Interpreter, expression: str, value: str) -> None:
    assert await text(crash, f"p {expression}") == f"$1 = {value}"


async def test_p_numbers_its_values_as_gdb_does(crash: Interpreter) -> None:
    assert await text(crash, "p jiffies") == "jiffies = $1 = 4294902809"
    assert await text(crash, "p -x jiffies") == "jiffies = $2 = 0xffff0419"


async def test_p_of_a_per_cpu_variable_lists_where_it_is(crash: Interpreter) -> None:
    assert await text(crash, "p runqueues") == (
        "PER-CPU DATA TYPE:\n  struct rq runqueues;\nPER-CPU ADDRESSES:\n"
        "  [0]: ffff8a751f031980\n  [1]: ffff8a751f0b1980\n"
        "  [2]: ffff8a751f131980\n  [3]: ffff8a751f1b1980"
    )


async def test_eval_takes_symbols_for_their_addresses(crash: Interpreter) -> None:
    assert "hexadecimal: ffffffffa9a1aa48  \n" in await text(crash, "eval init_task + 8")


async def test_eval_says_a_whole_number_of_kilobytes(crash: Interpreter) -> None:
    assert (await text(crash, "eval 4096")).startswith("hexadecimal: 1000  (4KB)\n")


# Aliases.


async def test_an_alias_takes_arguments(demo_target: Target) -> None:
    crash = interpreter(demo_target, {"in": "foreach $1 ps -H | wc -l"})
    assert int(await text(crash, "in UN")) == 13


async def test_an_alias_is_made_listed_and_forgotten(demo_target: Target) -> None:
    aliases: dict[str, str] = {}
    crash = interpreter(demo_target, aliases)
    await text(crash, "alias top 'ps | head -1'")
    assert aliases == {"top": "ps | head -1"}
    assert "COMM" in await text(crash, "top")
    assert "saved    top" in await text(crash, "alias")
    await text(crash, 'alias top ""')
    assert aliases == {}


async def test_an_alias_of_itself_is_no_endless_loop(demo_target: Target) -> None:
    crash = interpreter(demo_target, {"a": "b", "b": "a"})
    assert "round in circles" in await error(crash, "a")


async def test_an_alias_argument_is_never_a_command(demo_target: Target, tmp_path: Path) -> None:
    marker = tmp_path / "touched"
    crash = interpreter(demo_target, {"of": "ps | grep $1"})
    await crash.run(f"of '$(touch {marker})'")
    await crash.run(f"of '; touch {marker}'")
    assert not marker.exists()


# Whatever is typed.

TYPED = st.text(
    st.one_of(st.sampled_from("psbtlog -mcaxrf0123456789'\"()&*+<>|!$.,:;"), st.characters()),
    max_size=40,
)
COMMANDS = st.sampled_from(
    ["ps", "bt", "log", "sys", "runq", "struct", "p", "eval", "set", "foreach", "alias", "help"]
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(COMMANDS, TYPED)
async def test_whatever_is_typed_is_answered_or_refused_in_words(
    demo_target: Target, command: str, typed: str
) -> None:
    ran: list[str] = []

    async def shell(command: str, arguments: tuple[str, ...], input_: str | None) -> ShellOutput:
        ran.append(command)
        return ShellOutput("")

    crash = interpreter(demo_target)
    crash._shell = shell
    line = f"{command} {typed.replace('>', '').replace('<', '')}"
    output = await crash.run(line)
    assert isinstance(output.text, str)
    assert not ran or "|" in line


# Commands that drgn's crash mode has too, but not for everything analysts write.


async def test_symbols_have_their_letter_as_in_crash(crash: Interpreter) -> None:
    (line,) = (await text(crash, "sym schedule")).splitlines()
    assert re.fullmatch(r"f{8}[0-9a-f]{8} \(T\) schedule", line)
    address = line.split()[0]
    behind = await text(crash, f"sym {int(address, 16) + 5:x}")
    assert behind.endswith("(T) schedule+5")


async def test_symbols_containing_a_word_or_of_a_module_are_listed(crash: Interpreter) -> None:
    containing = (await text(crash, "sym -q schedule_timeout")).splitlines()
    assert all("schedule_timeout" in line for line in containing)
    of_module = (await text(crash, "sym -m storlab")).splitlines()
    assert all(line.endswith(" [storlab]") for line in of_module)
    assert len(containing) > 3
    assert len(of_module) > 3


async def test_the_symbols_around_one_are_shown(crash: Interpreter) -> None:
    before, this = (await text(crash, "sym -p schedule")).splitlines()
    assert this.endswith(" schedule")
    assert int(before.split()[0], 16) < int(this.split()[0], 16)


async def test_the_symbols_around_an_address_are_those_of_one_of_several_of_a_name(
    crash: Interpreter,
) -> None:
    every = (await text(crash, "sym cmask_show")).splitlines()
    assert len(every) > 2
    address = every[1].split()[0]
    around = (await text(crash, f"sym -p -n {address}")).splitlines()
    assert around[1] == every[1]
    assert [len(around), *sorted(around)] == [3, *around]
    behind = f"{int(address, 16) + 1:x}"
    this = f"{behind} {every[1].split()[1]} cmask_show+1"
    assert (await text(crash, f"sym -p {behind}")).splitlines() == [around[0], this]
    assert (await text(crash, f"sym -n {behind}")).splitlines() == [this, around[2]]


async def test_a_member_that_a_task_lacks_does_not_hide_the_others(crash: Interpreter) -> None:
    lines = (await text(crash, "task -R pid,nosuch 1")).splitlines()
    assert lines[1:] == ["  pid = 1,", "task: nosuch: not a task_struct or thread_info member"]


async def test_an_offset_of_a_list_needs_no_option(crash: Interpreter) -> None:
    without = await text(crash, "list task_struct.tasks -h init_task")
    assert without == await text(crash, "list -o task_struct.tasks -h init_task")
    assert len(without.splitlines()) > 10


async def test_a_search_goes_on_behind_pages_that_are_not_in_the_dump(crash: Interpreter) -> None:
    init = (await text(crash, "task -R pid 1")).split()[3]
    found = await text(crash, f"search -t {init}")
    assert "PID: 1 " in found
    assert f": {init}" in found


async def test_backtraces_can_be_asked_for_by_what_is_in_them(crash: Interpreter) -> None:
    every = (await text(crash, "foreach UN bt")).split("\n\n")
    some = (await text(crash, "foreach UN bt -R rwsem_down_write_slowpath")).split("\n\n")
    assert some == [one for one in every if "rwsem_down_write_slowpath" in one]
    assert 0 < len(some) < len(every)


async def test_a_backtrace_ends_in_what_the_system_call_saved(crash: Interpreter) -> None:
    last = (await text(crash, "bt 1")).splitlines()[-1]
    # init waits for its children: wait4() is 61.
    assert last == "    ORIG_RAX: 000000000000003d  CS: 0033  SS: 002b"


async def test_sys_says_that_pages_were_left_out(crash: Interpreter) -> None:
    lines = (await text(crash, "sys")).splitlines()
    assert any("DUMPFILE: " in line and line.endswith("  [PARTIAL DUMP]") for line in lines)


@pytest.mark.parametrize("line", ["sym schedule", "sym -l", "task -R pid 1"])
async def test_a_question_that_was_not_answered_is_not_said_to_have_been(
    crash: Interpreter, line: str
) -> None:
    asked = crash._asker

    async def ask(query: Query[Any], progress: Any = None) -> Any:
        if isinstance(query, TasksQuery):
            return await asked(query, progress)
        raise QueryError("The worker was killed.", kind="worker-lost")

    crash._asker = ask
    output = await crash.run(line)
    said = output.error or output.text
    assert said.endswith("The worker was killed.")
    assert "not found" not in said


async def test_a_structure_is_what_whatis_shows(crash: Interpreter) -> None:
    assert await text(crash, "whatis struct list_head") == await text(crash, "struct list_head")
    assert await text(crash, "whatis -o list_head") == await text(crash, "struct -o list_head")


async def test_log_says_who_wrote_a_line(crash: Interpreter) -> None:
    assert re.match(r"\[ +0\.0{6}\] \[ +T0\] Linux version", await text(crash, "log -c"))


async def test_a_search_that_stopped_says_so_of_stacks_too(crash: Interpreter) -> None:
    every = await text(crash, "search -t 0")
    assert every.endswith("\nsearch: stopped after 10,000 places")
    assert every.startswith("PID: 0 ")
    active = await text(crash, "search -T 0")
    assert active.endswith("\nsearch: stopped after 10,000 places")


async def test_the_mask_of_a_search_is_hexadecimal(crash: Interpreter) -> None:
    init = int((await text(crash, "task -R pid 1")).split()[3], 16)
    tagged = await text(crash, f"search -t -m f {init | 0xF:x}")
    assert f": {init:x}" in tagged
    # Bits 1 and 3 are those of a decimal 10.
    assert f": {init:x}" not in await text(crash, f"search -t -m 10 {init | 0xA:x}")


async def test_what_is_no_mask_is_said_in_a_sentence(crash: Interpreter) -> None:
    wrong = (await crash.run("search -t -m tags init_task")).error
    assert wrong == "search: tags is no mask: hexadecimal, as 7 or fff."


async def test_what_an_alias_stands_for_is_the_command_for_crash(crash: Interpreter) -> None:
    crash.aliases["who"] = "ps -y $1"
    found = await crash.run("who NORMAL | head -n 1")
    assert found.line == "who NORMAL | head -n 1"
    assert found.crash == "ps -y NORMAL | head -n 1"
    assert not (await crash.run("ps -y NORMAL")).crash


@pytest.mark.parametrize("quote", ['"', ""])
async def test_an_argument_in_an_aliass_pipeline_is_no_command_for_crash_either(
    crash: Interpreter, tmp_path: Path, quote: str
) -> None:
    crash.aliases["who"] = f"ps | printf %s {quote}$1{quote}"
    harmful = f"$(touch${{IFS}}{tmp_path}/here)"
    found = await crash.run(f"who '{harmful}'")
    command, pipeline = found.crash.split(" | ", 1)
    assert command == "ps"
    # As crash does with what follows the bar.
    done = subprocess.run(["sh", "-c", pipeline], capture_output=True, text=True, check=True)
    assert done.stdout == found.text == harmful
    assert not list(tmp_path.iterdir())


async def test_the_code_of_a_command_is_not_that_of_what_else_is_asked_meanwhile(
    crash: Interpreter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_SLICE", 10)  # lines, after which others have their turn
    alone = await crash.run("log")
    beside, _ = await asyncio.gather(crash.run("log"), crash.tasks())
    assert beside.drgn == alone.drgn


@pytest.mark.parametrize(
    ("line", "codes", "nothing_of"),
    [
        ("search -t init_task", ["wanted = "], "task_rss"),
        ("sym schedule do_exit", ["prog.symbols('schedule')", "prog.symbols('do_exit')"], ""),
        ("task 1", ['"struct task_struct"', '"struct thread_info"'], "task_rss"),
        ("foreach bt", ["for cpu in [", "for task in ["], "task_rss"),
        ("sym -p ffffffffa8000000", ["prog.symbols('"], "identify_address"),
    ],
)
async def test_the_code_is_for_all_that_a_command_shows_and_for_nothing_else(
    crash: Interpreter, line: str, codes: list[str], nothing_of: str
) -> None:
    drgn = (await crash.run(line)).drgn
    assert [code for code in codes if code not in drgn] == []
    assert not nothing_of or nothing_of not in drgn
    compile(drgn, line, "exec")


@pytest.mark.parametrize("line", ["set 1", "help", "foreach 1 files"])
async def test_where_there_is_no_code_none_is_made_of_what_was_looked_up(
    crash: Interpreter, line: str
) -> None:
    assert not (await crash.run(line)).drgn


async def test_code_that_is_too_long_to_be_pasted_is_not_offered(
    crash: Interpreter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kscope.dialect.crash.interpreter._LONGEST_CODE", 1000)
    assert (await crash.run("bt 1")).drgn
    assert not (await crash.run("foreach bt")).drgn


async def test_a_redirection_says_how_much_went_where(crash: Interpreter, tmp_path: Path) -> None:
    path = tmp_path / "out"
    found = await crash.run(f"ps > {path}")
    assert not found.text
    assert found.note == f"{len(path.read_text().splitlines())} lines written to {path}"
