# A crash while a CPU in the middle is offline: it leaves no note, so that of CPU 2 comes second.
echo 0 > /sys/devices/system/cpu/cpu1/online
storlab-task -n second -c 2 spin &
storlab-task -n third -c 3 -p FIFO:30 spin &
sleep 1
ready
storlab-task -n crasher -c 0 trigger c
