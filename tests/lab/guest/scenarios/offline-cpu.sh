# A crash while one CPU is offline.
echo 0 > /sys/devices/system/cpu/cpu3/online
ready
storlab-task -n crasher -c 1 trigger c
