# CPU 1 spins with a spinlock held and interrupts on; CPU 2 spins for that lock.
# A lockup is noticed after two thresholds of 10 s and up to another half. The second spinner
# starts so much later that it is always the first one that is noticed.
# What sets this up must not wait for a CPU that is stuck.
taskset -p 1 $$ > /dev/null
setting kernel/softlockup_panic 1
storlab-task -n spinner -c 1 steps "spinlock:storlab_spin spin" &
sleep 9
storlab-task -n lockwaiter -c 2 steps spinlock:storlab_spin &
sleep 1
ready
