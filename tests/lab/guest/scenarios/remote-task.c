/* SPDX-License-Identifier: MIT */
/*
 * A FUSE server that stops answering, and those who then wait for it or for an NFS server:
 *
 *	remote-task serve NAME DIRECTORY	mount a filesystem there with one file in it, and answer
 *						all requests until that file is to be read
 *	remote-task stat NAME FILE		get the file's attributes when SIGUSR1 arrives
 *	remote-task read NAME FILE		open the file, and read it when SIGUSR1 arrives
 *	remote-task write NAME FILE		the same, and write to it until it is on the server's disk
 *	remote-task mount NAME ADDRESS		mount an NFS server's root
 *
 * Each first says who it is on descriptor 3, as storlab-task does. That SIGUSR1 has a handler also
 * matters for what comes after it: whoever waits for a FUSE server is in interruptible sleep until
 * a signal arrives, and in uninterruptible sleep from then on.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FACTS 3
#define FILE_NODE 2
#define FILE_SIZE (1 << 20)

static void fail(const char *what)
{
	dprintf(FACTS, "{\"fact\": \"failed\", \"what\": \"remote-task: %s: %m\"}\n", what);
	exit(1);
}

static void say_who(const char *name, const char *doing, const char *argument)
{
	char hex[33] = "";
	int i;

	prctl(PR_SET_NAME, name);
	for (i = 0; name[i] && i < 15; i++)
		sprintf(hex + 2 * i, "%02x", (unsigned char)name[i]);
	dprintf(FACTS,
		"{\"fact\": \"task\", \"pid\": %d, \"ppid\": %d, \"comm_hex\": \"%s\", "
		"\"policy\": \"NORMAL\", \"rt_priority\": 0, \"nice\": 0, \"pinned_to\": -1, "
		"\"doing\": \"%s\", \"argument\": \"%s\"}\n",
		getpid(), getppid(), hex, doing, argument);
}

static void answer(int device, const struct fuse_in_header *request, int error, const void *data,
		   size_t size)
{
	struct fuse_out_header header = {
		.len = sizeof(header) + size,
		.error = error,
		.unique = request->unique,
	};
	struct iovec parts[] = { { &header, sizeof(header) }, { (void *)data, size } };

	if (writev(device, parts, 2) < 0)
		fail("answer");
}

static void set_attributes(struct fuse_attr *attributes, uint64_t node)
{
	attributes->ino = node;
	attributes->mode = node == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0644;
	attributes->size = node == FUSE_ROOT_ID ? 0 : FILE_SIZE;
	attributes->nlink = 1;
	attributes->blksize = 4096;
}

static void serve(const char *directory)
{
	static char buffer[FUSE_MIN_READ_BUFFER + (1 << 17)];
	const struct fuse_in_header *request = (struct fuse_in_header *)buffer;
	struct fuse_init_out init = {
		.major = FUSE_KERNEL_VERSION,
		.minor = 31,
		.max_readahead = 1 << 16,
		.flags = FUSE_ASYNC_READ,
		.max_write = 1 << 16,
	};
	struct fuse_entry_out entry = { .nodeid = FILE_NODE };
	struct fuse_attr_out attributes = {};
	struct fuse_open_out opened = {};
	int device = open("/dev/fuse", O_RDWR);
	char options[80];

	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,subtype=sshfs",
		 device);
	if (device < 0 || mount("archive:/srv", directory, "fuse", MS_NOSUID | MS_NODEV, options))
		fail("mount");
	while (read(device, buffer, sizeof(buffer)) > 0) {
		switch (request->opcode) {
		case FUSE_INIT:
			answer(device, request, 0, &init, sizeof(init));
			break;
		case FUSE_GETATTR:
			set_attributes(&attributes.attr, request->nodeid);
			answer(device, request, 0, &attributes, sizeof(attributes));
			break;
		case FUSE_LOOKUP:
			set_attributes(&entry.attr, FILE_NODE);
			answer(device, request, 0, &entry, sizeof(entry));
			break;
		case FUSE_OPEN:
			answer(device, request, 0, &opened, sizeof(opened));
			break;
		case FUSE_READ:
			for (;;)
				pause();
		default:
			answer(device, request, -ENOSYS, NULL, 0);
		}
	}
	fail("/dev/fuse");
}

static void mount_nfs(const char *address)
{
	char source[40], options[120];

	snprintf(source, sizeof(source), "%s:/", address);
	snprintf(options, sizeof(options), "vers=4.2,addr=%s,clientaddr=127.0.0.1,port=2050", address);
	mount(source, "/srv", "nfs4", 0, options);
	fail("not stuck");
}

static void on_signal(int signal)
{
	(void)signal;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	const char *doing = argc == 4 ? argv[1] : "", *path = argv[argc - 1];
	sigset_t blocked, before;
	struct stat attributes;
	char block[4096] = "";
	int file = -1;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	sigaction(SIGUSR1, &action, NULL);
	if ((!strcmp(doing, "read") || !strcmp(doing, "write")) && (file = open(path, O_RDWR)) < 0)
		fail(path);
	say_who(argc == 4 ? argv[2] : "", doing, path);
	if (!strcmp(doing, "serve"))
		serve(path);
	if (!strcmp(doing, "mount"))
		mount_nfs(path);
	sigsuspend(&before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (!strcmp(doing, "stat"))
		stat(path, &attributes);
	else if (!strcmp(doing, "read"))
		read(file, block, sizeof(block));
	else if (write(file, block, sizeof(block)) > 0)
		fsync(file);
	fail("not stuck");
}
