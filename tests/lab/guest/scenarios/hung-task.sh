# One task that waits for ever for a completion, and one behind the mutex that it holds.
setting kernel/hung_task_timeout_secs 5
setting kernel/hung_task_panic 1
storlab-task -n stuckd steps "mutex:storlab_a completion:storlab_done" &
sleep 1
storlab-task -n behind steps mutex:storlab_a &
sleep 1
tell_panic_task khungtaskd
ready
