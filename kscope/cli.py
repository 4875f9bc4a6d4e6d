"""The command line. Imports nothing heavy at module scope: ``--version`` answers in 0.1 s."""

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from kscope.model.target import OpenQuery

_USAGE = """\
usage: kscope VMCORE [-s VMLINUX]        the dashboard
       kscope demo                       the dashboard on the dump that comes with kscope
       kscope                            choose among the dumps found on this machine
       kscope --live | --qemu SOCKET     the running kernel; a QEMU guest by its QMP socket
       kscope survey VMCORE…             what is wrong and what proves it; many side by side
       kscope show VIEW VMCORE [--json]  one view as text; kscope show lists them
       kscope run VMCORE 'LINE'…         crash command lines: kscope run demo 'ps -m | grep UN'
       kscope run VMCORE < SCRIPT        the same from a file, a line each
       kscope config                     where aliases and keys are kept; import-crashrc
       kscope --version | --help

Options of the dashboard:
  -s VMLINUX     the kernel's vmlinux with debug info; without it, it is looked for by
                 build-ID, and else the types in the dump itself serve
  --debuginfod   download debug info from the servers in DEBUGINFOD_URLS
  --fresh        begin with the survey, not where this dump was left the last time
  --mouse        let the mouse choose and scroll (takes it from the terminal's own selection)

Wherever a VMCORE is named, demo may stand. Exit status: 0 answered; 1 the target cannot be
opened or the query failed; 2 bad usage.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    _prepare_surroundings()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    status = 0
    try:
        status = _obey_or_say_why_not(arguments)
        # Here, where it can be told that nobody reads any more; Python's own at exit is too late.
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
    except OSError as error:
        _drop_output()
        what = error.filename or "standard output"
        print(f"kscope: {what}: {error.strerror or error}", file=sys.stderr)
        return 1
    return status


def _prepare_surroundings() -> None:
    """Make up for what a shell, cron or a container may have left away."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # It was closed. What is opened next would get its number and be taken for it.
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
    for stream, errors in (
        (sys.stdin, "replace"),
        (sys.stdout, "backslashreplace"),
        (sys.stderr, "backslashreplace"),
    ):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)
    if not os.path.isabs(os.environ.get("HOME", "")):  # noqa: PTH117
        os.environ.pop("HOME", None)
        if not os.path.isabs(os.path.expanduser("~")):  # noqa: PTH111, PTH117
            # A user without a home, as in containers: nothing is kept, and that is no error.
            os.environ["HOME"] = "/nonexistent"


def _drop_output() -> None:
    """What is left in the buffer goes nowhere: Python would complain about it at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _obey_or_say_why_not(arguments: list[str]) -> int:
    command = arguments[0] if arguments else ""
    if command in ("-h", "--help", "help"):
        print(_USAGE, end="")
        return 0
    if command == "--version":
        from kscope import __version__

        print(f"kscope {__version__}")
        return 0
    from kscope.model.base import QueryError

    try:
        return _obey(command, arguments)
    except QueryError as error:
        status = 2 if error.kind == "bad-usage" else 1
        with contextlib.suppress(BrokenPipeError):
            print(f"kscope: {error.sentence}", file=sys.stderr)
            if error.hint:
                print(f"        {error.hint}", file=sys.stderr)
        return status
    except KeyboardInterrupt:
        return 130
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)


def _obey(command: str, arguments: list[str]) -> int:
    if command == "show":
        return _show(arguments[1:])
    if command == "survey":
        return _survey(arguments[1:])
    if command == "run":
        from kscope import running

        return running.run(arguments[1:])
    if command == "config":
        from kscope import configuring

        return configuring.run(arguments[1:])
    return _dashboard(arguments)


def _show(arguments: list[str]) -> int:
    from kscope import headless
    from kscope.dialect import views

    if not arguments or arguments[0].startswith("-"):
        known = " ".join(views.names())
        stream = sys.stdout if arguments in (["-h"], ["--help"]) else sys.stderr
        print(f"usage: kscope show VIEW VMCORE [options]\n\nviews: {known}", file=stream)
        return 0 if arguments else 2
    try:
        elsewhere = any(each == "--live" or each.startswith("--qemu") for each in arguments)
        view, parser = headless.show_parser(arguments[0], path=not elsewhere)
    except LookupError:
        print(
            f"kscope: there is no view {arguments[0]}; there are: {' '.join(views.names())}",
            file=sys.stderr,
        )
        return 2
    # Options may stand between the VMCORE and what a view asks for.
    options = parser.parse_intermixed_args(arguments[1:])
    query = headless.query_from(options, view.QUERY)
    print(headless.show(_target(options, parser), view, query, options.json))
    return 0


def _survey(arguments: list[str]) -> int:
    from kscope import surveying

    text, status = surveying.run(arguments)
    print(text)
    return status


def _target(options: "argparse.Namespace", parser: "argparse.ArgumentParser") -> "OpenQuery":
    from kscope import headless

    target = headless.target_from(options)
    if sum(map(bool, (target.path, target.live, target.qemu))) != 1:
        parser.error("name one VMCORE, or --live, or --qemu SOCKET")
    return target


def _dashboard(arguments: list[str]) -> int:
    import argparse

    from kscope import headless
    from kscope.model.base import QueryError
    from kscope.model.text import printable

    parser = argparse.ArgumentParser(prog="kscope", usage=_USAGE.removeprefix("usage: "))
    headless.add_target_options(parser)
    parser.add_argument("--mouse", action="store_true")
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args(arguments)
    has_terminal = (
        all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
        and os.environ.get("TERM", "dumb") != "dumb"
    )
    if not options.vmcore and not options.live and not options.qemu:
        from kscope import offers

        listed = offers.offers()
        if not has_terminal:
            print(offers.as_text(listed))
            return 0
        from kscope.chooser import choose

        options.vmcore = choose(listed, mouse=options.mouse)
        if not options.vmcore:
            return 0
    if not has_terminal:
        print("kscope: this is no terminal that a dashboard can be drawn on.", file=sys.stderr)
        print("        kscope survey VMCORE prints the same as text.", file=sys.stderr)
        return 2
    target = _target(options, parser)
    for path in (target.path, target.vmlinux, target.qemu):
        if path.encode(errors="ignore").decode() != path:
            raise QueryError(
                f"{printable(path)}: the dashboard opens no path that is not UTF-8.",
                "Link to it by another name: ln -s PATH vmcore",
                kind="bad-usage",
            )
    from kscope.session.process import WorkerProcess

    # The worker opens the dump while this process imports what draws the screen.
    worker = WorkerProcess(target)
    from kscope.app import run
    from kscope.offers import remember_opened

    if options.vmcore not in ("", "demo"):
        remember_opened(options.vmcore)
    return run(worker, mouse=options.mouse, fresh=options.fresh)
