"""All places in memory that hold a value: crash's ``search``.

What is searched is physical memory, each page once, in slices of some 25 ms: after each, the
worker may answer somebody else. The addresses reported are those by which the
kernel knows the memory.
"""

import contextlib
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Literal, NamedTuple

import msgspec
from drgn import FaultError, Object, PlatformFlags, TypeKind
from drgn.helpers.linux.mm import for_each_vmap_area, page_to_virt, phys_to_page

from kscope.kernel.access.fields import of_type
from kscope.kernel.access.physical_ranges import physical_ranges
from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.memory import start_address
from kscope.kernel.objects.identify_address import Addresses, Identity, addresses_of
from kscope.kernel.objects.type_guesses import guesses, path_at
from kscope.kernel.process.task_table import task_table, task_table_in_slices
from kscope.kernel.unwinding.unwind import unwind
from kscope.model.base import Address, Part, Progress, QueryError
from kscope.model.search import Hit, Search, SearchQuery, ignored_bits
from kscope.model.text import printable
from kscope.target.target import Target

_SLICE_SECONDS = 0.025
_AT_ONCE = 4 << 20
"""Bytes: at 200 MB/s, which is slow, 20 ms."""
_CONTEXT = 56
"""Characters of text that are shown from where it was found on, as crash shows them."""
_START_KERNEL_MAP = 0xFFFFFFFF80000000


class _Found(NamedTuple):
    address: int
    """Physical, or virtual on stacks."""
    value: str


class _Pattern(NamedTuple):
    """What is looked for."""

    shown: str
    in_memory: Callable[[int, int], Iterator[_Found]]
    """In the physical addresses from one to another, which is included."""
    in_bytes: Callable[[bytes, int], Iterator[_Found]]
    """In bytes that begin at an address."""
    length: int
    """In bytes."""


def search(target: Target, query: SearchQuery) -> Generator[Progress | Part[Search], None, Search]:
    """Answer a SearchQuery."""
    pattern = _pattern(target, query)
    # Naming the places needs all tasks' stacks: 20,000 take a second to read.
    yield from task_table_in_slices(target)
    places = _Places(target)
    yield from places.prepare()
    found = _in_stacks(target, pattern) if query.stacks else _in_memory(target, pattern)
    result = Search(value=pattern.shown, hits=())
    hits: list[Hit] = []
    for done, total, fresh in found:
        result = msgspec.structs.replace(result, bytes_searched=done)
        for new in _in_slices(places.hit(each, stack=query.stacks) for each in fresh):
            first = len(hits)
            hits += new
            if len(hits) > query.limit:
                return msgspec.structs.replace(
                    result, hits=tuple(hits[: query.limit]), truncated=True
                )
            yield Part(msgspec.structs.replace(result, hits=new, first=first))
        yield Progress(done, total, f"searching, {len(hits)} found")
    return msgspec.structs.replace(result, hits=tuple(hits))


def _in_slices(hits: Iterator[Hit]) -> Iterator[tuple[Hit, ...]]:
    """The hits, as many at a time as are named in one slice."""
    some: list[Hit] = []
    deadline = time.monotonic() + _SLICE_SECONDS
    for hit in hits:
        some.append(hit)
        if time.monotonic() >= deadline:
            yield tuple(some)
            some = []
            deadline = time.monotonic() + _SLICE_SECONDS
    if some:
        yield tuple(some)


def _pattern(target: Target, query: SearchQuery) -> _Pattern:
    program = target.program
    text = query.value.strip()
    if text[:1] in ('"', "'"):
        wanted = text.strip(text[0]).encode(errors="surrogateescape")
        if len(wanted) < 2:
            raise QueryError("One character is everywhere: look for a longer text.")
        if query.mask:
            raise QueryError("A mask is for numbers and addresses, not for text.")

        def text_in_memory(start: int, end: int) -> Iterator[_Found]:
            for address in program.search_memory(wanted).set_address_range(start, end, True):
                yield _Found(address, _around(target, address))

        def text_in_bytes(raw: bytes, start: int) -> Iterator[_Found]:
            position = raw.find(wanted)
            while position >= 0:
                context = raw[position : position + _CONTEXT].partition(b"\0")[0]
                yield _Found(start + position, printable(context))
                position = raw.find(wanted, position + 1)

        return _Pattern(f'"{printable(wanted)}"', text_in_memory, text_in_bytes, len(wanted))
    if query.bits not in (16, 32, 64):
        raise QueryError(f"There are no values of {query.bits} bits.", "16, 32 or 64.")
    whole = _value(target, text)
    value = whole & (1 << query.bits) - 1
    # What has no more bits, or only the sign's: as the addresses of the kernel's image in 32.
    negative = value - ((value >> query.bits - 1) << query.bits) & (1 << 64) - 1
    if whole not in (value, negative):
        raise QueryError(f"{printable(text)} is {whole:#x}, which has more than {query.bits} bits.")
    mask = ignored_bits(query.mask, query.bits)
    begin: Any = {
        16: program.search_memory_u16,
        32: program.search_memory_u32,
        64: program.search_memory_u64,
    }[query.bits]
    size, digits = query.bits // 8, query.bits // 4
    iterator = begin(value, ignore_mask=mask)
    order = _byte_order(target)
    expression = _expression(value.to_bytes(size, order), mask.to_bytes(size, order))

    def in_memory(start: int, end: int) -> Iterator[_Found]:
        for address, found in iterator.set_address_range(start, end, True):
            yield _Found(address, f"{found:0{digits}x}")

    def in_bytes(raw: bytes, start: int) -> Iterator[_Found]:
        match = expression.search(raw)
        while match is not None:
            position = match.start()
            if position % size:
                match = expression.search(raw, position + 1)
                continue
            yield _Found(start + position, f"{int.from_bytes(match[0], order):0{digits}x}")
            match = expression.search(raw, position + size)

    return _Pattern(f"{value:0{digits}x}", in_memory, in_bytes, size)


def _byte_order(target: Target) -> Literal["little", "big"]:
    platform = target.program.platform
    little = platform is None or bool(platform.flags & PlatformFlags.IS_LITTLE_ENDIAN)
    return "little" if little else "big"


def _expression(value: bytes, mask: bytes) -> re.Pattern[bytes]:
    """What matches ``value`` but for the bits in ``mask``: ten times as fast as word by word."""
    parts = []
    for wanted, free in zip(value, mask, strict=True):
        fitting = bytes(byte for byte in range(256) if not (byte ^ wanted) & ~free)
        one_of = b"".join(b"\\x%02x" % byte for byte in fitting)
        parts.append(b"[" + one_of + b"]" if free else one_of)
    return re.compile(b"".join(parts), re.DOTALL)


def _value(target: Target, text: str) -> int:
    """A number, an address or a symbol; ``&x`` and ``x`` are both where x is."""
    try:
        number = int(text, 0)
    except ValueError:
        return start_address(target, text)
    if not -(1 << 63) <= number < 1 << 64:
        raise QueryError(f"{printable(text)} has more than 64 bits.")
    return number & (1 << 64) - 1


def _around(target: Target, address: int) -> str:
    for length in (_CONTEXT, 8):
        try:
            raw = target.program.read(address, length, True)
        except FaultError:
            continue
        return printable(raw.partition(b"\0")[0])
    return ""


_Step = tuple[int, int, Iterable[_Found]]
"""Bytes searched, bytes to search, what was found in between."""


def _in_memory(target: Target, pattern: _Pattern) -> Iterator[_Step]:
    ranges = physical_ranges(target)
    total = sum(len(each) for each in ranges)
    done = 0
    for each in ranges:
        for start in range(each.start, each.stop, _AT_ONCE):
            end = min(start + _AT_ONCE, each.stop)
            # What begins in this slice may end in the next.
            reach = min(end + pattern.length - 1, each.stop) - 1
            done += end - start
            yield done, total, _readable(pattern, start, reach)


def _readable(pattern: _Pattern, start: int, end: int) -> Iterator[_Found]:
    """What is found in a range of which pages may yet be missing."""
    while start <= end:
        try:
            for found in pattern.in_memory(start, end):
                yield found
                start = found.address + 1
        except FaultError as error:
            # What precedes the missing page in drgn's buffer has not been looked at.
            missing = start if error.address is None else max(error.address & ~0xFFF, start)
            if missing > start:
                yield from _readable(pattern, start, missing - 1)
            start = (missing & ~0xFFF) + 4096
        else:
            return


def _in_stacks(target: Target, pattern: _Pattern) -> Iterator[_Step]:
    try:
        size = int(target.program["THREAD_SIZE"])
    except READ_ERRORS as error:
        raise QueryError("How large kernel stacks are cannot be told.") from error
    stacks = [task.raw.stack for task in task_table(target).found if task.raw.stack]
    began = time.monotonic()
    pending: list[_Found] = []
    for count, stack in enumerate(stacks, 1):
        # drgn searches the direct mapping only, and stacks are vmalloc'ed.
        with contextlib.suppress(FaultError):
            pending += pattern.in_bytes(target.program.read(stack, size), stack)
        if time.monotonic() - began > _SLICE_SECONDS or count == len(stacks):
            yield count * size, len(stacks) * size, pending
            pending = []
            began = time.monotonic()


class _Places:
    """Names the places that were found."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._program = target.program
        self._addresses: Addresses = addresses_of(target)
        self._image = self._kernel_image()
        self._mapped: dict[int, int] = {}
        """Addresses by page frame."""
        self._frames: dict[int, list[tuple[int, str]]] = {}

    def hit(self, found: _Found, *, stack: bool) -> Hit:
        address = found.address if stack else self._virtual(found.address)
        identity = self._addresses.identify(address)
        if identity.kind == "direct":
            # Pages that vmalloc() mapped are better known by where they are mapped.
            mapped = self._mapped.get(found.address >> 12)
            if mapped is not None:
                address = mapped + (found.address & 0xFFF)
                identity = self._addresses.identify(address)
        return self._described(found, address, identity, stack=stack)

    def _described(self, found: _Found, address: int, identity: Identity, *, stack: bool) -> Hit:
        owner = None
        # The first task's stack is a variable.
        if stack or identity.kind == "stack":
            owner = self._addresses.stack_owner(address)
        return Hit(
            address=Address(address),
            value=found.value,
            what=identity.text,
            kind="stack" if owner is not None else identity.kind,
            member=self._member(address, identity),
            pid=None if owner is None else owner[1],
            comm="" if owner is None else owner[2],
            task=None if owner is None else Address(owner[0]),
            frame="" if owner is None else self._frame(owner[0], address),
        )

    def _member(self, address: int, identity: Identity) -> str:
        """Which member of the object it is that holds the value."""
        if identity.kind not in ("task", "slab", "symbol", "per-cpu"):
            return ""
        try:
            for guess in guesses(self._program, self._addresses, address):
                if guess.type.unaliased_kind() in (TypeKind.STRUCT, TypeKind.UNION):
                    root = of_type(self._program, guess.type)
                    path = path_at(root, address - guess.start)
                    perhaps = "" if guess.certain else "perhaps "
                    return f"{perhaps}{guess.type.type_name()}.{path}" if path else ""
        except READ_ERRORS:
            pass
        return ""

    def _frame(self, task: int, address: int) -> str:
        """The function in whose frame a word of a stack is."""
        if task not in self._frames:
            try:
                frames = unwind(self._target, task).frames
            except (QueryError, *READ_ERRORS):
                frames = ()
            self._frames[task] = [
                (int(frame.sp), _named(frame.function, frame.offset))
                for frame in frames
                if frame.sp is not None and not frame.inline
            ]
        found = ""
        for stack_pointer, name in self._frames[task]:
            # A frame reaches from its stack pointer up to that of the function that called it.
            if stack_pointer <= address:
                found = name
            else:
                break
        return found

    def _kernel_image(self) -> tuple[range, int]:
        """Where the kernel's image is in physical memory, and what to add for its address."""
        base = self._target.vmcoreinfo.number("phys_base")
        try:
            start = self._program.symbol("_text").address
            end = self._program.symbol("_end").address
        except LookupError:
            return range(0), 0
        if base is None or start < _START_KERNEL_MAP:
            return range(0), 0
        shift = _START_KERNEL_MAP - base
        return range(start - shift, end - shift), shift

    def _virtual(self, physical: int) -> int:
        image, shift = self._image
        if physical in image:
            return physical + shift
        page = phys_to_page(self._program, physical)
        address: int = page_to_virt(page).value_()
        return address + (physical & 0xFFF)

    def prepare(self) -> Generator[Progress, None, None]:
        """Find out which page frames vmalloc() mapped, and where."""
        cache = self._program.cache
        if "kscope vmalloc pages" in cache:
            self._mapped = cache["kscope vmalloc pages"]
            return
        began = time.monotonic()
        try:
            for count, area in enumerate(for_each_vmap_area(self._program)):
                with contextlib.suppress(*READ_ERRORS):
                    self._add_area(area)
                if time.monotonic() - began > _SLICE_SECONDS:
                    yield Progress(count, 0, "reading vmap areas")
                    began = time.monotonic()
        except READ_ERRORS:
            return  # their tree is damaged: such pages keep the names of the direct mapping
        cache["kscope vmalloc pages"] = self._mapped

    def _add_area(self, area: Object) -> None:
        vm = area.vm.read_()
        if not vm:
            return
        count, pages = vm.nr_pages.value_(), vm.pages.value_()
        if not count or not pages or count > 1 << 20:
            return
        start = vm.addr.value_()
        raw = self._program.read(pages, 8 * count)
        base, size = self._struct_pages()
        for index in range(count):
            page = int.from_bytes(raw[8 * index : 8 * index + 8], "little")
            if page >= base:
                self._mapped[(page - base) // size] = start + index * 4096

    def _struct_pages(self) -> tuple[int, int]:
        first = phys_to_page(self._program, 0)
        return first.value_(), first.type_.type.size


def _named(function: str, offset: int | None) -> str:
    return f"{function}+{offset:#x}" if offset else function


ANSWERS = {SearchQuery: search}
