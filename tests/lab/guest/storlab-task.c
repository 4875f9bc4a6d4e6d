/* SPDX-License-Identifier: MIT */
/*
 * A user task of known name, policy, CPU and doing. It first says on descriptor 3 (the channel of
 * facts) who it is and what it is about to do, then does it:
 *
 *	storlab-task [-n NAME] [-p POLICY[:PRIORITY]] [-N NICE] [-c CPU] DOING [ARGUMENT]
 *
 *	steps WORDS	have the module do these in our context, then sleep
 *	sleep		in interruptible sleep
 *	spin		run for ever in user space
 *	stop		be stopped
 *	traced		be traced and stopped by a parent that sleeps
 *	zombie		exit under a parent that never waits
 *	memory MIB	hold so much memory
 *	hog		take memory until there is no more
 *	trigger KEY	write KEY to /proc/sysrq-trigger
 *	files DIRECTORY	hold some open files there: read, append, deleted, pipe, epoll
 *	sockets		hold some sockets: listening and connected TCP, UDP, UNIX
 *	threads COUNT	be a process of so many threads that sleep
 *	use-up DEVICE	read it, past the page cache, until it no longer answers
 *	read FILE	read it, as do two processes that share one open file
 *	read-shared FILE
 *	overwrite FILE	write 4 MiB to it
 *	create FILE	create it and write to it
 *	create-synced FILE	and wait until that is on the disk
 *	mkdir-synced DIRECTORY
 *	hog-until-stuck	take memory; say that the guest is ready once that gets no further
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define FACTS 3
#define MAXIMUM_SOCKETS 8

struct deadline_attr { /* struct sched_attr, which glibc 2.36 does not have */
	uint32_t size;
	uint32_t sched_policy;
	uint64_t sched_flags;
	int32_t sched_nice;
	uint32_t sched_priority;
	uint64_t sched_runtime;
	uint64_t sched_deadline;
	uint64_t sched_period;
};

static const struct {
	const char *name;
	int number;
} policies[] = {
	{ "NORMAL", SCHED_NORMAL }, { "FIFO", SCHED_FIFO }, { "RR", SCHED_RR },
	{ "BATCH", SCHED_BATCH },   { "IDLE", SCHED_IDLE }, { "DEADLINE", SCHED_DEADLINE },
};

static const char *policy_name = "NORMAL";
static int priority, niceness, cpu = -1;

static void fail(const char *what)
{
	dprintf(FACTS, "{\"fact\": \"failed\", \"what\": \"%s: %m\"}\n", what);
	exit(1);
}

static void say_who(const char *doing, const char *argument)
{
	char name[16] = "", hex[33];
	int i;

	prctl(PR_GET_NAME, name);
	for (i = 0; name[i]; i++)
		sprintf(hex + 2 * i, "%02x", (unsigned char)name[i]);
	hex[2 * i] = '\0';
	dprintf(FACTS,
		"{\"fact\": \"task\", \"pid\": %d, \"ppid\": %d, \"comm_hex\": \"%s\", "
		"\"policy\": \"%s\", \"rt_priority\": %d, \"nice\": %d, \"pinned_to\": %d, "
		"\"doing\": \"%s\", \"argument\": \"%s\"}\n",
		getpid(), getppid(), hex, policy_name, priority, niceness, cpu, doing, argument);
	/* What is still to be sent when the kernel panics, nobody gets. */
	tcdrain(FACTS);
}

static void set_policy(char *wanted)
{
	struct deadline_attr deadline = {
		.size = sizeof(deadline),
		.sched_policy = SCHED_DEADLINE,
		.sched_runtime = 10000000,
		.sched_deadline = 100000000,
		.sched_period = 100000000,
	};
	char *colon = strchr(wanted, ':');
	struct sched_param parameters;
	size_t i;

	if (colon) {
		*colon = '\0';
		priority = atoi(colon + 1);
	}
	parameters.sched_priority = priority;
	for (i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		if (strcmp(policies[i].name, wanted))
			continue;
		policy_name = policies[i].name;
		if (policies[i].number == SCHED_DEADLINE) {
			if (syscall(SYS_sched_setattr, 0, &deadline, 0))
				fail("sched_setattr");
		} else if (sched_setscheduler(0, policies[i].number, &parameters)) {
			fail("sched_setscheduler");
		}
		return;
	}
	fail(wanted);
}

static void pin(int to)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(to, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("sched_setaffinity");
}

static void write_file(const char *path, const char *text)
{
	int file = open(path, O_WRONLY);

	if (file < 0 || write(file, text, strlen(text)) < 0)
		fail(path);
	close(file);
}

static void take_memory(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		fail("mmap");
	memset(memory, 0x5a, bytes);
}

static void hold_files(const char *directory)
{
	char path[128];
	struct epoll_event event = { .events = EPOLLIN };
	int pipes[2], epoll, file;

	snprintf(path, sizeof(path), "%s/journal.log", directory);
	file = open(path, O_CREAT | O_WRONLY | O_APPEND, 0640);
	if (file < 0 || write(file, "started\n", 8) != 8)
		fail(path);
	if (open(path, O_RDONLY) < 0)
		fail(path);
	snprintf(path, sizeof(path), "%s/spool.tmp", directory);
	if (open(path, O_CREAT | O_RDWR, 0600) < 0 || unlink(path))
		fail(path);
	epoll = epoll_create1(0);
	if (epoll < 0 || pipe(pipes) || epoll_ctl(epoll, EPOLL_CTL_ADD, pipes[0], &event))
		fail("epoll");
}

static void hold_sockets(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(8080) };
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "/run/storlab.sock" };
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int datagram = socket(AF_INET, SOCK_DGRAM, 0);
	int local = socket(AF_UNIX, SOCK_STREAM, 0);
	int pair[2], i;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(listener, MAXIMUM_SOCKETS))
		fail("tcp");
	for (i = 0; i < 2; i++) {
		int client = socket(AF_INET, SOCK_STREAM, 0);

		if (connect(client, (struct sockaddr *)&address, sizeof(address)) ||
		    accept(listener, NULL, NULL) < 0)
			fail("tcp connection");
	}
	address.sin_port = htons(5353);
	if (bind(datagram, (struct sockaddr *)&address, sizeof(address)))
		fail("udp");
	if (bind(local, (struct sockaddr *)&name, sizeof(name)) || listen(local, MAXIMUM_SOCKETS))
		fail("unix");
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
		fail("socketpair");
}

static void *sleeping_thread(void *unused)
{
	pause();
	return unused;
}

static void start_threads(int count)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int i;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 16384);
	for (i = 0; i < count; i++)
		if (pthread_create(&thread, &attributes, sleeping_thread, NULL))
			fail("pthread_create");
}

static void use_up(const char *device)
{
	char *buffer = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int file = open(device, O_RDONLY | O_DIRECT);

	if (file < 0 || buffer == MAP_FAILED)
		fail(device);
	for (;;)
		if (pread(file, buffer, 1 << 20, 0) < 0)
			fail(device);
}

static void read_file(const char *path, int shared)
{
	static char buffer[1 << 16];
	int file = open(path, O_RDONLY);

	if (file < 0)
		fail(path);
	if (shared && !fork()) {
		sleep(1);
		say_who("read-shared", "child");
	}
	while (read(file, buffer, sizeof(buffer)) > 0)
		;
}

static void overwrite(const char *path)
{
	static char buffer[1 << 16];
	int file = open(path, O_WRONLY), i;

	for (i = 0; i < 64; i++)
		if (write(file, buffer, sizeof(buffer)) < 0)
			fail(path);
}

static void create_file(const char *path, int synced)
{
	int file = open(path, O_CREAT | O_WRONLY, 0600);

	if (file < 0 || write(file, "new\n", 4) != 4 || (synced && fsync(file)))
		fail(path);
}

static void make_directory(const char *path)
{
	int directory;

	if (mkdir(path, 0700))
		fail(path);
	directory = open(path, O_RDONLY | O_DIRECTORY);
	if (directory < 0 || fsync(directory))
		fail(path);
}

/* Once there is no memory, nobody can start a program or open a file to say so. */
static volatile unsigned long hogged;

static void *tell_when_stuck(void *unused)
{
	static const char ready[] = "{\"fact\": \"ready\"}\n";
	unsigned long before;
	int still = 0;

	while (still < 15) {
		before = hogged;
		sleep(1);
		still = hogged == before ? still + 1 : 0;
	}
	if (write(FACTS, ready, sizeof(ready) - 1) < 0)
		return unused;
	pause();
	return unused;
}

static void hog_until_stuck(void)
{
	pthread_t teller;
	char *page;

	/* Pages one by one, or it is stuck as soon as there is no huge one. */
	if (mlockall(MCL_CURRENT) || prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
		fail("mlockall");
	if (pthread_create(&teller, NULL, tell_when_stuck, NULL))
		fail("pthread_create");
	for (;; hogged++) {
		page = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (page == MAP_FAILED)
			fail("mmap");
	}
}

static void do_it(const char *doing, const char *argument)
{
	pid_t child;

	if (!strcmp(doing, "steps")) {
		write_file("/proc/storlab/control", argument);
	} else if (!strcmp(doing, "spin")) {
		for (;;)
			__asm__ volatile("");
	} else if (!strcmp(doing, "stop")) {
		raise(SIGSTOP);
	} else if (!strcmp(doing, "traced") || !strcmp(doing, "zombie")) {
		child = fork();
		if (!child) {
			say_who(doing, "child");
			if (!strcmp(doing, "zombie"))
				_exit(3);
			ptrace(PTRACE_TRACEME, 0, NULL, NULL);
			raise(SIGSTOP);
		}
	} else if (!strcmp(doing, "hog")) {
		for (;;)
			take_memory(4 << 20);
	} else if (!strcmp(doing, "memory")) {
		take_memory((size_t)atoi(argument) << 20);
	} else if (!strcmp(doing, "trigger")) {
		write_file("/proc/sysrq-trigger", argument);
	} else if (!strcmp(doing, "files")) {
		hold_files(argument);
	} else if (!strcmp(doing, "sockets")) {
		hold_sockets();
	} else if (!strcmp(doing, "threads")) {
		start_threads(atoi(argument) - 1);
	} else if (!strcmp(doing, "use-up")) {
		use_up(argument);
	} else if (!strcmp(doing, "read")) {
		read_file(argument, 0);
	} else if (!strcmp(doing, "read-shared")) {
		read_file(argument, 1);
	} else if (!strcmp(doing, "overwrite")) {
		overwrite(argument);
	} else if (!strcmp(doing, "create")) {
		create_file(argument, 0);
	} else if (!strcmp(doing, "create-synced")) {
		create_file(argument, 1);
	} else if (!strcmp(doing, "mkdir-synced")) {
		make_directory(argument);
	} else if (!strcmp(doing, "hog-until-stuck")) {
		hog_until_stuck();
	} else if (strcmp(doing, "sleep")) {
		fail(doing);
	}
}

int main(int argc, char **argv)
{
	const char *doing, *argument;
	int option;

	while ((option = getopt(argc, argv, "+n:p:N:c:")) != -1) {
		switch (option) {
		case 'n':
			prctl(PR_SET_NAME, optarg);
			break;
		case 'p':
			set_policy(optarg);
			break;
		case 'N':
			niceness = atoi(optarg);
			if (setpriority(PRIO_PROCESS, 0, niceness))
				fail("setpriority");
			break;
		case 'c':
			cpu = atoi(optarg);
			pin(cpu);
			break;
		default:
			return 2;
		}
	}
	doing = optind < argc ? argv[optind] : "sleep";
	argument = optind + 1 < argc ? argv[optind + 1] : "";
	say_who(doing, argument);
	do_it(doing, argument);
	for (;;)
		pause();
}
