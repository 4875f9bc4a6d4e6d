# An idle, healthy machine that somebody crashes on purpose.
storlab-task -n sleeper sleep &
sleep 1
ready
storlab-task -n crasher -c 2 trigger c
