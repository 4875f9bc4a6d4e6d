"""The log: the printk ring buffer, read by the offsets in VMCOREINFO.

VMCOREINFO describes the buffer well enough to read it without any types, so one reader serves
dumps with and without debug info. It reads the descriptors, the infos and the text in one piece
each instead of object by object.
"""

import re
import struct
from collections.abc import Callable, Iterator

import drgn

from kscope.kernel.access.reading import READ_ERRORS, Readings, reason
from kscope.kernel.death.log_reports import find_reports
from kscope.kernel.machine.timekeeping import boot_time_ns
from kscope.model.base import QueryError
from kscope.model.log import FACILITIES, LEVELS, Log, LogQuery, Record
from kscope.model.text import printable_lines
from kscope.target.identify import read_log_file
from kscope.target.target import Target
from kscope.target.vmcoreinfo import Vmcoreinfo

_LARGEST_BUFFER = 256 << 20

# enum desc_state in kernel/printk/printk_ringbuffer.h, in the two highest bits of state_var.
_COMMITTED = 1
_FINALIZED = 2
_STATE_SHIFT = 62
_ID_MASK = (1 << _STATE_SHIFT) - 1

_DATALESS = 1
"""Bit of a block's lpos that says there is no text: NO_LPOS (an empty line) or FAILED_LPOS."""


def log(target: Target, query: LogQuery) -> Log:
    """Answer a LogQuery."""
    readings = Readings()
    if target.identity.format == "log":
        records = list(parse_text(read_log_file(target.identity.path)))
        boot_time = None
    else:
        records, lost = _ring_buffer(target)
        boot_time = readings.read("date of boot", lambda: boot_time_ns(target.program), None)
        if lost:
            readings.note("text of some records", f"the buffer had no room for that of {lost}")
    reports = find_reports(records)
    keep = _filter(query)
    if keep is not None:
        records = [record for record in records if keep(record)]
        reports = find_reports(records)
    return Log(
        records=tuple(records),
        reports=tuple(reports),
        boot_time_ns=boot_time,
        overwritten=records[0].seq if records and keep is None else 0,
        unreadable=readings.unreadable,
    )


def _ring_buffer(target: Target) -> tuple[list[Record], int]:
    info = target.vmcoreinfo
    reader: Callable[[drgn.Program, Vmcoreinfo], tuple[list[Record], int]]
    if info.symbol("prb") is not None:
        # Since Linux 5.10, commit 896fbe20b4e2 ("printk: use the lockless ringbuffer").
        reader = _lockless
    elif info.symbol("log_buf") is not None and info.size("printk_log") is not None:
        reader = _structured
    else:
        raise QueryError(
            "The log cannot be found: the dump's VMCOREINFO does not describe it.",
            kind="unreadable",
        )
    try:
        return reader(target.program, info)
    except READ_ERRORS as error:
        raise QueryError(f"The log cannot be read: {reason(error)}.", kind="unreadable") from error
    except KeyError as error:
        raise QueryError(
            f"The log cannot be read: VMCOREINFO lacks {error}.", kind="unreadable"
        ) from error


def _required(value: int | None, name: str) -> int:
    if value is None:
        raise KeyError(name)
    return value


def _lockless(program: drgn.Program, info: Vmcoreinfo) -> tuple[list[Record], int]:
    def offset(member: str) -> int:
        return _required(info.offset(member), f"OFFSET({member})")

    def size(name: str) -> int:
        return _required(info.size(name), f"SIZE({name})")

    ring = program.read_u64(_required(info.symbol("prb"), "SYMBOL(prb)"))
    desc_ring = ring + offset("printk_ringbuffer.desc_ring")
    data_ring = ring + offset("printk_ringbuffer.text_data_ring")
    count = 1 << program.read_u32(desc_ring + offset("prb_desc_ring.count_bits"))
    text_size = 1 << program.read_u32(data_ring + offset("prb_data_ring.size_bits"))
    if max(count, text_size) > _LARGEST_BUFFER:
        raise ValueError(f"the ring buffer claims {count} records and {text_size} bytes")
    counter = offset("atomic_long_t.counter")
    head = program.read_u64(desc_ring + offset("prb_desc_ring.head_id") + counter)
    tail = program.read_u64(desc_ring + offset("prb_desc_ring.tail_id") + counter)
    desc_size, info_size = size("prb_desc"), size("printk_info")
    descs = program.read(
        program.read_u64(desc_ring + offset("prb_desc_ring.descs")), count * desc_size
    )
    infos = program.read(
        program.read_u64(desc_ring + offset("prb_desc_ring.infos")), count * info_size
    )
    text = program.read(program.read_u64(data_ring + offset("prb_data_ring.data")), text_size)

    state_at = offset("prb_desc.state_var") + counter
    lpos_at = offset("prb_desc.text_blk_lpos")
    begin_at = lpos_at + offset("prb_data_blk_lpos.begin")
    next_at = lpos_at + offset("prb_data_blk_lpos.next")
    seq_at, timestamp_at = offset("printk_info.seq"), offset("printk_info.ts_nsec")
    length_at, caller_at = offset("printk_info.text_len"), offset("printk_info.caller_id")
    word = struct.Struct("<Q").unpack_from
    # text_len is followed by u8 facility and u8 flags:5, level:3 (struct printk_info).
    length_facility_level = struct.Struct("<HBB").unpack_from
    caller_id = struct.Struct("<I").unpack_from

    records = []
    lost = 0
    current = tail
    for _ in range(count):
        at = current % count * desc_size
        (state,) = word(descs, at + state_at)
        if state & _ID_MASK == current and state >> _STATE_SHIFT in (_COMMITTED, _FINALIZED):
            (begin,) = word(descs, at + begin_at)
            (end,) = word(descs, at + next_at)
            at_info = current % count * info_size
            length, facility, flags_level = length_facility_level(infos, at_info + length_at)
            if begin & _DATALESS:
                line = b""
                lost += begin != 3  # NO_LPOS is an empty line, FAILED_LPOS a line that was lost
            else:
                # A block may end with the buffer, since the kernel's "printk_ringbuffer: don't
                # needlessly wrap data blocks around" (2025).
                begin, end = begin % text_size, end % text_size or text_size
                if begin > end:
                    begin = 0  # the block did not fit before the end: its text is at the start
                # Each block starts with its descriptor's ID.
                line = text[begin + 8 : min(begin + 8 + length, end)]
            (seq,) = word(infos, at_info + seq_at)
            (timestamp,) = word(infos, at_info + timestamp_at)
            (caller,) = caller_id(infos, at_info + caller_at)
            records.append(
                Record(
                    seq, timestamp, flags_level >> 5, facility, _caller(caller),
                    printable_lines(line),
                )
            )  # fmt: skip
        if current == head:
            break
        current = current + 1 & _ID_MASK
    return records, lost


def _structured(program: drgn.Program, info: Vmcoreinfo) -> tuple[list[Record], int]:
    """The buffer of Linux 3.5 to 5.9: records one behind the other, a length of 0 wraps."""

    def offset(member: str) -> int:
        return _required(info.offset(f"printk_log.{member}"), f"OFFSET(printk_log.{member})")

    def variable(name: str) -> int:
        return _required(info.symbol(name), f"SYMBOL({name})")

    size = program.read_u32(variable("log_buf_len"))
    if size > _LARGEST_BUFFER:
        raise ValueError(f"the ring buffer claims {size} bytes")
    buffer = program.read(program.read_u64(variable("log_buf")), size)
    position = program.read_u32(variable("log_first_idx"))
    end = program.read_u32(variable("log_next_idx"))
    header = _required(info.size("printk_log"), "SIZE(printk_log)")
    records: list[Record] = []
    wrapped = False
    while position != end and position + header <= size:
        (length,) = struct.unpack_from("<H", buffer, position + offset("len"))
        if length == 0:
            if wrapped:
                break
            wrapped = True
            position = 0
            continue
        (timestamp,) = struct.unpack_from("<Q", buffer, position + offset("ts_nsec"))
        (text_length,) = struct.unpack_from("<H", buffer, position + offset("text_len"))
        # dict_len is followed by u8 facility and u8 flags:5, level:3 (struct printk_log).
        facility, flags_level = struct.unpack_from("<BB", buffer, position + offset("dict_len") + 2)
        text = buffer[position + header : position + header + text_length]
        records.append(
            Record(len(records), timestamp, flags_level >> 5, facility, "", printable_lines(text))
        )
        position += length
    return records, 0


def _caller(caller_id: int) -> str:
    return f"C{caller_id & 0x7FFFFFFF}" if caller_id & 0x80000000 else f"T{caller_id}"


# makedumpfile has a blank before the caller, the kernel has none.
_DMESG_LINE = re.compile(rb"(?:<(\d+)>)?\[ *(\d+)\.(\d{6})\](?: ?\[ *([TC]\d+)\])? ?(.*)")


def parse_text(content: bytes) -> Iterator[Record]:
    """The records of a ``vmcore-dmesg.txt``: ``[  123.456789] text``, no levels in it."""
    timestamp = 0
    for seq, line in enumerate(content.splitlines()):
        match = _DMESG_LINE.match(line)
        if match is None:
            yield Record(seq, timestamp, 6, 0, "", printable_lines(line))
            continue
        priority, seconds, microseconds, caller, text = match.groups()
        timestamp = int(seconds) * 1_000_000_000 + int(microseconds) * 1000
        level, facility = (int(priority) & 7, int(priority) >> 3) if priority else (6, 0)
        yield Record(
            seq, timestamp, level, facility, (caller or b"").decode(), printable_lines(text)
        )


def _filter(query: LogQuery) -> Callable[[Record], bool] | None:
    tests: list[Callable[[Record], bool]] = []
    if query.level:
        if query.level not in LEVELS:
            raise QueryError(f"{query.level} is no log level.", "Levels: " + " ".join(LEVELS))
        worst = LEVELS.index(query.level)
        tests.append(lambda record: record.level <= worst)
    if query.facility:
        if query.facility not in FACILITIES:
            raise QueryError(f"{query.facility} is no facility.", " ".join(FACILITIES))
        facility = FACILITIES.index(query.facility)
        tests.append(lambda record: record.facility == facility)
    if query.match:
        inverted = query.match.startswith("!")
        try:
            pattern = re.compile(query.match.removeprefix("!"), re.IGNORECASE)
        except re.error as error:
            raise QueryError(f"{query.match} is no regular expression: {error}.") from error
        tests.append(lambda record: bool(pattern.search(record.text)) != inverted)
    return (lambda record: all(test(record) for test in tests)) if tests else None


ANSWERS = {LogQuery: log}
