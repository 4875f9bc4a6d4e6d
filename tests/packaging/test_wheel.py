"""What is installed: a wheel that holds the bundled dump and needs nothing from outside."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    )
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment with the wheel in it; its dependencies are this one's."""
    directory = tmp_path_factory.mktemp("fresh")
    venv.create(directory, with_pip=False)
    (packages,) = directory.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return directory


def test_the_wheel_holds_the_dump_and_stays_under_12_mb(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "kscope/demo/vmcore.xz" in names
    assert "kscope/target/btf/globals.txt" in names
    assert wheel.stat().st_size < 12_000_000


def test_no_test_is_installed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert all(name.startswith("kscope") for name in archive.namelist())


def test_the_dump_is_surveyed_without_network_or_vmlinux(installed: Path, tmp_path: Path) -> None:
    command = [str(installed / "bin" / "python"), "-m", "kscope", "survey", "demo"]
    if shutil.which("unshare"):
        alone = ["unshare", "--map-root-user", "--net"]
        if subprocess.run([*alone, "true"], check=False, capture_output=True).returncode == 0:
            command = alone + command
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "DEBUGINFOD_URLS": ""}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "types from BTF" in done.stdout
    assert "Deadlock" in done.stdout
    assert list(tmp_path.glob("kscope/demo-*/vmcore"))
