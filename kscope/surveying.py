"""``kscope survey``: one dump in this process, or many side by side, a process each."""

import argparse
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec

from kscope import headless
from kscope.dialect import survey as dialect
from kscope.model.base import QueryError
from kscope.model.codec import from_json, to_json
from kscope.model.survey import Survey, SurveyQuery
from kscope.model.target import OpenQuery
from kscope.model.text import printable

_LONGEST_SECONDS = 600
"""A dump that takes longer is given up; the others are not kept waiting by it."""


class Group(msgspec.Struct, frozen=True):
    """Dumps that died alike."""

    signature: str
    kind: str
    verdict: str
    paths: tuple[str, ...]


class NotSurveyed(msgspec.Struct, frozen=True):
    """A dump that could not be surveyed."""

    path: str
    why: str


class Surveys(msgspec.Struct, frozen=True):
    """Many dumps."""

    surveys: tuple[Survey, ...]
    groups: tuple[Group, ...]
    failed: tuple[NotSurveyed, ...]


def run(arguments: list[str]) -> tuple[str, int]:
    """What to print, and the exit status.

    :raises QueryError: if the only target cannot be surveyed.
    """
    options, paths = _parsed(arguments)
    if len(paths) > 1:
        if options.live or options.qemu:
            raise QueryError(
                "A running machine is not surveyed together with dumps.",
                "Survey it alone: kscope survey --live",
                kind="bad-usage",
            )
        return _many(options, paths)
    options.vmcore = paths[0] if paths else ""
    target = headless.target_from(options)
    if sum(map(bool, (target.path, target.live, target.qemu))) != 1:
        raise QueryError(
            "Name a VMCORE, or --live, or --qemu SOCKET.",
            "kscope survey VMCORE… [--json|--markdown]",
            kind="bad-usage",
        )
    survey = _one(target, options.rule)
    if options.json:
        return to_json(survey).decode(), 0
    if options.markdown:
        return dialect.markdown(survey), 0
    return dialect.text(SurveyQuery(), survey), 0


def _parsed(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="kscope survey",
        usage="kscope survey VMCORE… [-s VMLINUX] [--rule NAME] [--json | --markdown]",
        description="What is wrong with a machine, and what proves it. Several dumps are "
        "surveyed side by side, and those that died alike are put together.",
    )
    headless.add_target_options(parser)
    parser.add_argument("more", nargs="*", help=argparse.SUPPRESS)
    headless.add_query_options(parser, SurveyQuery)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the result as JSON")
    form.add_argument("--markdown", action="store_true", help="a report to paste")
    # argparse itself takes what stands after -- for options again when they are intermixed.
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_intermixed_args(arguments[:end])
    paths = (options.vmcore, *options.more, *arguments[end + 1 :])
    return options, [path for path in paths if path]


def _one(target: OpenQuery, rule: str) -> Survey:
    return headless.ask(headless.open_here(target), SurveyQuery(rule=rule))


def _many(options: argparse.Namespace, paths: list[str]) -> tuple[str, int]:
    common = ["--rule", options.rule] if options.rule else []
    common += ["-s", options.vmlinux] if options.vmlinux else []
    common += ["--debuginfod"] if options.debuginfod else []
    results = _side_by_side(paths, common)
    surveys = [result for result in results if isinstance(result, Survey)]
    failed = [result for result in results if isinstance(result, NotSurveyed)]
    status = 1 if failed else 0
    if options.json:
        return to_json(_together(surveys, failed)).decode(), status
    pairs = [(each.path, each.why) for each in failed]
    if options.markdown:
        reports = [dialect.markdown(survey) for survey in surveys]
        return "\n\n".join([f"```\n{dialect.table(surveys, pairs)}\n```", *reports]), status
    return dialect.table(surveys, pairs), status


def _side_by_side(paths: list[str], options: list[str]) -> list[Survey | NotSurveyed]:
    """Survey all; whatever ends this process leaves none of those that it started."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        processes = _Processes()
        try:
            return list(pool.map(lambda path: _in_a_process(path, options, processes), paths))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            processes.end()
            raise


def _leave(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


class _Processes:
    """Those that were started, to be ended together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = False
        self._running: set[subprocess.Popen[bytes]] = set()

    def run(self, command: list[str]) -> tuple[int, bytes, bytes]:
        """Status, standard output and errors.

        :raises subprocess.TimeoutExpired: if it takes too long.
        """
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        with process:
            with self._lock:
                self._running.add(process)
                if self._ended:
                    process.kill()
            try:
                output, errors = process.communicate(timeout=_LONGEST_SECONDS)
            finally:
                process.kill()
                with self._lock:
                    self._running.remove(process)
        return process.returncode, output, errors

    def end(self) -> None:
        """End all, and those that may yet be started."""
        with self._lock:
            self._ended = True
            for process in self._running:
                process.kill()


def _in_a_process(
    path: str, options: list[str], processes: _Processes
) -> Survey | NotSurveyed:  # fmt: skip
    """Survey one dump in a process of its own, which may crash without harm."""
    command = [sys.executable, "-m", "kscope", "survey", "--json", *options, "--", path]
    shown = printable(path)
    try:
        status, output, errors = processes.run(command)
    except subprocess.TimeoutExpired:
        return NotSurveyed(shown, f"it took longer than {_LONGEST_SECONDS} s")
    if status == 0:
        try:
            return from_json(output, Survey)
        except msgspec.DecodeError as error:
            return NotSurveyed(shown, f"its survey is not understood: {error}")
    said = " ".join(errors.decode(errors="backslashreplace").split())
    if status < 0:
        return NotSurveyed(shown, f"the process died of signal {-status}. {said}".strip())
    return NotSurveyed(shown, said.removeprefix("kscope: ") or "it failed without a word")


def _together(surveys: list[Survey], failed: list[NotSurveyed]) -> Surveys:
    return Surveys(
        surveys=tuple(surveys),
        groups=tuple(
            Group(signature, alike[0].panic.kind, alike[0].verdict,
                  tuple(survey.target.path for survey in alike))
            for signature, alike in dialect.groups(surveys)
        ),
        failed=tuple(failed),
    )  # fmt: skip
