"""What an address is: one short text for the pointer that holds it.

From the cheapest to the dearest: values that are no addresses at all, symbols, per-CPU areas,
tasks, slab objects, pages, vmap areas.
"""

import errno
from typing import NamedTuple

from drgn import Object, Program, sizeof
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.mm import find_vmap_area, in_direct_map, page_to_pfn, virt_to_phys
from drgn.helpers.linux.percpu import per_cpu_ptr
from drgn.helpers.linux.slab import SlabObjectInfo, slab_object_info

from kscope.kernel.access.page_tables import address_bits
from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.access.symbols import symbols_of
from kscope.kernel.process.task_table import task_table
from kscope.model.struct import TargetKind
from kscope.model.text import printable
from kscope.target.target import Target

MAX_ERRNO = 4095
MMAP_MIN_ADDR = 0x10000
"""The lowest that user space is given (vm.mmap_min_addr); what is below it is no pointer."""

_POISON_DELTA = 0xDEAD000000000000
"""CONFIG_ILLEGAL_POINTER_VALUE of 64-bit kernels."""

_POISONS = {
    # include/linux/poison.h
    _POISON_DELTA + 0x100: "LIST_POISON1",
    _POISON_DELTA + 0x122: "LIST_POISON2",
    # LIST_POISON2 until Linux kernel commit 8a5e5e02fc83 ("include/linux/poison.h: fix
    # LIST_POISON{1,2} offset") (in v4.3).
    _POISON_DELTA + 0x200: "LIST_POISON2",
    _POISON_DELTA + 0x300: "TIMER_ENTRY_STATIC",
    _POISON_DELTA + 0x400: "TAIL_MAPPING",
    _POISON_DELTA + 0x500: "MUTEX_POISON_WW_CTX",
    _POISON_DELTA + 0xEB9F: "BPF_PTR_POISON",
}
_POISON_BYTES = {
    0x6B: "slab poison 0x6b: used after it was freed",
    0x6A: "slab poison 0x6a: never initialized",
    0x5A: "slab poison 0x5a: used before it was initialized",
    0xA5: "slab poison 0xa5: its end",
    0xBB: "slab red zone 0xbb: of a free object",
    0xCC: "poison 0xcc: freed init memory, or the red zone of an object in use",
    0xAA: "page poison 0xaa: used after the page was freed",
    0xAB: "poison 0xab: an empty page table, or sanitized memory",
    0xFE: "poison 0xfe: freed init memory",
}
_POISON_REACH = 0x1000
"""A member's address computed from a poisoned pointer is that much off."""


class Identity(NamedTuple):
    """What an address is."""

    kind: TargetKind
    text: str
    start: int = 0
    """Where the thing begins that the address lies in; 0 if it has no beginning."""


NOTHING = Identity("", "")


class Addresses:
    """Identifies the addresses of one target, and remembers what was costly to find out."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._program = target.program
        self._symbols = symbols_of(target)
        self._address_bits = address_bits(target)
        self._typed = target.debug_info.types != "none"
        self._known: dict[int, Identity] = {}
        self._per_cpu: list[tuple[range, int]] | None = None
        self._stacks: dict[int, tuple[int, int, str]] | None = None
        self._known_stacks: dict[int, tuple[int, int, str]] = {}
        self._known_tasks: frozenset[int] | None = None
        self._stack_size = 0
        self._task_cache = 0
        self._task_size = 0
        self._vmemmap = range(0)
        if self._typed:
            self._read_constants()

    def _read_constants(self) -> None:
        program = self._program
        try:
            self._stack_size = int(program["THREAD_SIZE"])
        except READ_ERRORS:
            self._stack_size = 0
        try:
            self._task_cache = program["task_struct_cachep"].value_()
            self._task_size = sizeof(program.type("struct task_struct"))
            # An ordinary cache may be shared with other objects of the size.
            if program["task_struct_cachep"].refcount.value_() > 1:
                self._task_cache = 0
        except READ_ERRORS:
            self._task_cache = 0
        try:
            size = sizeof(program.type("struct page"))
            start = program["vmemmap"].value_()
            self._vmemmap = range(start, start + size * (int(program["max_pfn"]) + 1))
        except READ_ERRORS:
            self._vmemmap = range(0)

    def identify(self, address: int) -> Identity:
        """What ``address`` is. Never raises: what cannot be read is not identified."""
        found = self._known.get(address)
        if found is None:
            found = self.value(address)
            if found is None:
                try:
                    found = self._kernel(address)
                except READ_ERRORS:
                    found = NOTHING
            self._known[address] = found
        return found

    def value(self, value: int) -> Identity | None:
        """What can be told of a pointer by its value alone; ``None`` of a kernel address."""
        if value == 0:
            return Identity("null", "NULL")
        if value >= (1 << 64) - MAX_ERRNO:
            number = (1 << 64) - value
            name = errno.errorcode.get(number, str(number))
            return Identity("error", f"ERR_PTR(-{name})")
        if value < MMAP_MIN_ADDR:
            return Identity("small", "not an address")
        poison = _poison(value)
        if poison:
            return Identity("poison", poison)
        limit = 1 << self._address_bits
        if not -limit <= _signed(value) < limit:
            return Identity("non-canonical", "not a canonical address")
        return Identity("user", "user space") if value < 1 << 63 else None

    def _kernel(self, address: int) -> Identity:
        symbol = self._symbols.at(address)
        if symbol is not None:
            task = self._static_task(address)
            if task is not None:
                return task
            kind: TargetKind = "function" if self._symbols.is_code(symbol) else "symbol"
            return Identity(kind, self._symbols.text_of(symbol, address), symbol.address)
        if not self._typed:
            return Identity("unmapped", "")
        return (
            self._in_per_cpu(address)
            or self._in_direct_map(address)
            or self._struct_page(address)
            or self._vmap(address)
            or Identity("unmapped", "nothing known is there")
        )

    # The places, one by one.

    def _static_task(self, address: int) -> Identity | None:
        try:
            start = self._program.symbol("init_task").address
        except LookupError:
            return None
        if self._task_size and start <= address < start + self._task_size:
            return self._task(start, address)
        return None

    def _task(self, start: int, address: int) -> Identity:
        task = Object(self._program, "struct task_struct", address=start)
        comm = printable(task.comm.string_())
        return Identity("task", f"{comm} {task.pid.value_()}{_plus(address - start)}", start)

    def _in_per_cpu(self, address: int) -> Identity | None:
        if self._per_cpu is None:
            self._per_cpu = _per_cpu_areas(self._program)
        for area, cpu in self._per_cpu:
            if area.start <= address < area.stop:
                offset = address - area.start
                symbol = self._symbols.per_cpu_at(self._per_cpu_link + offset)
                if symbol is None:
                    return None
                name = printable(symbol.name)
                inside = self._per_cpu_link + offset - symbol.address
                return Identity("per-cpu", f"{name}:{cpu}{_plus(inside)}", address - inside)
        return None

    @property
    def _per_cpu_link(self) -> int:
        try:
            return int(self._program.symbol("__per_cpu_start").address)
        except LookupError:
            return 0

    def _in_direct_map(self, address: int) -> Identity | None:
        if not in_direct_map(self._program, address):
            return None
        info = slab_object_info(self._program, address)
        if info is not None:
            return self._slab(info, address)
        if self._stack_size and not self._vmapped_stacks:
            stack = self._stack(address)
            if stack is not None:
                return stack
        physical = virt_to_phys(self._program, address).value_()
        return Identity("direct", f"physical {physical:#x}", address & ~0xFFF)

    def _slab(self, info: SlabObjectInfo, address: int) -> Identity:
        start = info.address
        if not start:
            return Identity("slab", "in a slab", 0)
        in_task_cache = self._task_cache and info.slab_cache.value_() == self._task_cache
        # Where a part of the list of free objects is not in the dump, the PIDs tell.
        if in_task_cache and (info.allocated or (info.allocated is None and start in self._tasks)):
            return self._task(start, address)
        name = printable(info.slab_cache.name.string_())
        offset = _plus(address - start)
        if info.allocated:
            return Identity("slab", f"{name}{offset}, allocated", start)
        if info.allocated is None:
            return Identity("slab", f"{name}{offset}, free or not cannot be told", start)
        return Identity("free-slab", f"{name}{offset}, free", start)

    def _struct_page(self, address: int) -> Identity | None:
        if address not in self._vmemmap:
            return None
        size = sizeof(self._program.type("struct page"))
        start = address - (address - self._vmemmap.start) % size
        pfn = page_to_pfn(Object(self._program, "struct page *", start)).value_()
        return Identity("page", f"struct page of pfn {pfn:#x}{_plus(address - start)}", start)

    def _vmap(self, address: int) -> Identity | None:
        area = find_vmap_area(self._program, address)
        if not area:
            return None
        start, end = area.va_start.value_(), area.va_end.value_()
        if self._stack_size and self._vmapped_stacks:
            stack = self._stack(address)
            if stack is not None:
                return stack
        text = f"vmap area of {end - start:#x} bytes{_plus(address - start)}"
        vm = area.vm.read_()
        if vm:
            caller = self._symbols.text(vm.caller.value_())
            text = f"vmap area{_plus(address - start)}" + (f" by {caller}" if caller else "")
        return Identity("vmap", text, start)

    @property
    def _vmapped_stacks(self) -> bool:
        # CONFIG_VMAP_STACK, since Linux kernel commit ba14a194a434 ("fork: Add generic
        # vmalloced stack support") (in v4.9).
        return bool(self._program.type("struct task_struct").has_member("stack_vm_area"))

    def stack_owner(self, address: int) -> tuple[int, int, str] | None:
        """Address, PID and name of the task on whose stack ``address`` is."""
        if not self._stack_size:
            return None
        known = self._known_stacks.get(address & ~(self._stack_size - 1))
        if known is not None:
            return known
        if self._stacks is None:
            self._stacks = {}
            for task in task_table(self._target).found:
                raw = task.raw
                if raw.stack:
                    comm = printable((raw.comm or b"").partition(b"\0")[0])
                    self._stacks[raw.stack] = (task.address, raw.pid or 0, comm)
        return self._stacks.get(address & ~(self._stack_size - 1))

    @property
    def _tasks(self) -> frozenset[int]:
        if self._known_tasks is None:
            self._known_tasks = frozenset(task.address for task in task_table(self._target).found)
        return self._known_tasks

    def know_task(self, address: int) -> None:
        """Remember whose stack that of the task at ``address`` is: of one that is being looked at,
        all 20,000 need not be read to tell it."""
        task = Object(self._program, "struct task_struct", address=address)
        try:
            owner = address, task.pid.value_(), printable(task.comm.string_())
            self._known_stacks[task.stack.value_()] = owner
        except READ_ERRORS:
            return  # that it cannot be read is said of its members

    def _stack(self, address: int) -> Identity | None:
        owner = self.stack_owner(address)
        if owner is None:
            return None
        base = address & ~(self._stack_size - 1)
        _, pid, comm = owner
        return Identity("stack", f"stack of {comm} {pid}{_plus(address - base)}", base)


def addresses_of(target: Target) -> Addresses:
    """What identifies ``target``'s addresses; made anew each time for one that changes."""
    if target.identity.live:
        return Addresses(target)
    cache = target.program.cache
    if "kscope addresses" not in cache:
        cache["kscope addresses"] = Addresses(target)
    found: Addresses = cache["kscope addresses"]
    return found


def _per_cpu_areas(program: Program) -> list[tuple[range, int]]:
    """Where each CPU has its copies of the static per-CPU variables."""
    start = program.symbol("__per_cpu_start").address
    size = program.symbol("__per_cpu_end").address - start
    areas = []
    for cpu in for_each_possible_cpu(program):
        base = per_cpu_ptr(Object(program, "char *", start), cpu).value_()
        areas.append((range(base, base + size), cpu))
    return areas


def _plus(offset: int) -> str:
    return f" +{offset:#x}" if offset else ""


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _poison(value: int) -> str:
    for poison, name in _POISONS.items():
        if value == poison:
            return name
    byte = value >> 56
    if byte in _POISON_BYTES:
        filled = byte * 0x0101010101010101
        if abs(value - filled) < _POISON_REACH:
            return _POISON_BYTES[byte] + _plus(value - filled if value > filled else 0)
    if value >> 48 == _POISON_DELTA >> 48 and value & 0xFFFFFFFFFFFF < _POISON_REACH:
        nearest = max((p for p in _POISONS if p <= value), default=_POISON_DELTA)
        name = _POISONS.get(nearest, "poison")
        return f"{name}{_plus(value - nearest)}"
    return ""
