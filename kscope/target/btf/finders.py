"""What drgn asks for by name, answered from BTF and kallsyms.

drgn calls these finders for every lookup, hits and misses alike, many thousand times for a list of
tasks; so each answers a question once and remembers the answer, also when it was "no".

A name that vmlinux does not have may be a module's, and only then are the modules' BTF sections
opened: see `kscope.target.btf.modules`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from drgn import FindObjectFlags, Object, Program, Type, TypeKind, TypeKindSet

from kscope.target.btf.errors import DamagedBtfError
from kscope.target.btf.expressions import Reader
from kscope.target.btf.format import Btf, Kind
from kscope.target.btf.globals import GlobalTypes
from kscope.target.btf.modules import KernelModules, Section
from kscope.target.btf.statics import StaticVariables
from kscope.target.btf.symbols import KernelSymbols
from kscope.target.btf.types import TypeBuilder

_KINDS = {
    TypeKind.STRUCT: (Kind.STRUCT,),
    TypeKind.UNION: (Kind.UNION,),
    TypeKind.ENUM: (Kind.ENUM, Kind.ENUM64),
    TypeKind.TYPEDEF: (Kind.TYPEDEF,),
    TypeKind.INT: (Kind.INT,),
    TypeKind.BOOL: (Kind.INT,),
    TypeKind.FLOAT: (Kind.FLOAT,),
}
IN_MODULES = (TypeKind.STRUCT, TypeKind.UNION, TypeKind.ENUM, TypeKind.TYPEDEF)
"""Kinds that modules define; drgn asks for the basic ones under many spellings."""

_ANONYMOUS = {
    "struct": ((Kind.STRUCT, 3),),
    "union": ((Kind.UNION, 3),),
    "enum": ((Kind.ENUM, 2), (Kind.ENUM64, 3)),
}
"""Kinds, and words in a member of each, by the keyword of a type expression."""

_PER_CPU_SECTION = ".data..percpu"


class TypeFinder:
    """Finds types by name, and the definitions of types that are only declared."""

    def __init__(self, prog: Program, vmlinux: Btf, modules: KernelModules) -> None:
        self._modules = modules
        self._found: dict[tuple[TypeKindSet, str], Type | None] = {}
        self.vmlinux = TypeBuilder(prog, vmlinux, find_complete=self.find_complete)

    def __call__(
        self, _prog: Program, kinds: TypeKindSet, name: str, _filename: str | None
    ) -> Type | None:
        """drgn's type finder. BTF does not know files; drgn's helpers name one only as a guard."""
        key = (kinds, name)
        if key in self._found:
            return self._found[key]
        found = self._find(kinds, name)
        if found is not None or not self._modules.opening:
            self._found[key] = found
        return found

    def _find(self, kinds: TypeKindSet, name: str) -> Type | None:
        wanted = [kind for kind in _KINDS if kind in kinds]
        for kind in wanted:
            found = _find_in(self.vmlinux, kind, name)
            if found is not None:
                return found
        return self.find_in_modules(wanted, name)

    def find_in_modules(self, kinds: Iterable[TypeKind], name: str) -> Type | None:
        """The first definition in a module's BTF."""
        wanted = [kind for kind in kinds if kind in IN_MODULES]
        for section in self.sections_with(name) if wanted else ():
            for kind in wanted:
                found = _find_in(section.types, kind, name)
                if found is not None:
                    return found
        return None

    def sections_with(self, name: str) -> Sequence[Section]:
        """The modules' BTF, if the name occurs in any of it."""
        if not self._modules.may_define(name, self.vmlinux.btf.strings):
            return ()
        return self._modules.sections(self.vmlinux)

    def find_complete(self, kind: Kind, name: str) -> Type | None:
        """The one definition of a structure or union that is declared without its members.

        vmlinux's own definition goes before those of modules.
        """
        type_id = self.vmlinux.find(kind, name)
        if type_id is not None:
            return self.vmlinux.type(type_id)
        found = [
            (section, type_id)
            for section in self.sections_with(name)
            if (type_id := section.types.find(kind, name)) is not None
        ]
        if len(found) != 1:
            return None
        section, type_id = found[0]
        return section.types.type(type_id)

    def find_anonymous(self, keyword: str, names: tuple[str, ...]) -> Type | None:
        """vmlinux's anonymous type with exactly these members, unless several differ."""
        btf = self.vmlinux.btf
        layouts: dict[tuple[int, bytes], int] = {}
        for kind, words in _ANONYMOUS[keyword]:
            for type_id in btf.ids(kind):
                if btf.info(type_id) & 0xFFFF != len(names) or btf.name(type_id):
                    continue
                members = btf.payload(type_id, words * len(names))
                if all(map(btf.strings.has, members[0::words], names)):
                    layouts.setdefault((btf.size_or_type(type_id), bytes(members)), type_id)
        return self.vmlinux.type(min(layouts.values())) if len(layouts) == 1 else None


def _find_in(builder: TypeBuilder, kind: TypeKind, name: str) -> Type | None:
    for btf_kind in _KINDS[kind]:
        type_id = builder.find(btf_kind, name)
        if type_id is not None:
            found = builder.type(type_id)
            # INT stands for both integers and booleans.
            if found.kind == kind:
                return found
    return None


class ObjectFinder:
    """Finds constants, functions and variables by name."""

    def __init__(
        self,
        prog: Program,
        types: TypeFinder,
        modules: KernelModules,
        symbols: KernelSymbols,
        release: str,
    ) -> None:
        self._prog = prog
        self._modules = modules
        reader = Reader(prog, types.find_anonymous)
        self.globals = GlobalTypes(prog, symbols, reader, release)
        self._statics = StaticVariables(symbols, reader)
        self._in_modules = ModuleNames(prog, types)
        per_cpu_start = symbols.unique("__per_cpu_start")
        self._vmlinux = _Names(
            prog,
            Section(
                "vmlinux",
                types.vmlinux,
                per_cpu_start.address if per_cpu_start else 0,
                symbols.unique_address,
            ),
        )
        self._found: dict[tuple[str, FindObjectFlags, str | None], Object | None] = {}

    def __call__(
        self, _prog: Program, name: str, flags: FindObjectFlags, filename: str | None
    ) -> Object | None:
        """drgn's object finder.

        :raises AmbiguousNameError: if several static variables have the name.
        """
        key = (name, flags, filename)
        if key in self._found:
            return self._found[key]
        found = self._find(name, flags)
        if found is None and FindObjectFlags.VARIABLE in flags:
            static = self._statics.find(name, filename)
            if static is not None:
                found = Object(self._prog, static.type, address=static.address)
        if found is not None or not self._modules.opening:
            self._found[key] = found
        return found

    def _find(self, name: str, flags: FindObjectFlags) -> Object | None:
        if FindObjectFlags.VARIABLE in flags:
            # Before functions and constants, whose names take much longer to index.
            found = self._vmlinux.find(name, FindObjectFlags.VARIABLE)
            if found is not None:
                return found
        if FindObjectFlags.VARIABLE in flags or FindObjectFlags.FUNCTION in flags:
            found = self._find_in_table(name, flags)
            if found is not None:
                return found
        found = self._vmlinux.find(name, flags & ~FindObjectFlags.VARIABLE)
        if found is not None or name in self.globals:
            return found
        return self._in_modules.find(name, flags)

    def _find_in_table(self, name: str, flags: FindObjectFlags) -> Object | None:
        found = self.globals.find(name)
        if found is None:
            return None
        drgn_type, address = found
        is_function = drgn_type.kind == TypeKind.FUNCTION
        if (FindObjectFlags.FUNCTION if is_function else FindObjectFlags.VARIABLE) not in flags:
            return None
        return Object(self._prog, drgn_type, address=address)


class ModuleNames:
    """What the modules' BTF has that is not a type. Each section is listed once."""

    def __init__(self, prog: Program, types: TypeFinder) -> None:
        self._prog = prog
        self._types = types
        self._sections: dict[Section, _Names] = {}

    def find(self, name: str, flags: FindObjectFlags) -> Object | None:
        """The first module's constant, function or per-CPU variable of a name."""
        for section in self._types.sections_with(name):
            if section not in self._sections:
                self._sections[section] = _Names(self._prog, section)
            found = self._sections[section].find(name, flags)
            if found is not None:
                return found
        return None


class _Names:
    """What one BTF section has that is not a type: enumerators, functions, per-CPU variables."""

    def __init__(self, prog: Program, section: Section) -> None:
        self._prog = prog
        self._section = section

    def find(self, name: str, flags: FindObjectFlags) -> Object | None:
        types = self._section.types
        if FindObjectFlags.VARIABLE in flags:
            variable = self._per_cpu_variables.get(name)
            if variable is not None:
                variable_type, offset = variable
                address = self._section.per_cpu_start + offset
                return Object(self._prog, types.type(variable_type), address=address)
        if FindObjectFlags.CONSTANT in flags:
            constant = self._constant(name)
            if constant is not None:
                return constant
        if FindObjectFlags.FUNCTION in flags:
            return self._function(name)
        return None

    def _function(self, name: str) -> Object | None:
        address = self._section.function_address(name)
        if address is None:
            return None
        types = self._section.types
        type_id = types.find(Kind.FUNC, name)
        if type_id is None:
            return None
        drgn_type = types.type(types.btf.size_or_type(type_id))
        if drgn_type.kind != TypeKind.FUNCTION:
            raise DamagedBtfError(f"the function {name} has no prototype")
        return Object(self._prog, drgn_type, address=address)

    def _constant(self, name: str) -> Object | None:
        types = self._section.types
        for offset in types.btf.strings.offsets_of(name):
            type_id = self._enumerators.get(offset)
            if type_id is not None:
                drgn_type = types.type(type_id)
                enumerators = drgn_type.enumerators or ()
                value = next(item.value for item in enumerators if item.name == name)
                return Object(self._prog, drgn_type, value)
        return None

    @cached_property
    def _enumerators(self) -> dict[int, int]:
        """Type id by where the name of an enumerator lies; the first one, as for types."""
        btf = self._section.types.btf
        found: dict[int, int] = {}
        for kind, words in reversed(_ANONYMOUS["enum"]):
            for type_id in reversed(btf.ids(kind)):
                names = btf.payload(type_id, words * (btf.info(type_id) & 0xFFFF))[0::words]
                found.update(dict.fromkeys(names, type_id))
        return found

    @cached_property
    def _per_cpu_variables(self) -> dict[str, tuple[int, int]]:
        """Type id and offset in the section of each per-CPU variable."""
        return {
            name: (type_id, offset)
            for name, type_id, offset in _section_variables(self._section.types.btf)
        }


def _section_variables(btf: Btf) -> Iterator[tuple[str, int, int]]:
    """Name, type id and offset of the variables in the per-CPU section."""
    for section in btf.ids(Kind.DATASEC):
        if btf.name(section) != _PER_CPU_SECTION:
            continue
        words = btf.payload(section, 3 * (btf.info(section) & 0xFFFF))
        for variable, offset in zip(words[0::3], words[1::3], strict=True):
            if variable < btf.first_id or btf.kind(variable) != Kind.VAR:
                raise DamagedBtfError("its per-CPU section holds what is no variable")
            yield btf.name(variable), btf.size_or_type(variable), offset
