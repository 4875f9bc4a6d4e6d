# Out of memory with panic_on_oom: one process takes it all, two others have a little.
setting vm/panic_on_oom 1
storlab-task -n dbserver memory 24 &
storlab-task -n webserver memory 8 &
sleep 2
ready
storlab-task -n memhog hog
