"""Per-CPU variables: which symbols are such, and which CPUs are meant."""

from collections.abc import Iterator

from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.module import for_each_module, module_percpu_region

from kscope.kernel.access.reading import READ_ERRORS
from kscope.kernel.access.symbols import symbols_of
from kscope.kernel.death.panic import panic_task
from kscope.model.base import QueryError
from kscope.target.target import Target


class PerCpu:
    """The per-CPU variables of one target."""

    def __init__(self, target: Target) -> None:
        self._program = target.program
        self._symbols = symbols_of(target)

    def has(self, address: int) -> bool:
        """Whether a per-CPU variable is at ``address``, where the kernel or a module has it."""
        if self._symbols.per_cpu_at(address) is not None:
            return True
        # Since Linux kernel commit 9d7de2aa8b41 ("x86/percpu/64: Use relative percpu offsets") (in
        # v6.15) they are linked in the kernel's half, and those of modules go on from there over
        # addresses at which there is something else.
        if address >> 63 and self._symbols.at(address):
            return False
        regions = self._module_per_cpu_regions()
        return any(start <= address < start + size for start, size in regions)

    def names(self, name: str) -> bool:
        """Whether ``name`` alone is a per-CPU variable, without a CPU: all its copies are meant."""
        return name.isidentifier() and any(
            self.has(symbol.address) for symbol in self._symbols.named(name)
        )

    def _module_per_cpu_regions(self) -> list[tuple[int, int]]:
        cache = self._program.cache
        if "kscope module per-CPU regions" not in cache:
            regions = []
            for module in for_each_module(self._program):
                try:
                    regions.append(module_percpu_region(module))
                except READ_ERRORS:
                    continue
            cache["kscope module per-CPU regions"] = regions
        found: list[tuple[int, int]] = cache["kscope module per-CPU regions"]
        return found

    def cpus(self, spec: str) -> Iterator[int]:
        """The CPUs of ``0,2-3``, of ``a`` for all, or of nothing for the one that panicked."""
        possible = list(for_each_possible_cpu(self._program))
        if spec in ("a", "all"):
            yield from possible
            return
        if not spec:
            yield self._context_cpu()
            return
        for part in spec.split(","):
            first, _, last = part.partition("-")
            if last and int(last) < int(first):
                raise QueryError(f"{part} is no range of CPUs.", f"As in {last}-{first}.")
            for cpu in range(int(first), int(last or first) + 1):
                if cpu not in possible:
                    raise QueryError(
                        f"There is no CPU {cpu}.", f"CPUs: {possible[0]} to {possible[-1]}."
                    )
                yield cpu

    def _context_cpu(self) -> int:
        """The CPU that panicked, as crash's context has it."""
        try:
            task = panic_task(self._program)
            if task is not None:
                return int(self._program["crashing_cpu"].value_())
        except READ_ERRORS:
            pass
        return 0
