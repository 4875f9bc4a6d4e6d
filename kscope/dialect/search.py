"""Who holds a value, as crash's ``search``."""

from msgspec.structs import replace

from kscope.dialect import drgn_code
from kscope.dialect.crash_words import is_symbol
from kscope.dialect.views import Equivalent
from kscope.model.base import QueryError
from kscope.model.search import Hit, Search, SearchQuery, ignored_bits

QUERY = SearchQuery


def equivalent(query: SearchQuery) -> Equivalent:
    """``search`` with its options."""
    value = query.value.strip()
    text = value[:1] in ('"', "'")
    words = ["search"]
    if query.stacks:
        words.append("-t")
    if query.mask:
        words.append(f"-m {_crash_mask(query)}")
    if text:
        words.append("-c")
    elif query.bits != 64:
        words.append({32: "-w", 16: "-h"}.get(query.bits, ""))
    words.append(value.removeprefix("0x"))
    note = "" if query.stacks or text else (
        "crash also lists the direct mapping of what vmalloc() and the kernel's image map"
    )  # fmt: skip
    return Equivalent(" ".join(filter(None, words)), _drgn(query, value, text), note)


def answered(query: SearchQuery, result: Search) -> Equivalent:
    """By the value, where crash does not take what was typed."""
    value = query.value.strip()
    if value[:1] in ('"', "'") or is_symbol(value):
        return equivalent(query)
    by_value = equivalent(replace(query, value=f"0x{result.value.removeprefix('0x')}"))
    return replace(by_value, drgn=equivalent(query).drgn or by_value.drgn)


def _drgn(query: SearchQuery, value: str, text: bool) -> str:
    """Reads piece by piece: drgn's own search ends where a page was left out of the dump."""
    try:
        wanted = (
            drgn_code.DrgnCode(repr(value.strip(value[0])), "value") if text else _number(value)
        )
        mask = ignored_bits(query.mask, query.bits)
    except (QueryError, drgn_code.UnknownExpressionError):
        return ""
    found = f"{wanted.setup}wanted = {wanted.text}"
    if text:
        found += ".encode()\n"
    else:
        found += f" & {(1 << query.bits) - 1:#x}\n"
    found += _drgn_masked(query, mask) if mask and not text else _drgn_exact(query, text)
    begin = "import struct\n" if mask and not text else ""
    if not query.stacks:
        return begin + drgn_code.imports([*wanted.names, "FaultError"]) + (
            f"{found}"
            'page_size = prog["PAGE_SIZE"].value_()\n'
            'for pfn in range(prog["max_pfn"].value_()):\n'
            "    try:\n"
            "        data = prog.read(pfn * page_size, page_size, physical=True)\n"
            "    except FaultError:\n"
            "        continue\n"
            "    for at in places(data):\n"
            '        print(hex(prog["page_offset_base"].value_() + pfn * page_size + at))\n'
        )  # fmt: skip
    return begin + drgn_code.imports([*wanted.names, "FaultError", "for_each_task"]) + (
        f"{found}"
        "for task in for_each_task(prog, idle=True):\n"
        "    stack = task.stack.value_()\n"
        "    try:\n"
        '        data = prog.read(stack, prog["THREAD_SIZE"].value_())\n'
        "    except FaultError:\n"
        "        continue\n"
        "    for at in places(data):\n"
        "        print(task.pid.value_(), task.comm.string_(), hex(stack + at))\n"
    )  # fmt: skip


def _drgn_exact(query: SearchQuery, text: bool) -> str:
    size = 1 if text else query.bits // 8
    number = "" if text else f'wanted = wanted.to_bytes({size}, "little")\n'
    return (
        f"{number}\ndef places(data):\n"
        "    at = data.find(wanted)\n"
        "    while at >= 0:\n"
        f"        if at % {size} == 0:\n"
        "            yield at\n"
        "        at = data.find(wanted, at + 1)\n\n"
    )


def _drgn_masked(query: SearchQuery, mask: int) -> str:
    letter = {16: "H", 32: "I", 64: "Q"}[query.bits]
    return (
        f"ignored = {mask:#x}\n\n"
        "def places(data):\n"
        f'    for i, (word,) in enumerate(struct.iter_unpack("<{letter}", data)):\n'
        "        if word | ignored == wanted | ignored:\n"
        f"            yield {query.bits // 8} * i\n\n"
    )


def _number(value: str) -> drgn_code.DrgnCode:
    try:
        return drgn_code.DrgnCode(hex(int(value, 0)), "number")
    except ValueError:
        return drgn_code.address(value)


def _crash_mask(query: SearchQuery) -> str:
    try:
        return f"{ignored_bits(query.mask, query.bits):x}"
    except QueryError:
        return query.mask


def text(query: SearchQuery, result: Search) -> str:
    """An address and its contents a line; of stacks, by task."""
    lines = _by_task(result.hits) if query.stacks else [line(hit) for hit in result.hits]
    if result.truncated:
        lines.append(f"search: stopped after {len(result.hits):,} places")
    return "\n".join(lines)


def line(hit: Hit) -> str:
    """An address, its contents, and what that is part of."""
    words = [f"{int(hit.address):x}: {hit.value}", hit.what, hit.member, hit.frame]
    return "  ".join(filter(None, words))


def _by_task(hits: tuple[Hit, ...]) -> list[str]:
    lines: list[str] = []
    before = None
    for hit in hits:
        if hit.task != before:
            if lines:
                lines.append("")
            task = "" if hit.task is None else f"{int(hit.task):x}"
            lines.append(f'PID: {hit.pid}  TASK: {task}  COMMAND: "{hit.comm}"')
            before = hit.task
        frame = f"  {hit.frame}" if hit.frame else ""
        lines.append(f"{int(hit.address):x}: {hit.value}{frame}")
    return lines
