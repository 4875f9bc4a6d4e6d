# A panic without a crash kernel: the CPU that panics stops the others, CPU 1 by an NMI because it
# takes no interrupts, CPU 3 in the midst of a program.
# What sets this up must not wait for a CPU that is stuck.
taskset -p 1 $$ > /dev/null
for affinity in /proc/irq/*/smp_affinity; do
	echo 1 > "$affinity" 2> /dev/null
done
storlab-task -n busy -c 3 spin &
sleep 2
storlab-task -n stuck -c 1 steps spin-irqs-off &
sleep 1
ready
storlab-task -n crasher -c 2 trigger c
