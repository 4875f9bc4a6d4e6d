"""What an address is, as crash's ``kmem`` and ``vtop`` print it."""

import string

from msgspec.structs import replace

from kscope.dialect import drgn_code
from kscope.dialect.crash_words import is_symbol
from kscope.dialect.views import Equivalent
from kscope.model.address import AddressQuery, AddressState, FittingType

QUERY = AddressQuery


def equivalent(query: AddressQuery) -> Equivalent:
    """``kmem``; where it lies is ``vtop``'s to say."""
    address = query.address.removeprefix("0x")
    code = _drgn(query)
    if query.physical:
        return Equivalent(f"kmem -p {address}", code)
    if query.task:
        task = query.task.removeprefix("pid ").removeprefix("0x")
        return Equivalent(f"vtop -c {task} -u {address}", code)
    note = "the page tables are in vtop"
    if not all(c in string.hexdigits for c in address):
        return Equivalent(f"sym {address}", code, "what it lies in: kmem of the address; " + note)
    return Equivalent(f"kmem {address}", code, note)


def answered(query: AddressQuery, result: AddressState) -> Equivalent:
    """By the address, where crash does not take what was typed."""
    if query.physical or is_symbol(query.address):
        return equivalent(query)
    by_address = equivalent(replace(query, address=f"{result.address:#x}"))
    if result.symbol is not None and "." in result.symbol.name:
        return by_address  # of a function's clone drgn would take the end for a member
    return replace(by_address, drgn=equivalent(query).drgn or by_address.drgn)


def _drgn(query: AddressQuery) -> str:
    try:
        where = drgn_code.address(query.address)
        task = drgn_code.pointed(query.task) if query.task else None
    except drgn_code.UnknownExpressionError:
        return ""
    names = [*where.names, "identify_address_all"]
    text = where.text
    if query.physical:
        names.append("phys_to_virt")
        text = f"phys_to_virt(prog, {text}).value_()"
    lines = [
        f"{where.setup}address = {text}",
        'print("address", hex(address))',
        "for identity in identify_address_all(prog, address):",
        "    print(identity)",
    ]
    if not query.physical:
        mm = 'prog["init_mm"].address_of_()'
        if task is not None:
            names += [*task.names, "Object"]
            mm = f'Object(prog, "struct task_struct *", {task.text}).mm'
        names += ["FaultError", "follow_phys"]
        lines += [
            "try:",
            f'    print("physical", hex(follow_phys({mm}, address)))',
            "except FaultError as error:",
            "    print(error)",
        ]
    return drgn_code.imports(names) + "\n".join(lines) + "\n"


def text(query: AddressQuery, result: AddressState) -> str:  # noqa: ARG001
    """The parts of ``kmem`` and ``vtop`` that apply, one below the other."""
    blocks = [_translation(result), _symbol(result), _tasks(result), _slab(result)]
    blocks += [_vmap(result), _page(result)]
    # What the blocks below do not say: a per-CPU variable, a struct page, user space.
    if result.text and (result.kind != "direct" or result.page is None) and not any(blocks[1:5]):
        blocks.insert(0, f"{result.address}: {result.text}")
    if result.types:
        blocks.append("TYPE  " + "\n      ".join(map(_type, result.types)))
    blocks += ["\n".join(f"unreadable: {u.what}: {u.why}" for u in result.unreadable)]
    return "\n\n".join(block for block in blocks if block) or f"{result.address}: nothing known"


def _type(fitting: FittingType) -> str:
    name = f"{fitting.type}.{fitting.member}" if fitting.member else fitting.type
    perhaps = "" if fitting.certain else "perhaps "
    return f"{perhaps}{name} at {fitting.start:x}"


def _symbol(result: AddressState) -> str:
    symbol = result.symbol
    if symbol is None:
        return ""
    offset = f"+{symbol.offset}" if symbol.offset else ""
    module = f" [{symbol.module}]" if symbol.module else ""
    source = f" {result.source}" if result.source else ""
    return f"{result.address:x} ({symbol.type_letter}) {symbol.name}{offset}{module}{source}"


def _tasks(result: AddressState) -> str:
    lines = []
    for owner, where in ((result.task, "task_struct"), (result.stack_of, "stack")):
        if owner is not None:
            lines += [
                f'    PID: {owner.pid}\nCOMMAND: "{owner.comm}"\n   TASK: {owner.task:x}',
                f"  {where} + {owner.offset:#x}",
            ]
    return "\n".join(lines)


def _slab(result: AddressState) -> str:
    slab = result.slab
    if slab is None:
        return ""
    state = {True: "ALLOCATED", False: "FREE", None: "FREE OR ALLOCATED"}[slab.allocated]
    shown = f"[{slab.object:x}]" if slab.allocated else f" {slab.object:x} "
    which = "" if slab.index is None else f"  object {slab.index + 1} of {slab.objects}"
    offset = f"  +{slab.offset:#x}" if slab.offset else ""
    return (
        "CACHE             OBJSIZE  NAME\n"
        f"{slab.cache_address:x}  {slab.object_size:>7}  {slab.cache}\n"
        f"  SLAB              MEMORY\n"
        f"  {slab.slab:x}  {slab.first_object or 0:x}\n"
        "  FREE / [ALLOCATED]\n"
        f"  {shown}  {state}{which}{offset}"
    )


def _vmap(result: AddressState) -> str:
    area = result.vmap
    if area is None:
        return ""
    caller = f"  {area.caller}" if area.caller else ""
    return (
        "   VM_STRUCT                 ADDRESS RANGE                SIZE\n"
        f"{area.vm_struct:x}  {area.start:x} - {area.end:x}  {area.end - area.start:>9}{caller}"
    )


def _page(result: AddressState) -> str:
    page = result.page
    if page is None:
        return ""
    mapping = "?" if page.mapping is None else f"{page.mapping:x}"
    index = "?" if page.index is None else f"{page.index:x}"
    references = "?" if page.references is None else page.references
    flags = "?" if page.flags is None else f"{page.flags:x}"
    names = page.flag_names.replace("PG_", "").replace("|", ",").removeprefix("0")
    return (
        "      PAGE       PHYSICAL      MAPPING       INDEX CNT FLAGS\n"
        f"{page.page:x} {page.physical:>8x} {mapping:>16} {index:>8} {references:>2}"
        f" {flags} {names}"
    ).rstrip()


def _translation(result: AddressState) -> str:
    if result.physical is None and not result.table:
        return ""
    physical = "(not mapped)" if result.physical is None else f"{result.physical:x}"
    lines = ["VIRTUAL           PHYSICAL", f"{result.address:<16x}  {physical}"]
    if result.table:
        lines.append("")
    for entry in result.table:
        lines.append(f"{entry.level:>6}: {entry.address:x} => {entry.value:x}  ({entry.flags})")
    return "\n".join(lines)
