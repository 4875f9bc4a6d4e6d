"""Makes the dumps: one guest for each scenario and kernel, two at a time."""

import json
import shutil
import tempfile
from pathlib import Path

from tests.lab import kdump
from tests.lab.cache import GUEST_SOURCES, cache_directory, hash_of, making, say
from tests.lab.guestbuild import Archive, GuestImages, ensure_images, sources_hash
from tests.lab.kernel import Kernel
from tests.lab.manifest import make_manifest
from tests.lab.qemu import Fact, Guest
from tests.lab.scenarios import Scenario


def dump_directory(series: str, name: str) -> Path:
    return cache_directory() / "dumps" / series / name


def scenario_key(scenario: Scenario, kernel: Kernel) -> str:
    """Changes when the dump would: with the kernel, the guest's sources or the scenario."""
    script = GUEST_SOURCES / "scenarios" / f"{scenario.name}.sh"
    return hash_of([kernel.release, sources_hash(), repr(scenario), script])


def is_built(series: str, name: str, key: str) -> bool:
    manifest = dump_directory(series, name) / "manifest.json"
    return manifest.exists() and json.loads(manifest.read_text()).get("key") == key


def build_scenario(scenario: Scenario, kernel: Kernel) -> None:
    """Run the guest and take its dump, unless the cache has the very same."""
    key = scenario_key(scenario, kernel)
    if is_built(kernel.series, scenario.name, key):
        return
    images = ensure_images(kernel)
    say(f"{kernel.series} {scenario.name}: booting")
    with making(dump_directory(kernel.series, scenario.name)) as new:
        with tempfile.TemporaryDirectory(prefix="work-", dir=new) as work:
            facts = _run_guest(scenario, kernel, images, Path(work), new)
            shutil.copy(Path(work) / "console.log", new / "console.log")
        manifest = make_manifest(scenario, kernel, facts)
        manifest["key"] = key
        (new / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
        shutil.copy(images.module, new / "storlab.ko")
    size = (dump_directory(kernel.series, scenario.name) / "vmcore").stat().st_size
    say(f"{kernel.series} {scenario.name}: done, {size >> 20} MiB")


def start_guest(
    scenario: Scenario, kernel: Kernel, images: GuestImages, work: Path, disks: list[Path]
) -> Guest:
    overlay = Archive()
    overlay.add_file("scenario", GUEST_SOURCES / "scenarios" / f"{scenario.name}.sh")
    initramfs = work / "initramfs.cpio"
    initramfs.write_bytes(images.initramfs.read_bytes() + overlay.finish())
    settings = scenario.settings
    if scenario.capture == "kdump":
        settings += " crashkernel=192M"
    return Guest(
        kernel=kernel.vmlinuz,
        initramfs=initramfs,
        command_line=settings,
        memory_mib=scenario.memory_mib,
        cpus=scenario.cpus,
        disks=disks,
        work=work,
    )


def _run_guest(
    scenario: Scenario, kernel: Kernel, images: GuestImages, work: Path, new: Path
) -> list[Fact]:
    disks = []
    if scenario.capture == "kdump":
        options, size = scenario.makedumpfile_options, scenario.dump_disk_mib
        disks.append(kdump.make_dump_disk(kernel, images, options, size, work))
    if scenario.data_disk:
        disks.append(kdump.make_data_disk(64, work))
    with start_guest(scenario, kernel, images, work, disks) as guest:
        guest.wait_for_fact("ready", scenario.boot_timeout)
        if scenario.nmi:
            guest.inject_nmi()
        if scenario.capture == "kdump":
            guest.wait_for_power_off(scenario.capture_timeout)
        else:
            guest.dump(work / "memory")
        facts = guest.facts()
    if scenario.capture == "kdump":
        kdump.take_dump_from(disks[0], new)
    elif scenario.makedumpfile_options:
        kdump.makedumpfile(scenario.makedumpfile_options, work / "memory", new / "vmcore")
    else:
        kdump.copy_sparse(work / "memory", new / "vmcore")
        (new / "vmcore").chmod(0o644)
    return facts
