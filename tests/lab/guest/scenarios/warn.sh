# A WARN() on a machine that must not go on after one.
setting kernel/panic_on_warn 1
ready
storlab-task -n crasher -c 0 steps warn
