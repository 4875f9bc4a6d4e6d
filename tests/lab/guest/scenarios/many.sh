# 20,000 threads: 80 processes of 250.
ulimit -u unlimited
setting kernel/threads-max 40000
setting kernel/pid_max 65536
process=0
while [ $process -lt 80 ]; do
	storlab-task -n "worker/$process" threads 250 &
	process=$((process + 1))
done
# The fourth field of /proc/loadavg is running/existing.
while [ "$(cut -d' ' -f4 /proc/loadavg | cut -d/ -f2)" -lt 20000 ]; do
	sleep 1
done
ready
