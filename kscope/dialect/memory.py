"""Memory, as crash's ``rd`` and ``rd -SS``."""

from msgspec.structs import replace

from kscope.dialect import drgn_code
from kscope.dialect.crash_words import is_symbol
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
    return Equivalent(" ".join(words), _drgn(query), note)


def answered(query: MemoryQuery, result: Memory) -> Equivalent:
    """By the address, where crash does not take what was typed."""
    if query.physical:
        return equivalent(query)
    name = query.address.partition("+")[0].strip()
    by_address = equivalent(replace(query, address=f"{result.address:#x}"))
    if "." in name and result.what.startswith(name):
        return by_address  # of a function's clone drgn would take the end for a member
    found = equivalent(query)
    return replace(
        found if is_symbol(query.address) else by_address,
        drgn=found.drgn or by_address.drgn,
    )


def _drgn(query: MemoryQuery) -> str:
    try:
        where = drgn_code.address(query.address)
    except drgn_code.UnknownExpressionError:
        return ""
    size = query.count * query.bits // 8
    begin = f"{where.setup}address = {where.text}\n"
    if query.symbols and not query.physical:
        return (
            drgn_code.imports([*where.names, "FaultError", "print_annotated_memory"])
            + f"{begin}end = address + {size}\n"
            # A page that was left out of the dump does not hide the others.
            "while address < end:\n"
            "    page_end = min((address | 0xFFF) + 1, end)\n"
            "    try:\n"
            "        print_annotated_memory(prog, address, page_end - address)\n"
            "    except FaultError as error:\n"
            "        print(error)\n"
            "    address = page_end\n"
        )
    word = {8: "B", 16: "H", 32: "I", 64: "Q"}[query.bits]
    physical = ", physical=True" if query.physical else ""
    return (
        f"import struct\n{drgn_code.imports([*where.names, 'FaultError'])}{begin}"
        f"for start in range(address, address + {size}, 16):\n"
        "    try:\n"
        f"        data = prog.read(start, min(16, address + {size} - start){physical})\n"
        "    except FaultError as error:\n"
        "        print(error)\n"
        "        continue\n"
        f'    words = struct.iter_unpack("{">" if query.big_endian else "<"}{word}", data)\n'
        f'    print(f"{{start:x}}:", *(f"{{word:0{query.bits // 4}x}}" for (word,) in words))\n'
    )


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
