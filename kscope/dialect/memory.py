"""Memory, as crash's ``rd`` and ``rd -SS``."""

from kscope.dialect.views import Equivalent
from kscope.model.memory import Memory, MemoryLine, MemoryQuery

QUERY = MemoryQuery


def equivalent(query: MemoryQuery) -> Equivalent:
    """``rd`` with the width and annotations."""
    words = ["rd"]
    if query.bits != 64:
        words.append(f"-{query.bits}")
    if query.symbols:
        words.append("-SS")
    if query.physical:
        words.append("-p")
    words.append(query.address.removeprefix("0x"))
    if query.count != 1:
        words.append(str(query.count))
    note = "crash has no option for the byte order" if query.big_endian else ""
    size = query.count * query.bits // 8
    if query.symbols:
        drgn = (
            "from drgn.helpers.common.memory import print_annotated_memory\n\n"
            f"print_annotated_memory(prog, {_address(query.address)}, {size})\n"
        )
    else:
        physical = ", physical=True" if query.physical else ""
        word = {8: "B", 16: "H", 32: "I", 64: "Q"}[query.bits]
        drgn = (
            "import struct\n\n"
            f"address = {_address(query.address)}\n"
            f"data = prog.read(address, {size}{physical})\n"
            "for start in range(0, len(data), 16):\n"
            f'    words = struct.iter_unpack("{">" if query.big_endian else "<"}{word}", '
            "data[start:start + 16])\n"
            f'    print(f"{{address + start:x}}:", *(f"{{word:0{query.bits // 4}x}}" '
            "for (word,) in words))\n"
        )
    return Equivalent(" ".join(words), drgn, note)


def _address(text: str) -> str:
    try:
        return hex(int(text, 16))
    except ValueError:
        name, plus, offset = text.partition("+")
        return f'prog.symbol("{name.strip()}").address' + (f" + {offset.strip()}" if plus else "")


def text(query: MemoryQuery, result: Memory) -> str:
    """Lines of words with their ASCII text; with ``symbols``, pointers by what they point at."""
    lines = [_line(query, result, line) for line in result.lines]
    lines += [f"rd: {u.what}: {u.why}" for u in result.unreadable]
    return "\n".join(lines)


def _line(query: MemoryQuery, memory: Memory, line: MemoryLine) -> str:
    digits = memory.word_bytes * 2
    notes = {note.index: note for note in line.notes}
    words = []
    for index, word in enumerate(line.words):
        shown = "?" * digits if word is None else f"{word:0{digits}x}"
        if index in notes:
            note = notes[index]
            # As crash: symbols in place of the word, slab objects in brackets around it.
            symbol = note.kind in ("symbol", "function")
            shown = note.text if symbol else f"[{shown}:{note.text}]"
        words.append(f"{shown:<{digits}}")
    per_line = 16 // memory.word_bytes
    words += [" " * digits] * (per_line - len(words))
    columns = " ".join(words)
    start = f"{int(line.address):016x}" if not memory.physical else f"{int(line.address):16x}"
    if query.symbols:
        return f"{start}:  {columns} "
    return f"{start}:  {columns}   {line.text}"
