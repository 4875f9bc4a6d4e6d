# CPU 1 spins with interrupts off, and everything that can wait for a CPU waits for it. CPU 2 spins
# until CPU 1 has taken its call, with three tasks queued behind. On CPU 3 real-time tasks leave
# little to two normal ones; on 6.1 they have used up their 18 s of two minutes and are throttled.
# All else stays on CPU 0: a kernel thread woken on CPU 1 would never run again.
for affinity in /proc/irq/*/smp_affinity; do
	echo 1 > "$affinity" 2> /dev/null
done
echo 1 > /sys/devices/virtual/workqueue/cpumask
for process in /proc/[0-9]*; do
	taskset -p 1 "${process#/proc/}" > /dev/null 2>&1
done
setting kernel/sched_rt_period_us 120000000
setting kernel/sched_rt_runtime_us 18000000

# A deadline task must be free to run anywhere when it becomes one.
taskset f storlab-task -n deadline-a -p DEADLINE steps "move:0 sleep:9000 move:1 spin" &
taskset f storlab-task -n deadline-b -p DEADLINE steps "move:0 sleep:11000 move:1 spin" &
storlab-task -n normal-a -c 3 spin &
storlab-task -n normal-b -c 3 -N 5 spin &
sleep 1
storlab-task -n rt-behind -c 3 -p RR:40 spin &
sleep 1
storlab-task -n rt-ahead -c 3 -p FIFO:50 spin &
storlab-task -n sleeper -c 1 steps be-woken &
sleep 1
storlab-task -n stuck -c 1 steps "start-timers:1 spin-irqs-off" &
sleep 1
storlab-task -n caller -c 2 steps call:1 &
echo call-only:1 > /proc/storlab/control
echo wake > /proc/storlab/control
echo queue-work-for:1 > /proc/storlab/control
sleep 1
storlab-task -n rt-low -p FIFO:10 steps "move:1 spin" &
storlab-task -n rt-high -p RR:20 steps "move:1 spin" &
storlab-task -n normal-c steps "move:1 spin" &
storlab-task -n behind-a steps "move:2 spin" &
storlab-task -n behind-b -N -5 steps "move:2 spin" &
storlab-task -n behind-c -p BATCH steps "move:2 spin" &
# Longer than a worker pool may stand still.
sleep 35
ready
