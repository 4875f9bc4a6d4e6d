"""Runs one guest and takes its dump."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab import kdump, qemu
from tests.lab.cache import cache_directory, hash_of, is_built, locked, making, run, say
from tests.lab.guestbuild import Archive, GuestImages, ensure_images, sources_hash
from tests.lab.kernel import Kernel, modules_of
from tests.lab.manifest import make_manifest, write_manifest
from tests.lab.qemu import Guest, again_if_too_slow, read_facts
from tests.lab.scenarios import Scenario, scenario

# Generous: a busy machine makes a guest slow, and QEMU under TCG is slow as it is.
SETUP_SECONDS = 240
CAPTURE_SECONDS = 240


def scenario_key(scenario: Scenario, kernel: Kernel) -> str:
    """Changes when the dump would: with the kernel, the guest's sources or the scenario."""
    capture = [Path(kdump.__file__), Path(qemu.__file__)]
    scripts = filter(None, (scenario.script, scenario.program_source))
    return hash_of([kernel.release, sources_hash(), *scripts, scenario.machine(), *capture])


def build_scenario(scenario: Scenario, kernel: Kernel) -> None:
    """Run the guest and take its dump, unless the cache has the very same."""
    key = scenario_key(scenario, kernel)
    final = cache_directory() / "dumps" / kernel.series / scenario.name
    with locked(final):
        if not is_built(final, key):
            say(f"{kernel.series} {scenario.name}: booting")
            with making(final) as new:
                _take_dump(scenario, kernel, new)
                write_manifest(new, key, _manifest(scenario, kernel, new))
            size = (final / "vmcore").stat().st_size
            say(f"{kernel.series} {scenario.name}: done, {size >> 20} MiB")
        else:
            # What the lab says of the same facts may have become more.
            write_manifest(final, key, _manifest(scenario, kernel, final))


def _manifest(scenario: Scenario, kernel: Kernel, dump: Path) -> dict[str, Any]:
    return make_manifest(scenario, kernel, read_facts(dump / "facts.jsonl"))


def _take_dump(scenario: Scenario, kernel: Kernel, new: Path) -> None:
    images = ensure_images(kernel)

    def attempt() -> None:
        with tempfile.TemporaryDirectory(prefix="work-", dir=new) as work:
            _run_guest(scenario, kernel, images, Path(work), new)
            for name in ("console.log", "facts.jsonl"):
                shutil.copy(Path(work) / name, new / name)

    again_if_too_slow(attempt)
    shutil.copy(images.module, new / "storlab.ko")


@contextmanager
def running_guest(kernel: Kernel, name: str = "deadlock") -> Iterator[Guest]:
    """A guest of a scenario taken by QMP, set up and running; ended when the block is left."""
    with tempfile.TemporaryDirectory(prefix="kscope-lab-") as work:
        images = ensure_images(kernel)
        with _start_guest(scenario(name), kernel, images, Path(work), []) as guest:
            guest.wait_for_fact("ready", SETUP_SECONDS)
            yield guest


def _start_guest(
    scenario: Scenario,
    kernel: Kernel,
    images: GuestImages,
    work: Path,
    disks: list[Path],
    *,
    failing_disk: Path | None = None,
) -> Guest:
    overlay = Archive()
    overlay.add_file("scenario", scenario.script)
    for name, data in modules_of(kernel.image, scenario.modules):
        overlay.add_bytes(f"modules/{name}.ko", data)
    if scenario.program_source is not None:
        program = work / scenario.program
        run(["gcc-12", "-O2", "-Wall", "-static", "-o", program, scenario.program_source])
        overlay.add_file(f"bin/{scenario.program}", program, 0o755)
    initramfs = work / "initramfs.cpio"
    initramfs.write_bytes(images.initramfs.read_bytes() + overlay.finish())
    reservation = "crashkernel=192M" if scenario.capture == "kdump" else ""
    return Guest(
        kernel=kernel.vmlinuz,
        initramfs=initramfs,
        command_line=f"{reservation} {scenario.settings}",
        memory_mib=scenario.memory_mib,
        cpus=scenario.cpus,
        disks=disks,
        failing_disk=failing_disk,
        work=work,
    )


def _run_guest(
    scenario: Scenario, kernel: Kernel, images: GuestImages, work: Path, new: Path
) -> None:
    disks = []
    if scenario.capture == "kdump":
        options = scenario.makedumpfile_options
        disks.append(kdump.make_dump_disk(kernel, images, options, scenario.memory_mib, work))
    if scenario.data_disk:
        disks.append(kdump.make_data_disk("data", 64, work))
    failing_disk = kdump.make_data_disk("failing", 64, work) if scenario.failing_disk else None
    with _start_guest(scenario, kernel, images, work, disks, failing_disk=failing_disk) as guest:
        guest.wait_for_boot()
        guest.wait_for_fact("ready", SETUP_SECONDS)
        if scenario.capture == "kdump":
            guest.wait_for_power_off(CAPTURE_SECONDS)
        else:
            if scenario.panic_kind != "none":
                guest.wait_for_console("end Kernel panic", CAPTURE_SECONDS)
            guest.dump(work / "memory", scenario.qmp_format)
    if scenario.capture == "kdump":
        kdump.take_dump_from(disks[0], new)
    elif scenario.makedumpfile_options:
        kdump.move_program_headers(work / "memory")
        kdump.makedumpfile(scenario.makedumpfile_options, work / "memory", new / "vmcore")
    else:
        kdump.copy_sparse(work / "memory", new / "vmcore")
