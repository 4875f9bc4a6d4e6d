# One of every kind of waiting, every scheduling policy, every task state, and hostile task names.
# Nothing here panics: the host stops the guest and takes its memory.
steps() {
	name=$1
	shift
	storlab-task -n "$name" steps "$*" &
}

# ABBA: each holds one mutex and wants the other's; two more queue behind.
steps logrotated mutex:storlab_a sleep:1000 mutex:storlab_b
steps backupd mutex:storlab_b sleep:1000 mutex:storlab_a
# Readers behind a writer behind a reader that itself waits for what never comes.
steps exportd read:storlab_rw completion:storlab_done
# A writer that holds its rw_semaphore.
steps rotator2 write:storlab_rw_written completion:storlab_done
# A chain of rt_mutexes, of real-time tasks.
storlab-task -n rtowner -p FIFO:50 steps "rt_mutex:storlab_rt sleep:100000000" &
storlab-task -n rtmiddle -p RR:40 steps "rt_mutex:storlab_rt_outer sleep:1000 rt_mutex:storlab_rt" &
steps semholder semaphore:storlab_sem sleep:100000000
steps completer completion:storlab_done
steps watcher event:storlab_event
# A mutex whose owner sleeps, held by a kernel thread.
echo "kthread=exporter mutex:storlab_c sleep:100000000" > /proc/storlab/control
# A work item that never ends, one queued behind it, and a task that flushes.
echo "queue-work:storlab_flush_work queue-work:storlab_queued_work" > /proc/storlab/control
steps flusher flush-work:storlab_flush_work
sleep 2
steps behind/1 mutex:storlab_b
steps behind/2 mutex:storlab_b
steps rotator write:storlab_rw
sleep 1
steps scan/1 read:storlab_rw
steps scan/2 read:storlab_rw
steps reader2 read:storlab_rw_written
steps semwaiter semaphore:storlab_sem
storlab-task -n rtclient -p FIFO:60 steps "rt_mutex:storlab_rt_outer" &
echo "kthread=storlab/kwait mutex:storlab_c" > /proc/storlab/control

storlab-task -n pol_normal -N 5 sleep &
storlab-task -n pol_fifo -p FIFO:10 sleep &
storlab-task -n pol_rr -p RR:20 sleep &
storlab-task -n pol_batch -p BATCH sleep &
storlab-task -n pol_idle -p IDLE sleep &
storlab-task -n pol_deadline -p DEADLINE sleep &
storlab-task -n busy -c 3 spin &
storlab-task -n stopped stop &
storlab-task -n tracer traced &
storlab-task -n zombieparent zombie &
storlab-task -n threads threads 5 &
mkdir -p /tmp/files
storlab-task -n fileholder files /tmp/files &
storlab-task -n listener sockets &

storlab-task -n "$(printf '\033[31mred')" sleep &
storlab-task -n "$(printf '\033]0;title\007')" sleep &
storlab-task -n '[red]' sleep &
storlab-task -n '[/0]' sleep &
storlab-task -n '[/]' sleep &
storlab-task -n "$(printf 'two\nlines')" sleep &
storlab-task -n "$(printf 'tab\tcr\rx')" sleep &
storlab-task -n "$(printf 'bad\377\376utf8')" sleep &
storlab-task -n "$(printf 'cut\303')" sleep &
storlab-task -n "$(printf 'rtl\342\200\256evil')" sleep &
storlab-task -n "$(printf 'c1\302\233 31m')" sleep &
storlab-task -n "$(printf 'wide\346\227\245\346\234\254')" sleep &
storlab-task -n '%s%n$(id)`id`' sleep &
storlab-task -n ' lead trail ' sleep &
storlab-task -n '' sleep &
sleep 3
ready
