"""Dumps made from other dumps: other formats and compressions, and damaged ones."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab import debian13
from tests.lab.cache import cache_directory, hash_of, is_built, locked, making, run, say
from tests.lab.kdump import copy_sparse, makedumpfile, move_program_headers
from tests.lab.manifest import write_manifest
from tests.lab.snappy import zlib_to_snappy


@dataclass(frozen=True)
class Variant:
    name: str
    source: str
    """The dump that it is made from."""
    make: Callable[[Path, Path], None]
    """Writes the second file from the first."""
    series: str = "6.1"
    true: dict[str, Any] = field(default_factory=dict)
    """Replaces what the source's manifest says."""


def _refilter(options: str) -> Callable[[Path, Path], None]:
    return lambda source, target: makedumpfile(options, source, target)


def _flatten(source: Path, target: Path) -> None:
    """The form in which makedumpfile sends a dump over ssh: pieces with their offsets."""
    command = [*debian13.program("makedumpfile"), "-F", "-c", "-d", "31", str(source)]
    with target.open("wb") as out:
        subprocess.run(command, stdout=out, stderr=subprocess.DEVNULL, check=True)


def _truncate(source: Path, target: Path) -> None:
    with source.open("rb") as whole, target.open("wb") as part:
        part.write(whole.read(source.stat().st_size * 6 // 10))


def _invert(source: Path, target: Path, first: int, length: int) -> None:
    data = bytearray(source.read_bytes())
    data[first : first + length] = bytes(byte ^ 0xFF for byte in data[first : first + length])
    target.write_bytes(data)


def _damage_header(source: Path, target: Path) -> None:
    """In the sub-header, which says where VMCOREINFO and the notes are."""
    _invert(source, target, 4096, 64)


def _damage_middle(source: Path, target: Path) -> None:
    _invert(source, target, source.stat().st_size // 2, 64 << 10)


def _overfilter(source: Path, target: Path) -> None:
    """Debian 12's makedumpfile 1.7.2 does not know 6.12's page flags and drops pages in use."""
    elf = target.with_suffix(".elf")
    copy_sparse(source, elf)
    move_program_headers(elf)
    run(["makedumpfile", "-c", "-d", "31", elf, target])
    elf.unlink()


def _empty(_source: Path, target: Path) -> None:
    target.touch()


def _text(_source: Path, target: Path) -> None:
    target.write_text("This is not a dump.\n" * 100)


def _link(source: Path, target: Path) -> None:
    os.link(source, target)


VARIANTS = (
    Variant("kdump-lzo", "sysrq", _refilter("-l -d 31"), true={"format": "kdump-lzo"}),
    Variant("kdump-zstd", "sysrq", _refilter("-z -d 31"), true={"format": "kdump-zstd"}),
    Variant("kdump-snappy", "sysrq", zlib_to_snappy, true={"format": "kdump-snappy"}),
    Variant("kdump-uncompressed", "sysrq", _refilter("-d 31"), true={"format": "kdump"}),
    Variant("flattened", "sysrq", _flatten, true={"format": "flattened"}),
    Variant("truncated-kdump", "sysrq", _truncate, true={"damage": "truncated"}),
    Variant("truncated-elf", "deadlock", _truncate, true={"damage": "truncated"}),
    Variant("damaged-header", "sysrq", _damage_header, true={"damage": "header"}),
    Variant("damaged-middle", "sysrq", _damage_middle, true={"damage": "pages"}),
    Variant(
        "overfiltered",
        "deadlock",
        _overfilter,
        series="6.12",
        true={"damage": "filtered", "format": "kdump-zlib", "dump_level": 31},
    ),
    Variant("empty", "sysrq", _empty, true={"damage": "empty"}),
    Variant("text", "sysrq", _text, true={"damage": "text"}),
    Variant("wrong-vmlinux", "sysrq", _link, true={"vmlinux_series": "6.12"}),
)


def variant_key(variant: Variant, source_key: str) -> str:
    code = [Path(__file__), Path(__file__).with_name("snappy.py")]
    return hash_of([source_key, variant.name, *code])


def build_variant(variant: Variant) -> None:
    """Make it from its source's dump, which must be built."""
    dumps = cache_directory() / "dumps" / variant.series
    source = dumps / variant.source
    manifest = json.loads((source / "manifest.json").read_text())
    final = dumps / variant.name
    key = variant_key(variant, manifest["key"])
    manifest |= {**variant.true, "name": variant.name, "made_from": variant.source}
    with locked(final):
        if is_built(final, key):
            write_manifest(final, key, manifest)
            return
        with making(final) as new:
            variant.make(source / "vmcore", new / "vmcore")
            write_manifest(new, key, manifest)
            for name in ("storlab.ko", "vmcore-dmesg.txt"):
                if (source / name).exists():
                    os.link(source / name, new / name)
    say(f"{variant.series} {variant.name}: made from {variant.source}")
