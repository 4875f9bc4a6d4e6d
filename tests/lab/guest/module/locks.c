// SPDX-License-Identifier: MIT OR GPL-2.0
/* One lock of each kind, by name, and the things that tasks wait for without an owner. */
#include <linux/completion.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/percpu-rwsem.h>
#include <linux/rtmutex.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/semaphore.h>
#include <linux/spinlock.h>
#include <linux/swait.h>
#include <linux/wait.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>

#include "storlab.h"

static DEFINE_MUTEX(storlab_a);
static DEFINE_MUTEX(storlab_b);
static DEFINE_MUTEX(storlab_c);
static DECLARE_RWSEM(storlab_rw);
static DECLARE_RWSEM(storlab_rw_written);
static DEFINE_RT_MUTEX(storlab_rt);
static DEFINE_RT_MUTEX(storlab_rt_outer);
static DEFINE_SPINLOCK(storlab_spin);
static struct semaphore storlab_sem;
static DECLARE_COMPLETION(storlab_done);
static DECLARE_WAIT_QUEUE_HEAD(storlab_event);
static DECLARE_SWAIT_QUEUE_HEAD(storlab_simple_event);
DEFINE_STATIC_PERCPU_RWSEM(storlab_percpu);
static unsigned long storlab_bits;
#define STORLAB_BIT 5
static unsigned long storlab_variable;

static struct workqueue_struct *storlab_wq;
static struct work_struct storlab_flush_work;
static struct work_struct storlab_queued_work;
static DECLARE_COMPLETION(storlab_flushed);

static const struct {
	const char *name;
	const char *kind;
	void *address;
} storlab_locks[] = {
	{ "storlab_a", "mutex", &storlab_a },
	{ "storlab_b", "mutex", &storlab_b },
	{ "storlab_c", "mutex", &storlab_c },
	{ "storlab_rw", "rwsem", &storlab_rw },
	{ "storlab_rw_written", "rwsem", &storlab_rw_written },
	{ "storlab_rt", "rt_mutex", &storlab_rt },
	{ "storlab_rt_outer", "rt_mutex", &storlab_rt_outer },
	{ "storlab_spin", "spinlock", &storlab_spin },
	{ "storlab_sem", "semaphore", &storlab_sem },
	{ "storlab_done", "completion", &storlab_done },
	{ "storlab_flushed", "completion", &storlab_flushed },
	{ "storlab_event", "wait_queue", &storlab_event },
	{ "storlab_variable", "wait_queue", &storlab_variable },
	{ "storlab_simple_event", "swait_queue", &storlab_simple_event },
	{ "storlab_percpu", "percpu_rwsem", &storlab_percpu },
	{ "storlab_bits", "bit_lock", &storlab_bits },
	{ "storlab_flush_work", "work", &storlab_flush_work },
	{ "storlab_queued_work", "work", &storlab_queued_work },
};

static void *storlab_find(const char *kind, const char *name)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(storlab_locks); i++)
		if (!strcmp(storlab_locks[i].kind, kind) && !strcmp(storlab_locks[i].name, name))
			return storlab_locks[i].address;
	return NULL;
}

/*
 * One function for each way to wait, so that stacks tell them apart. They return something because
 * a call in tail position would leave no frame of theirs.
 */
static noinline int storlab_take_mutex(void *lock)
{
	mutex_lock(lock);
	return 0;
}

static noinline int storlab_take_mutex_interruptible(void *lock)
{
	return mutex_lock_interruptible(lock);
}

static noinline int storlab_take_read(void *lock)
{
	down_read(lock);
	return 0;
}

static noinline int storlab_take_write(void *lock)
{
	down_write(lock);
	return 0;
}

static noinline int storlab_take_rt_mutex(void *lock)
{
	rt_mutex_lock(lock);
	return 0;
}

static noinline int storlab_take_spinlock(void *lock)
{
	spin_lock(lock);
	return 0;
}

static noinline int storlab_take_semaphore(void *lock)
{
	down(lock);
	return 0;
}

static noinline int storlab_take_semaphore_interruptible(void *lock)
{
	return down_interruptible(lock);
}

static noinline int storlab_take_percpu_read(void *lock)
{
	percpu_down_read(lock);
	return 0;
}

static noinline int storlab_take_percpu_write(void *lock)
{
	percpu_down_write(lock);
	return 0;
}

static noinline int storlab_take_bit(void *word)
{
	return wait_on_bit_lock(word, STORLAB_BIT, TASK_UNINTERRUPTIBLE);
}

static noinline int storlab_await_completion(void *completion)
{
	wait_for_completion(completion);
	return 0;
}

static noinline int storlab_await_event(void *queue)
{
	wait_event(*(struct wait_queue_head *)queue, false);
	return 0;
}

static noinline int storlab_await_simple_event(void *queue)
{
	swait_event_exclusive(*(struct swait_queue_head *)queue, false);
	return 0;
}

static noinline int storlab_await_variable(void *variable)
{
	wait_var_event(variable, READ_ONCE(*(unsigned long *)variable));
	return 0;
}

static noinline int storlab_queue_work(void *work)
{
	queue_work(storlab_wq, work);
	return 0;
}

static noinline int storlab_flush(void *work)
{
	flush_work(work);
	return 0;
}

static const struct {
	const char *verb;
	const char *kind;
	int (*function)(void *address);
} storlab_lock_steps[] = {
	{ "mutex", "mutex", storlab_take_mutex },
	{ "mutex-interruptible", "mutex", storlab_take_mutex_interruptible },
	{ "read", "rwsem", storlab_take_read },
	{ "write", "rwsem", storlab_take_write },
	{ "rt_mutex", "rt_mutex", storlab_take_rt_mutex },
	{ "spinlock", "spinlock", storlab_take_spinlock },
	{ "semaphore", "semaphore", storlab_take_semaphore },
	{ "semaphore-interruptible", "semaphore", storlab_take_semaphore_interruptible },
	{ "percpu-read", "percpu_rwsem", storlab_take_percpu_read },
	{ "percpu-write", "percpu_rwsem", storlab_take_percpu_write },
	{ "bit", "bit_lock", storlab_take_bit },
	{ "completion", "completion", storlab_await_completion },
	{ "event", "wait_queue", storlab_await_event },
	{ "variable", "wait_queue", storlab_await_variable },
	{ "simple-event", "swait_queue", storlab_await_simple_event },
	{ "queue-work", "work", storlab_queue_work },
	{ "flush-work", "work", storlab_flush },
};

/* A work item that never ends: with one active at a time, the next one stays queued behind it. */
static void storlab_flush_fn(struct work_struct *work)
{
	storlab_do_here("completion:storlab_flushed");
	pr_info("storlab: flushed\n");
}

static void storlab_queued_fn(struct work_struct *work)
{
}

int storlab_lock_step(const char *verb, const char *name)
{
	void *address;
	int i;

	for (i = 0; i < ARRAY_SIZE(storlab_lock_steps); i++) {
		if (strcmp(storlab_lock_steps[i].verb, verb))
			continue;
		address = storlab_find(storlab_lock_steps[i].kind, name);
		return address ? storlab_lock_steps[i].function(address) : -EINVAL;
	}
	return -ENOENT;
}

void storlab_locks_facts(struct seq_file *facts)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(storlab_locks); i++)
		seq_printf(facts,
			   "{\"fact\": \"lock\", \"name\": \"%s\", \"kind\": \"%s\", "
			   "\"address\": \"0x%px\"}\n",
			   storlab_locks[i].name, storlab_locks[i].kind, storlab_locks[i].address);
}

int storlab_locks_init(void)
{
	sema_init(&storlab_sem, 1);
	INIT_WORK(&storlab_flush_work, storlab_flush_fn);
	INIT_WORK(&storlab_queued_work, storlab_queued_fn);
	storlab_wq = alloc_workqueue("storlab_wq", 0, 1);
	return storlab_wq ? 0 : -ENOMEM;
}
