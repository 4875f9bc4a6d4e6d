# NFS servers and a FUSE server that do not answer, and tasks that wait for each.
# Nothing here panics: the host stops the guest and takes its memory.
for module in netfs fscache dns_resolver sunrpc auth_rpcgss grace lockd nfs_acl nfs nfsv4 nfsd fuse; do
	[ -e /modules/$module.ko ] && insmod /modules/$module.ko
done

is_blocked() {
	grep -q "^[0-9]* ($1) D" /proc/[0-9]*/stat 2> /dev/null
}

# The guest's own NFS server. What mountd would say when the kernel asks it is said in advance: who
# 127.0.0.1 is, and that /export is the root of all that it may see (NFSEXP_INSECURE_PORT,
# NFSEXP_NOSUBTREECHECK and NFSEXP_FSID of include/uapi/linux/nfsd/export.h).
mkdir -p /export /mail /archive /var/lib/nfs/v4recovery
mount -t tmpfs -o size=16m export /export
mkdir /export/spool
for file in inbox outbox; do
	dd if=/dev/zero of=/export/spool/$file bs=64k count=16 2> /dev/null
done
mount -t nfsd nfsd /proc/fs/nfsd
never=2147483647
echo "nfsd 127.0.0.1 $never lab" > /proc/net/rpc/auth.unix.ip/channel
echo "lab /export $never $((0x2 | 0x400 | 0x2000)) 65534 65534 0" > /proc/net/rpc/nfsd.export/channel
echo "lab 1 \\x00000000 $never /export" > /proc/net/rpc/nfsd.fh/channel
# For so many seconds only files that were open before may be opened; where the server keeps a list
# of its clients on a disk, that can be ended at once.
echo 10 > /proc/fs/nfsd/nfsv4gracetime
# NFSv3 would have to be registered with rpcbind.
echo "-3 +4" > /proc/fs/nfsd/versions
echo "tcp 2049" > /proc/fs/nfsd/portlist
echo 2 > /proc/fs/nfsd/threads
echo Y > /proc/fs/nfsd/v4_end_grace 2> /dev/null
# What is known of files and directories need not be asked again, so that each task asks for what
# is its own.
mount -t nfs4 -o vers=4.2,actimeo=600,addr=127.0.0.1,clientaddr=127.0.0.1 127.0.0.1:/ /mail ||
	fact '{"fact": "failed", "what": "mount -t nfs4"}'

remote-task serve archivefs /archive &
until grep -q " /archive " /proc/mounts; do
	sleep 1
done

# These have their files open before the servers fall silent.
remote-task read mailtail /mail/spool/inbox &
mailtail=$!
remote-task write mailwriter /mail/spool/outbox &
mailwriter=$!
remote-task read archiver /archive/old &
archiver=$!
for file in $mailtail/inbox $mailwriter/outbox $archiver/old; do
	until ls -l /proc/${file%/*}/fd | grep -q "/${file#*/}$"; do
		sleep 1
	done
done

# One that takes what is sent to it and says nothing, and one that is not there: what is sent there
# is lost on the way.
sleep 100000 | nc -l -p 2050 > /dev/null &
ip route add 192.0.2.0/24 dev lo
sleep 1
remote-task mount mountquiet 127.0.0.2 &
remote-task mount mountabsent 192.0.2.1 &
sleep 1

kill -USR1 $archiver
ip link set lo down
kill -USR1 $mailtail $mailwriter
storlab-task -n mailreader read /mail/spool/inbox &
storlab-task -n mailmaker mkdir-synced /mail/drafts &
sleep 1
storlab-task -n behindmaker create /mail/sent &
remote-task stat mailstat /mail/spool/rejected &
remote-task stat archivestat /archive/old &
# Whoever waits for a FUSE server is in interruptible sleep until a signal comes.
for task in mailtail mailwriter mailreader mailmaker behindmaker mailstat archiver archivestat \
	mountquiet mountabsent; do
	until is_blocked $task; do
		sleep 1
		killall -q -USR1 mailstat archivestat
	done
done
# More than the ten seconds after which waiting is remarkable.
sleep 12
ready
