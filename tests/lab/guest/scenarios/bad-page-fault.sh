# An address that is canonical but mapped nowhere.
setting kernel/panic_on_oops 1
ready
storlab-task -n crasher -c 1 steps bad-page-fault
