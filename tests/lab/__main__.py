"""python3 -m tests.lab build|list|fetch|demo: see README.md beside this file."""

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path

from tests.lab import packages
from tests.lab.build import build_scenario
from tests.lab.cache import LabError, cache_directory, say
from tests.lab.catalogue import NotBuiltError, find, names
from tests.lab.debian13 import ensure_debian13
from tests.lab.guestbuild import ensure_images
from tests.lab.kernel import NEWEST, SERIES, Kernel, ensure_kernel
from tests.lab.python_guest import LIVE_SERIES, ensure_seen
from tests.lab.scenarios import SCENARIOS, scenario
from tests.lab.variants import VARIANTS, build_variant

GUESTS_AT_ONCE = 2


def fetch(series: Sequence[str]) -> list[Kernel]:
    """All that comes from outside, and what is built of it once for all guests."""
    packages.ensure_tools()
    ensure_debian13()
    kernels = [ensure_kernel(each) for each in series]
    for kernel in kernels:
        ensure_images(kernel)
    return kernels


def build(wanted: Sequence[str], series: Sequence[str]) -> None:
    """The dumps of those names on those kernels; no names: all."""
    known = {name for each in SERIES for name in names(each)} | {"live"}
    if unknown := sorted(set(wanted) - known):
        raise LabError(f"no such dump: {', '.join(unknown)} (python3 -m tests.lab list)")
    chosen = set(wanted) or known
    variants = [v for v in VARIANTS if v.name in chosen and v.series in series]
    sources = chosen | {variant.source for variant in variants}

    kernels = fetch(SERIES if "wrong-vmlinux" in chosen else series)
    guests: dict[str, Callable[[], object]] = {}
    if "live" in chosen:
        wanted_live = [each for each in LIVE_SERIES if each in series]
        guests |= {f"{each} live": partial(ensure_seen, each) for each in wanted_live}
    guests |= {
        f"{kernel.series} {each.name}": partial(build_scenario, each, kernel)
        for each in SCENARIOS
        for kernel in kernels
        if each.name in sources and kernel.series in series and kernel.series in each.series
    }
    failures = run_all(guests)
    failures |= run_all(
        {f"{each.series} {each.name}": partial(build_variant, each) for each in variants}
    )
    for name, error in failures.items():
        say(f"{name}: FAILED: {error}")
    if failures:
        reasons = [f"{name}: {str(error).splitlines()[0]}" for name, error in failures.items()]
        raise LabError("\n".join([f"{len(failures)} not built:", *reasons]))
    say(f"all built: {len(guests)} guests, {len(variants)} variants")


def run_all(jobs: Mapping[str, Callable[[], object]]) -> dict[str, LabError]:
    failures = {}
    with ThreadPoolExecutor(GUESTS_AT_ONCE) as pool:
        running = {pool.submit(job): name for name, job in jobs.items()}
        for future in as_completed(running):
            try:
                future.result()
            except LabError as error:
                failures[running[future]] = error
    return failures


def show_list() -> None:
    for series in (*SERIES, NEWEST):
        for name in names(series):
            try:
                dump = find(name, series)
            except NotBuiltError:
                print(f"{series:6} {name:20} not built")
                continue
            size = dump.vmcore.stat().st_size / (1 << 20)
            print(f"{series:6} {name:20} {size:8.1f} MiB  {dump.vmcore}")


def demo(out: Path) -> None:
    """Write the demo's dump, compressed, and its manifest beside it."""
    kernel = fetch(["6.1"])[0]
    build_scenario(scenario("demo"), kernel)
    dump = find("demo", "6.1")
    say(f"compressing to {out}")
    with out.open("wb") as compressed:
        subprocess.run(["xz", "-9e", "-c", str(dump.vmcore)], stdout=compressed, check=True)
    manifest = dump.manifest | {
        "size": dump.vmcore.stat().st_size,
        "sha256": hashlib.sha256(dump.vmcore.read_bytes()).hexdigest(),
        "xz_size": out.stat().st_size,
        "xz_sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
    }
    out.with_suffix(".manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    say(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build_parser = commands.add_parser("build", help="make dumps")
    build_parser.add_argument("names", nargs="*", metavar="NAME", help="which; all when none")
    fetch_parser = commands.add_parser("fetch", help="only download and compile")
    for each in (build_parser, fetch_parser):
        each.add_argument(
            "--kernel", choices=(*SERIES, NEWEST), help="only this one; 6.1 and 6.12 when not given"
        )
    commands.add_parser("list", help="what there is and what of it is built")
    demo_parser = commands.add_parser("demo", help="write the dump that comes with kscope")
    demo_parser.add_argument("out", type=Path, metavar="OUT.xz")
    options = parser.parse_args()

    try:
        match options.command:
            case "build":
                build(options.names, [options.kernel] if options.kernel else SERIES)
            case "fetch":
                fetch([options.kernel] if options.kernel else SERIES)
                say(f"ready in {cache_directory()}")
            case "list":
                show_list()
            case "demo":
                demo(options.out)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
