# CPU 1 spins with a spinlock held and interrupts on; CPU 2 spins for that lock.
setting kernel/softlockup_panic 1
setting kernel/watchdog_thresh 5
storlab-task -n spinner -c 1 steps "spinlock:storlab_spin spin" &
sleep 3
storlab-task -n lockwaiter -c 2 steps spinlock:storlab_spin &
sleep 1
ready
