"""Where debug info could be fetched from: debuginfod when asked, or the distribution's package."""

from collections.abc import Generator
from pathlib import Path

import drgn

from kscope.model.base import Progress
from kscope.model.target import Identity


def by_debuginfod(program: drgn.Program) -> Generator[Progress, None, Path | None]:
    """Download the vmlinux by build-ID from the servers in ``DEBUGINFOD_URLS``.

    :return: the file in debuginfod's cache, or ``None`` when no server has it.
    """
    yield Progress(0, 0, "asking debuginfod for the vmlinux")
    main = program.main_module("kernel", create=True)
    program.set_enabled_debug_info_finders(["debuginfod"])
    program.load_module_debug_info(main)
    return Path(main.debug_file_path) if main.debug_file_path else None


def commands(identity: Identity) -> tuple[str, ...]:
    """The commands that would bring the vmlinux with debug info of this release, the likeliest
    first; told from how distributions name their releases."""
    release = identity.release
    fetch = []
    if not release:
        return ()
    if ".el" in release or ".fc" in release:
        fetch.append(f"dnf debuginfo-install kernel-core-{release}")
    elif "-default" in release or "-azure" in release:
        fetch.append(f"zypper install kernel-{release.rpartition('-')[2]}-debuginfo")
    elif "-generic" in release or "-aws" in release or "-gcp" in release:
        fetch.append(f"apt install linux-image-{release}-dbgsym")
    elif release.endswith(("-amd64", "-arm64")):
        fetch.append(f"apt install linux-image-{release}-dbg")
    fetch.append(f"kscope --debuginfod {identity.path}")
    return tuple(fetch)
