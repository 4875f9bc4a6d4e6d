# A disk that no longer answers, a filesystem that is frozen, and the kinds of waiting that are rare.
# Nothing here panics: the host stops the guest and takes its memory.
steps() {
	name=$1
	shift
	storlab-task -n "$name" steps "$*" &
}

mkdir -p /frozen
mount -t ext4 -o noatime /dev/vda /frozen
mount -t ext4 -o noatime,commit=3 /dev/vdb /srv
mkdir /srv/mail /srv/mail/cold
dd if=/dev/zero of=/srv/mail/large bs=64k count=16 2> /dev/null
dd if=/dev/zero of=/srv/mail/cold/file bs=64k count=1 2> /dev/null
dd if=/dev/zero of=/srv/dirty bs=64k count=64 2> /dev/null
sync
echo 3 > /proc/sys/vm/drop_caches
# The directory's own block only: what lies in it is to be read from a disk that answers no more.
ls /srv/mail > /dev/null

# Locks and events.
steps percpuholder percpu-read:storlab_percpu sleep:100000000
steps bitholder bit:storlab_bits sleep:100000000
steps mutexholder mutex:storlab_a sleep:100000000
steps semholder semaphore:storlab_sem sleep:100000000
steps varwaiter variable:storlab_variable
steps swaiter simple-event:storlab_simple_event
sleep 1
steps percpuwriter percpu-write:storlab_percpu
steps bitwaiter bit:storlab_bits
steps patient mutex-interruptible:storlab_a
steps sempatient semaphore-interruptible:storlab_sem
sleep 2
steps percpureader percpu-read:storlab_percpu

fsfreeze --freeze /frozen
storlab-task -n frozenwriter create /frozen/new &
storlab-task -n frozenmaker mkdir-synced /frozen/directory &

# The disk answers no more once it has completed nothing for a second.
storlab-task -n dbscan use-up /dev/vdb &
before=
read -r now rest < /sys/block/vdb/stat
while [ "$now" != "$before" ]; do
	sleep 1
	before=$now
	read -r now rest < /sys/block/vdb/stat
done
# Who dirties more pages than may be dirty is throttled until some have been written.
setting vm/dirty_bytes 262144
storlab-task -n dirtier overwrite /srv/dirty &
storlab-task -n reader read /srv/mail/large &
storlab-task -n sharer read-shared /srv/mail/cold/file &
storlab-task -n syncer create-synced /srv/mail/new &
sleep 1
storlab-task -n committer mkdir-synced /srv/spool &
sleep 5
storlab-task -n journaled create /srv/mail/other &
sleep 1
storlab-task -n behinddir create /srv/mail/another &
sleep 12
ready
