"""Different types that have one name, of which a lookup by name finds the first.

C lets each source file have a ``struct irq_info`` of its own, and kernels have a dozen such names.
drgn, crash and kscope each show one of them without having been told which is meant.
"""

from drgn import Program, Type, TypeKind

from kscope.kernel.access.names import btf_of
from kscope.target.btf.format import Kind

_KINDS = {TypeKind.STRUCT: Kind.STRUCT, TypeKind.UNION: Kind.UNION}


def ambiguity(program: Program, type_: Type) -> str:
    """That there are others of the name of ``type_``, as a sentence; empty where there are none.

    BTF lists types of one name where they differ and leaves equal ones out.
    """
    kind = _KINDS.get(type_.kind)
    btf = None if kind is None or type_.tag is None else btf_of(program)
    if btf is None or kind is None:
        return ""
    names = set(btf.strings.offsets_of(type_.tag))
    sizes = [
        btf.size_or_type(type_id)
        for type_id in btf.ids(kind)
        if btf.names[type_id - btf.first_id] in names
    ]
    if len(sizes) < 2:
        return ""
    each = ", ".join(f"{size:,}" for size in sizes[:-1])
    return (
        f"the kernel has {len(sizes)} different types {type_.type_name()}, of {each} and"
        f" {sizes[-1]:,} bytes: this is the one of {type_.size or 0:,}, crash may show another"
    )
