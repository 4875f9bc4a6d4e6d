"""What an address is and where it lies: crash's ``kmem ADDRESS`` and ``vtop``."""

from drgn import Architecture, Object, cast
from drgn.helpers.linux.mm import (
    compound_head,
    decode_page_flags,
    find_vmap_area,
    follow_phys,
    page_flags,
    page_index,
    page_to_virt,
    phys_to_page,
    virt_to_phys,
)
from drgn.helpers.linux.slab import slab_cache_objects_per_slab, slab_object_info

from kscope.kernel.access.fields import of_type
from kscope.kernel.access.page_tables import has_five_levels, walk
from kscope.kernel.access.reading import Readings
from kscope.kernel.access.symbols import symbols_of
from kscope.kernel.expression.language import Expressions
from kscope.kernel.memory import start_address
from kscope.kernel.objects.identify_address import addresses_of
from kscope.kernel.objects.type_guesses import guesses, path_at
from kscope.kernel.objects.types_by_size import holders
from kscope.model.address import (
    AddressQuery,
    AddressState,
    FittingType,
    OwningTask,
    PageState,
    SlabObject,
    SymbolAt,
    TableEntry,
    VmapArea,
)
from kscope.model.base import Address, QueryError
from kscope.model.text import printable
from kscope.target.target import Target

_START_KERNEL_MAP = 0xFFFFFFFF80000000


def address_state(target: Target, query: AddressQuery) -> AddressState:
    """Answer an AddressQuery."""
    return _Finder(target, query).state()


class _Finder:
    """Collects what is known of one address."""

    def __init__(self, target: Target, query: AddressQuery) -> None:
        self._target = target
        self._program = target.program
        self._query = query
        self._readings = Readings()
        self._symbols = symbols_of(target)
        self._addresses = addresses_of(target)
        self._typed = target.debug_info.types != "none"
        self._physical: int | None = None
        self._address = start_address(target, query.address)
        if query.physical:
            self._physical = self._address
            self._address = self._readings.read(
                "the direct mapping", lambda: self._direct(self._address), 0
            )

    def _is_memory(self, physical: int) -> bool:
        """Whether there is a ``struct page`` of it: of a device's registers there is none."""
        return bool(physical >> 12 < self._program["max_pfn"])

    def _direct(self, physical: int) -> int:
        if not self._is_memory(physical):
            end = self._program["max_pfn"].value_() << 12
            raise QueryError(f"{physical:#x} is no memory, which ends at {end:#x}.")
        start: int = page_to_virt(phys_to_page(self._program, physical)).value_()
        return start + (physical & 0xFFF)

    def state(self) -> AddressState:
        address = self._address
        identity = self._addresses.identify(address)
        if not self._typed:
            return AddressState(
                address=Address(address), kind=identity.kind, text=identity.text,
                symbol=self._symbol(),
            )  # fmt: skip
        user = self._user_task()
        table = self._table(user)
        if self._physical is None:
            self._physical = self._translate(user, table)
        read = self._readings.read
        page = read("its page", self._page, None)
        return AddressState(
            address=Address(address),
            kind=identity.kind,
            text=identity.text,
            symbol=self._symbol(),
            source=self._symbols.source_at(self._target, self._address),
            task=read("its task", self._task, None),
            stack_of=read("its stack", self._stack_of, None),
            slab=read("its slab", self._slab, None),
            vmap=read("its vmap area", self._vmap, None),
            physical=None if self._physical is None else Address(self._physical),
            page=page,
            table=table,
            user_task=user,
            types=read("its type", self._types, ()),
            unreadable=self._readings.unreadable,
        )

    # Where it lies.

    def _user_task(self) -> OwningTask | None:
        """The task whose address space is meant: the one named, for a user address."""
        if not self._query.task:
            return None
        place = Expressions(self._target).locate(self._query.task).place
        if place.type != "struct task_struct" or place.address is None:
            raise QueryError(f"{self._query.task} is no task.", "'pid N' names one.")
        return self._owner(int(place.address), 0)

    def _owner(self, address: int, offset: int) -> OwningTask:
        task = Object(self._program, "struct task_struct", address=address)
        return OwningTask(
            Address(address), task.pid.value_(), printable(task.comm.string_()), offset
        )

    def _mm(self, user: OwningTask | None) -> Object:
        """The ``struct mm_struct *`` whose tables translate the address."""
        if user is not None and self._address < 1 << 63:
            task = Object(self._program, "struct task_struct *", user.task)
            if not task.mm:
                raise QueryError(
                    f"{user.comm} {user.pid} is a kernel thread: it has no user addresses."
                )
            return task.mm
        return self._program["init_mm"].address_of_()

    def _is_user(self) -> bool:
        return self._address < 1 << 63

    def _is_canonical(self) -> bool:
        identity = self._addresses.value(self._address)
        return identity is None or identity.kind not in ("poison", "non-canonical")

    def _table(self, user: OwningTask | None) -> tuple[TableEntry, ...]:
        platform = self._program.platform
        if platform is None or platform.arch is not Architecture.X86_64:
            return ()
        if (self._is_user() and user is None) or self._query.physical or not self._is_canonical():
            return ()
        mm = self._mm(user)
        five_levels = has_five_levels(self._target)
        table = self._readings.read("the page tables", lambda: self._table_start(mm), None)
        if table is None:
            return ()
        return tuple(walk(self._program, table, self._address, five_levels=five_levels))

    def _table_start(self, mm: Object) -> int:
        pgd: int = mm.pgd.value_()
        if pgd >= _START_KERNEL_MAP:
            base = self._target.vmcoreinfo.number("phys_base")
            return pgd - _START_KERNEL_MAP + (base or 0)
        physical: int = virt_to_phys(self._program, pgd).value_()
        return physical

    def _translate(self, user: OwningTask | None, table: tuple[TableEntry, ...]) -> int | None:
        if table:
            last = table[-1]
            if not int(last.value) & 1:
                return None
            shift = {"PUD": 30, "PMD": 21, "PTE": 12}.get(last.level)
            if shift is None:
                return None
            frame = int(last.value) & 0x000FFFFFFFFFF000 & ~((1 << shift) - 1)
            return frame | self._address & ((1 << shift) - 1)
        if (self._is_user() and user is None) or not self._is_canonical():
            return None
        mm = self._mm(user)
        physical: int | None = self._readings.read(
            "its physical address", lambda: follow_phys(mm, self._address).value_(), None
        )
        return physical

    def _page(self) -> PageState | None:
        if self._physical is None or not self._is_memory(self._physical):
            return None
        page = phys_to_page(self._program, self._physical)
        read = self._readings.read
        head = read("the compound page's head", lambda: compound_head(page).value_(), None)
        address = page.value_()
        return PageState(
            page=Address(address),
            pfn=self._physical >> 12,
            physical=Address(self._physical & ~0xFFF),
            flags=read("page flags", lambda: page_flags(page).value_(), None),
            flag_names=read("page flags", lambda: decode_page_flags(page), ""),
            references=read("page references", lambda: int(page._refcount.counter), None),
            # _mapcount counts from -1, and shares its place with page_type.
            mappings=read(
                "page mappings", lambda: max(page._mapcount.counter.value_() + 1, 0), None
            ),
            mapping=read("page mapping", lambda: Address(page.mapping.value_()), None),
            index=read("page index", lambda: page_index(page).value_(), None),
            head=Address(head) if head and head != address else None,
        )

    # What is there.

    def _symbol(self) -> SymbolAt | None:
        symbol = self._symbols.at(self._address)
        if symbol is None:
            return None
        return SymbolAt(
            printable(symbol.name), self._address - symbol.address,
            self._symbols.module_of(self._address), self._symbols.letter_of(symbol),
        )  # fmt: skip

    def _task(self) -> OwningTask | None:
        identity = self._addresses.identify(self._address)
        if identity.kind != "task":
            return None
        return self._owner(identity.start, self._address - identity.start)

    def _stack_of(self) -> OwningTask | None:
        identity = self._addresses.identify(self._address)
        if identity.kind != "stack":
            return None
        owner = self._addresses.stack_owner(self._address)
        if owner is None:
            return None
        return self._owner(owner[0], self._address - identity.start)

    def _slab(self) -> SlabObject | None:
        if self._is_user():
            return None
        info = slab_object_info(self._program, self._address)
        if info is None or not info.address:
            return None
        cache = info.slab_cache
        size = cache.size.value_()
        page = cast("struct page *", info.slab)
        base = page_to_virt(page).value_()
        first = base + (cache.red_left_pad.value_() if cache.prog_.type("struct kmem_cache")
                        .has_member("red_left_pad") else 0)  # fmt: skip
        return SlabObject(
            cache=printable(cache.name.string_()),
            cache_address=Address(cache.value_()),
            object_size=cache.object_size.value_(),
            slab=Address(page.value_()),
            first_object=Address(first),
            object=Address(info.address),
            offset=self._address - info.address,
            index=(info.address - first) // size if size else None,
            objects=slab_cache_objects_per_slab(cache),
            allocated=info.allocated,
        )

    def _vmap(self) -> VmapArea | None:
        if self._is_user():
            return None
        area = find_vmap_area(self._program, self._address)
        if not area:
            return None
        vm = area.vm.read_()
        caller = self._symbols.text(vm.caller.value_()) if vm else ""
        return VmapArea(
            Address(area.va_start.value_()), Address(area.va_end.value_()), caller,
            Address(vm.value_()),
        )  # fmt: skip

    def _types(self) -> tuple[FittingType, ...]:
        address = self._address
        found = []
        for guess in guesses(self._program, self._addresses, address):
            offset = address - guess.start
            root = of_type(self._program, guess.type)
            found.append(
                FittingType(
                    type=guess.type.type_name(), start=Address(guess.start),
                    member=path_at(root, offset) if offset else "",
                    size=root.size, why=guess.why, certain=guess.certain,
                )
            )  # fmt: skip
        if self._query.node and not any(fitting.certain for fitting in found):
            found += self._holders()
        return tuple(found)

    def _holders(self) -> list[FittingType]:
        """Types that hold such a node where the address is in its slab object."""
        info = slab_object_info(self._program, self._address)
        if info is None or not info.address or not info.slab_cache:
            return []
        room = info.slab_cache.object_size.value_()
        offset = self._address - info.address
        return [
            FittingType(
                type=f"struct {holder.tag}", start=Address(info.address), member=holder.member,
                size=holder.size, why=f"its size fits the {room} bytes of the slab object",
                certain=False,
            )
            for holder in holders(self._program, self._query.node, offset, room)
        ]  # fmt: skip


ANSWERS = {AddressQuery: address_state}
