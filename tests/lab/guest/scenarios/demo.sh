# A small storage server under load whose daemons have got stuck, as the hung-task detector ends it.
hostname stor-3
steps() {
	name=$1
	shift
	storlab-task -n "$name" steps "$*" &
}
kernel_thread() {
	name=$1
	shift
	echo "kthread=$name $*" > /proc/storlab/control
}

mount -t ext4 -o noatime /dev/vdb /srv
mkdir -p /srv/log /srv/spool /run/locks /sys/fs/cgroup
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t tmpfs -o size=8m,mode=0700 secrets /run/locks

# What runs well.
storlab-task -n journald files /srv/log &
storlab-task -n spoold -p BATCH files /srv/spool &
storlab-task -n httpd sockets &
storlab-task -n dbserver memory 48 &
storlab-task -n workers threads 12 &
storlab-task -n cron -N 10 sleep &
storlab-task -n sampler -p DEADLINE sleep &
storlab-task -n audiod -p RR:20 sleep &
storlab-task -n indexer -p IDLE sleep &
storlab-task -n reaper zombie &
# CPU 3 is shared by two busy tasks; a real-time task keeps CPU 2 from everything else.
storlab-task -n compressd -c 3 -N 5 spin &
storlab-task -n checksumd -c 3 spin &
storlab-task -n rtpoll -p FIFO:30 -c 2 spin &

setting kernel/hung_task_all_cpu_backtrace 0
setting kernel/hung_task_timeout_secs 20
setting kernel/hung_task_panic 1

# What does not.
storlab-task -n rtowner -p FIFO:50 steps "rt_mutex:storlab_rt completion:storlab_done" &
steps logrotated mutex:storlab_b sleep:500 mutex:storlab_a
steps backupd mutex:storlab_a sleep:500 mutex:storlab_b
steps exportd read:storlab_rw completion:storlab_done
echo "queue-work:storlab_flush_work queue-work:storlab_queued_work" > /proc/storlab/control
sleep 1
storlab-task -n rtclient -p FIFO:60 steps rt_mutex:storlab_rt &
steps rotator write:storlab_rw
steps flushd flush-work:storlab_flush_work
sleep 1
steps scan/1 read:storlab_rw
steps scan/2 read:storlab_rw
steps snapshotd mutex:storlab_b
kernel_thread storlab/trim mutex:storlab_b
kernel_thread storlab/resync write:storlab_rw
# Not blocked: ready to run on the CPU that the real-time task has.
storlab-task -n collector -c 2 spin &
sleep 2
tell_panic_task khungtaskd
ready
