# An address that is not canonical, as a use after free reads it from slab poison.
setting kernel/panic_on_oops 1
ready
storlab-task -n crasher -c 1 steps general-protection
