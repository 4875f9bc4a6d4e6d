"""What neither kscope nor drgn's crash mode answers, and what comes nearest to it.

A table of crash 8's commands and options. Everything in it is refused in one sentence.
"""

_REFUSED = {
    "extend": ("crash's extensions cannot be loaded here", "drgn CODE runs Python"),
    "fuser": ("", "foreach files | grep -e PID: -e NAME shows who has a file open"),
    "gdb": ("there is no gdb here", "p evaluates C expressions"),
    "mach": ("", "sys and kmem -i, or p boot_cpu_data"),
    "pte": ("", "vtop ADDRESS shows the flags of the entries on its way"),
    "repeat": ("a dump does not change", ""),
    "wr": ("not allowed on dumpfiles", ""),
    "bt -e": ("", "bt shows the exception frames that it went through"),
    "bt -E": ("", "bt -a shows the exception frames that it went through"),
    "bt -g": ("", "bt PID of each thread that ps -g PID lists"),
    "bt -I": ("", "bt -r and bt -t show the whole stack"),
    "bt -o": ("", "bt -t shows every address of code on the stack"),
    "bt -O": ("", "bt -t shows every address of code on the stack"),
    "bt -S": ("", "bt -r and bt -t show the whole stack"),
    "bt -v": ("", "bt -r PID shows a stack with the magic number at its end"),
    "dis -b": ("", "dis -r FUNCTION+OFFSET shows what is before it"),
    "dis -s": ("no source is at hand", "dis -l names files and lines"),
    "dis -u": ("no user text is disassembled", "rd -u ADDRESS COUNT shows it"),
    "irq -c": ("", "irq -s shows what each CPU counted"),
    "kmem -c": ("", ""),
    "kmem -C": ("", ""),
    "kmem -r": ("", "kmem -s shows every slab cache"),
    "kmem -S": ("", "kmem -s NAME shows the cache, kmem ADDRESS the object at an address"),
    "list -B": ("", "list ends at a loop in any case"),
    "log -a": ("the audit log is not read", ""),
    "log -R": ("", "rd ADDRESS shows a structure's memory"),
    "log -s": ("the buffers for printk() in NMIs are not read", ""),
    "mount -f": ("", "foreach files | grep NAME"),
    "mount -i": ("", ""),
    "net -n": ("", "net lists the devices of the first namespace"),
    "net -N": ("", ""),
    "net -s": ("", "files PID shows sockets among the open files"),
    "net -S": ("", "files PID shows sockets among the open files"),
    "ps -C": ("", "ps -m -C CPU"),
    "runq -d": ("", "runq shows what is queued"),
    "search -K": ("", "search VALUE looks through all memory in the dump"),
    "search -V": ("", "search VALUE looks through all memory in the dump"),
    "search -u": ("", "search VALUE looks through all memory in the dump"),
    "sym -M": ("", "sym -m MODULE, or sym -l"),
    "sys -c": ("", "rd -s sys_call_table 450 names the system calls"),
    "sys -p": ("a dump is not made to panic", ""),
    "vm -f": ("", "vm PID shows the flags of every mapping"),
    "vm -m": ("", "struct mm_struct ADDRESS, with the MM that vm PID names"),
    "vm -M": ("", "struct mm_struct ADDRESS, with the MM that vm PID names"),
    "vm -p": ("", "vtop -c PID -u ADDRESS translates one page"),
    "vm -P": ("", "vtop -c PID -u ADDRESS translates one page"),
    "vm -R": ("", "vm PID | grep TEXT"),
    "vm -v": ("", "struct vm_area_struct ADDRESS, with a VMA that vm PID names"),
    "vm -x": ("", ""),
}  # fmt: skip
"""Why not (empty: nobody has written it), and the nearest."""


def refusal(command: str, option: str = "") -> str:
    """The sentence for a command or option; empty if this is no such."""
    name = f"{command} {option}".strip()
    if name not in _REFUSED:
        return ""
    why, nearest = _REFUSED[name]
    why = why or "not answered by kscope or by drgn's crash mode"
    subject = f"{command}: {option}: " if option else f"{command}: "
    return f"{subject}{why}" + (f"; nearest: {nearest}" if nearest else "")
