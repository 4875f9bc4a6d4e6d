# BUG() in a module, called from a system call.
setting kernel/panic_on_oops 1
ready
storlab-task -n crasher -c 1 steps bug
