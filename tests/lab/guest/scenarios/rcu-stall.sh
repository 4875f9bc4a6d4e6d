# CPU 1 stays in an RCU read-side critical section. The stall may be noticed on any CPU.
setting kernel/panic_on_rcu_stall 1
storlab-task -n rcuhog -c 1 steps spin-in-rcu-reader &
sleep 2
ready
