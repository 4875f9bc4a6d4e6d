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
    mask = f", ignore_mask={query.mask}" if query.mask else ""
    if text:
        begin = f"prog.search_memory({value})"
        shown = "address"
    else:
        try:
            number = hex(int(value, 0))
        except ValueError:
            number = f'prog.symbol("{value.lstrip("&")}").address'
        begin = f"prog.search_memory_u{query.bits}({number}{mask})"
        shown = "address, value"
    if not query.stacks:
        return f"for {shown} in {begin}:\n    print(hex(address))\n"
    return (
        "from drgn.helpers.linux.pid import for_each_task\n\n"
        f'size = prog["THREAD_SIZE"].value_()\nfound = {begin}\n'
        "for task in for_each_task(prog, idle=True):\n"
        "    stack = task.stack.value_()\n"
        f"    for {shown} in found.set_address_range(stack, stack + size - 1):\n"
        "        print(task.pid.value_(), task.comm.string_(), hex(address))\n"
    )


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
