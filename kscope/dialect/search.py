"""Who holds a value, as crash's ``search``."""

from kscope.dialect.views import Equivalent
from kscope.model.search import Hit, Search, SearchQuery

QUERY = SearchQuery


def equivalent(query: SearchQuery) -> Equivalent:
    """``search`` with its options."""
    value = query.value.strip()
    text = value[:1] in ('"', "'")
    words = ["search"]
    if query.stacks:
        words.append("-t")
    if query.mask:
        words.append(f"-m {query.mask.removeprefix('0x')}")
    if text:
        words.append("-c")
    elif query.bits != 64:
        words.append({32: "-w", 16: "-h"}.get(query.bits, ""))
    words.append(value.removeprefix("0x"))
    note = "" if query.stacks or text else (
        "crash also lists the direct mapping of what vmalloc() and the kernel's image map"
    )  # fmt: skip
    return Equivalent(" ".join(filter(None, words)), _drgn(query, value, text), note)


def _drgn(query: SearchQuery, value: str, text: bool) -> str:
    """Reads piece by piece: drgn's own search ends where a page was left out of the dump."""
    found = _drgn_masked(query, value) if query.mask and not text else _drgn_exact(query, value)
    imports = "import struct\n" if query.mask and not text else ""
    imports += "from drgn import FaultError\n"
    if not query.stacks:
        return (
            f"{imports}\n{found}"
            'page_size = prog["PAGE_SIZE"].value_()\n'
            'for pfn in range(prog["max_pfn"].value_()):\n'
            "    try:\n"
            "        data = prog.read(pfn * page_size, page_size, physical=True)\n"
            "    except FaultError:\n"
            "        continue\n"
            "    for at in places(data):\n"
            '        print(hex(prog["page_offset_base"].value_() + pfn * page_size + at))\n'
        )
    return (
        f"{imports}from drgn.helpers.linux.pid import for_each_task\n\n{found}"
        "for task in for_each_task(prog, idle=True):\n"
        "    stack = task.stack.value_()\n"
        "    try:\n"
        '        data = prog.read(stack, prog["THREAD_SIZE"].value_())\n'
        "    except FaultError:\n"
        "        continue\n"
        "    for at in places(data):\n"
        "        print(task.pid.value_(), task.comm.string_(), hex(stack + at))\n"
    )


def _drgn_exact(query: SearchQuery, value: str) -> str:
    if value[:1] in ('"', "'"):
        wanted, size = f"{value}.encode()", 1
    else:
        size = query.bits // 8
        wanted = f'({_number(value)}).to_bytes({size}, "little")'
    return (
        f"wanted = {wanted}\n\n"
        "def places(data):\n"
        "    at = data.find(wanted)\n"
        "    while at >= 0:\n"
        f"        if at % {size} == 0:\n"
        "            yield at\n"
        "        at = data.find(wanted, at + 1)\n\n"
    )


def _drgn_masked(query: SearchQuery, value: str) -> str:
    letter = {16: "H", 32: "I", 64: "Q"}[query.bits]
    return (
        f"wanted, ignored = {_number(value)}, 0x{query.mask.removeprefix('0x')}\n\n"
        "def places(data):\n"
        f'    for i, (word,) in enumerate(struct.iter_unpack("<{letter}", data)):\n'
        "        if word | ignored == wanted | ignored:\n"
        f"            yield {query.bits // 8} * i\n\n"
    )


def _number(value: str) -> str:
    try:
        return hex(int(value, 0))
    except ValueError:
        return f'prog.symbol("{value.lstrip("&")}").address'


def text(query: SearchQuery, result: Search) -> str:
    """An address and its contents a line; of stacks, by task."""
    lines = _by_task(result.hits) if query.stacks else [_line(hit) for hit in result.hits]
    if result.truncated:
        lines.append(f"search: stopped after {len(result.hits):,} places")
    return "\n".join(lines)


def _line(hit: Hit) -> str:
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
