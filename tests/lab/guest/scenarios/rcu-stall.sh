# CPU 1 stays in an RCU read-side critical section. The stall may be noticed on any CPU.
# What sets this up must not wait for a CPU that is stuck.
taskset -p 1 $$ > /dev/null
setting kernel/panic_on_rcu_stall 1
storlab-task -n rcuhog -c 1 steps spin-in-rcu-reader &
sleep 2
ready
