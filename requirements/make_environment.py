"""Make a virtual environment with the locked packages and this checkout in it.

``make_environment.py DIRECTORY LOCKFILE``; used by the Makefile, needs only Python 3.11.
"""

import subprocess
import sys
import venv
from pathlib import Path


def main() -> None:
    """Make it, or say in one sentence what is missing on this machine."""
    if sys.version_info < (3, 11):  # noqa: UP036
        sys.exit(
            f"kscope needs Python 3.11 or newer; this is {sys.version.split()[0]}. "
            "Name another: make PYTHON=python3.12 …"
        )
    directory, lock_file = Path(sys.argv[1]), sys.argv[2]
    try:
        venv.create(directory, with_pip=True, clear=True)
    except subprocess.CalledProcessError:
        sys.exit(
            "Python's venv module is incomplete here. "
            "On Debian and Ubuntu: apt install python3-venv"
        )
    pip = [str(directory / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    print(f"installing {lock_file} into {directory}", flush=True)
    install = [*pip, "install", "--quiet", "--require-hashes", "--only-binary", ":all:"]
    if subprocess.run([*install, "-r", lock_file], check=False).returncode:
        sys.exit(f"pip could not install {lock_file}; its message is above.")
    # Built by hatchling from the lock file, not from a download of its own.
    subprocess.run(
        [*pip, "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", "."],
        check=True,
    )
    (directory / "ready").touch()


if __name__ == "__main__":
    main()
