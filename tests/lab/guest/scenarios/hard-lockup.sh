# CPU 2 spins with interrupts off and a spinlock held; CPU 1 spins for that lock.
# Nothing here can detect it (no PMU), so the host takes the dump.
# All interrupts go to CPU 0, or the serial ports would be stuck with CPU 2.
# What sets this up must not wait for a CPU that is stuck.
taskset -p 1 $$ > /dev/null
for affinity in /proc/irq/*/smp_affinity; do
	echo 1 > "$affinity" 2> /dev/null
done
storlab-task -n stuck -c 2 steps "spinlock:storlab_spin spin-irqs-off" &
sleep 1
storlab-task -n lockwaiter -c 1 steps spinlock:storlab_spin &
sleep 1
ready
