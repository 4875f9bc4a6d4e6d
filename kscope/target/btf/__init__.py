"""Types, symbols and stacks from a vmcore alone: the kernel's own BTF, kallsyms and ORC tables.

`load()` makes a `drgn.Program` that has opened a vmcore usable without any file from outside:

===================  ===========================================================================
`format`             BTF as it lies in memory, checked
`types`              drgn types made from it
`dimensions`         shapes of arrays of arrays, which BTF does not keep
`expressions`        types of global variables written as text
`globals`            the table of those texts, and how it is made to fit a dump
`fitting`            whether a type can lie where a symbol does
`statics`            static variables that share their names, told apart by their neighbours
`generate`           makes these three tables from kernels with DWARF
`symbols`            vmlinux's symbols, from kallsyms
`kallsyms`           finds the tables of kallsyms where VMCOREINFO does not name them
`kernel_btf`         where vmlinux's BTF lies in a dump
`modules`            the modules' split BTF and symbols
`finders`            answers drgn's lookups by name from all of these
`unwinding`          stacks by the kernel's own ORC tables
`loading`            puts it together
`beside_dwarf`       the modules' alone, where a vmlinux with DWARF has the rest
===================  ===========================================================================

What cannot be had this way is what only DWARF records: source files and lines, inlined frames,
parameters and local variables of frames, macros, and the variables of modules.
"""

import kscope.target.drgn_helpers  # before any of drgn's helpers  # noqa: F401
from kscope.target.btf.beside_dwarf import ModulesBesideDwarf
from kscope.target.btf.errors import BtfError
from kscope.target.btf.loading import BtfDebugInfo, load
from kscope.target.btf.modules import ModuleDebugInfo
from kscope.target.btf.statics import AmbiguousNameError

__all__ = (
    "AmbiguousNameError",
    "BtfDebugInfo",
    "BtfError",
    "ModuleDebugInfo",
    "ModulesBesideDwarf",
    "load",
)
