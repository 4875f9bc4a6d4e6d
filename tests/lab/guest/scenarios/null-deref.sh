# A NULL pointer dereferenced in a module: read of a member at a small offset.
setting kernel/panic_on_oops 1
ready
storlab-task -n crasher -c 1 steps null-deref
