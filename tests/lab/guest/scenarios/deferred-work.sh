# What the kernel has put off until later is not done, on CPUs that run. On CPU 2 a work item never
# sleeps: it lets tasks run, but keeps the CPU's other work items waiting. On CPU 3, which idles, a
# timer's function does not return from its softirq.
# All else stays on CPUs 0 and 1.
for affinity in /proc/irq/*/smp_affinity; do
	echo 1 > "$affinity" 2> /dev/null
done
echo 1 > /sys/devices/virtual/workqueue/cpumask
for process in /proc/[0-9]*; do
	taskset -p 3 "${process#/proc/}" > /dev/null 2>&1
done
setting kernel/watchdog_thresh 5
storlab-task -n neighbour -c 2 spin &
sleep 1
echo "queue-busy-work-for:2 queue-work-for:2" > /proc/storlab/control
sleep 20
echo spin-in-timer:3 > /proc/storlab/control
# Longer than a worker pool may stand still, and a CPU be locked up.
sleep 14
ready
