"""The newest kernel of Debian 13's backports: what kscope will meet next.

Without its vmlinux, whose types the dump has itself. kbuild's programs run through Debian 13's
libraries, and gcc 12 is not told what it does not know: our module needs none of that.
"""

import json
import re
from dataclasses import asdict
from pathlib import Path

from tests.lab import debian13, packages
from tests.lab.cache import LabError, making, run, say
from tests.lab.debian13 import own_apt
from tests.lab.kernel import NEWEST, Kernel, collect_drivers, make_current, relocate_headers

SOURCE = debian13.SOURCE.replace("trixie main", "trixie-backports main")

COMPILER = """#!/bin/bash
# gcc 12 with the options of a kernel that was made with gcc 14.
options=()
for option in "$@"; do
	case $option in
	-fmin-function-alignment=*) options+=("-falign-functions=${option#*=}") ;;
	-fstrict-flex-arrays=* | -fzero-init-padding-bits=* | -fdiagnostics-show-context*) ;;
	*) options+=("$option") ;;
	esac
done
exec gcc-12 "${options[@]}"
"""


def make_kernel() -> Kernel:
    """Download and unpack it.

    :raises LabError: if it cannot be had.
    """
    debian13.ensure_debian13()
    with making(debian13.root().parent / "kernels" / "newest-download") as download:
        apt = own_apt(download / "apt", SOURCE)
        say("downloading the newest kernel of Debian 13's backports (about 55 MB)")
        run(["apt-get", *apt, "update"])
        release = _newest_release(apt)
        version = release.removesuffix("-cloud-amd64")
        names = [
            *(f"linux-{part}-{release}" for part in ("binary", "modules", "headers")),
            f"linux-headers-{version}-common",
            f"linux-kbuild-{version}",
        ]
        run(["apt-get", *apt, "download", *names], cwd=download)
        debs = {name: next(download.glob(f"{name}_*.deb")) for name in names}
        versions = {name: deb.name.split("_")[1] for name, deb in debs.items()}
        kernel = Kernel(NEWEST, release, versions)
        _unpack(kernel, debs)
    make_current(kernel)
    return kernel


def _newest_release(apt: list[str]) -> str:
    found = run(["apt-cache", *apt, "depends", "linux-image-cloud-amd64"])
    match = re.search(r"Depends: linux-image-(\S+)", found)
    if match is None:
        raise LabError("Debian 13's backports have no kernel")
    return match[1]


def _unpack(kernel: Kernel, debs: dict[str, Path]) -> None:
    with making(kernel.directory) as new:
        for name, deb in debs.items():
            part = "image" if name.startswith(("linux-binary", "linux-modules")) else "headers"
            packages.extract(deb, new / part)
        modules = new / "image/usr/lib/modules" / kernel.release
        (modules / "vmlinuz").rename(new / "vmlinuz")
        collect_drivers(modules, new / "drivers")
        relocate_headers(new / "headers/usr/src", kernel)
        for file in (new / "headers/usr/lib").rglob("*"):
            if file.is_file() and file.read_bytes()[:4] == b"\x7fELF" and file.stat().st_mode & 1:
                _use_libraries_of_debian13(file)
        compiler = new / "cc"
        compiler.write_text(COMPILER)
        compiler.chmod(0o755)
        (new / "kernel.json").write_text(json.dumps(asdict(kernel), indent=2) + "\n")


def _use_libraries_of_debian13(program: Path) -> None:
    places = ["--set-interpreter", str(debian13.loader()), "--set-rpath", str(debian13.libraries())]
    run(["patchelf", *places, program])
