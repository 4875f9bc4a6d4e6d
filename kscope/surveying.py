"""``kscope survey``: one dump in this process, or many side by side, a process each."""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from kscope import headless
from kscope.dialect import survey as dialect
from kscope.model.base import QueryError
from kscope.model.codec import from_json, to_json
from kscope.model.survey import Survey, SurveyQuery
from kscope.model.target import OpenQuery
from kscope.session.answering import answer

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
    headless.add_query_options(parser, SurveyQuery)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the result as JSON")
    form.add_argument("--markdown", action="store_true", help="a report to paste")
    options, rest = parser.parse_known_args(arguments)
    unknown = [argument for argument in rest if argument.startswith("-")]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return options, [path for path in (options.vmcore, *rest) if path]


def _one(target: OpenQuery, rule: str) -> Survey:
    return answer(headless.open_here(target), SurveyQuery(rule=rule), headless.show_progress)


def _many(options: argparse.Namespace, paths: list[str]) -> tuple[str, int]:
    common = ["--rule", options.rule] if options.rule else []
    common += ["-s", options.vmlinux] if options.vmlinux else []
    common += ["--debuginfod"] if options.debuginfod else []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        results = list(pool.map(lambda path: _in_a_process(path, common), paths))
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


def _in_a_process(path: str, options: list[str]) -> Survey | NotSurveyed:
    """Survey one dump in a process of its own, which may crash without harm."""
    command = [sys.executable, "-m", "kscope", "survey", path, "--json", *options]
    try:
        ended: subprocess.CompletedProcess[Any] = subprocess.run(
            command, capture_output=True, check=False, timeout=_LONGEST_SECONDS
        )
    except subprocess.TimeoutExpired:
        return NotSurveyed(path, f"it took longer than {_LONGEST_SECONDS} s")
    if ended.returncode == 0:
        try:
            return from_json(ended.stdout, Survey)
        except msgspec.DecodeError as error:
            return NotSurveyed(path, f"its survey is not understood: {error}")
    said = " ".join(ended.stderr.decode(errors="backslashreplace").split())
    if ended.returncode < 0:
        return NotSurveyed(path, f"the process died of signal {-ended.returncode}. {said}".strip())
    return NotSurveyed(path, said.removeprefix("kscope: ") or "it failed without a word")


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
