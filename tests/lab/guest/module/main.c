// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * storlab: brings a kernel into a known state, for dumps whose contents are known.
 *
 * A task that writes steps into /proc/storlab/control does them in its own context, so it blocks,
 * spins or crashes there:
 *
 *	echo "mutex:storlab_a sleep:500 mutex:storlab_b" > /proc/storlab/control
 *
 * With "kthread=NAME" as the first word, a kernel thread of that name does them instead.
 * /proc/storlab/facts says what everybody has come to and where the locks and objects are.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "storlab.h"

#define RUNS 64
#define STEPS_LENGTH 160

struct storlab_run {
	pid_t pid;
	char comm[TASK_COMM_LEN];
	bool kthread;
	int step; /* index of the step being done */
	char steps[STEPS_LENGTH];
};

static struct storlab_run storlab_runs[RUNS];
static atomic_t storlab_runs_used = ATOMIC_INIT(0);

static int storlab_one_step(char *step)
{
	char *verb = strsep(&step, ":");
	const char *argument = step ?: "";
	unsigned int milliseconds;
	int error;

	if (!strcmp(verb, "sleep")) {
		error = kstrtouint(argument, 10, &milliseconds);
		if (!error)
			msleep_interruptible(milliseconds);
		return error;
	}
	error = storlab_lock_step(verb, argument);
	if (error == -ENOENT)
		error = storlab_crash_step(verb, argument);
	if (error == -ENOENT)
		error = storlab_cpu_step(verb, argument);
	if (error == -ENOENT)
		error = storlab_memory_step(verb, argument);
	return error;
}

static int storlab_do_steps(struct storlab_run *run)
{
	char words[STEPS_LENGTH];
	char *rest = words, *word;
	int error;

	run->pid = current->pid;
	get_task_comm(run->comm, current);
	strscpy(words, run->steps, sizeof(words));
	while ((word = strsep(&rest, " \n"))) {
		if (!*word)
			continue;
		error = storlab_one_step(word);
		if (error) {
			pr_err("storlab: step %d of \"%s\": error %d\n", run->step, run->steps,
			       error);
			return error;
		}
		run->step++;
	}
	return 0;
}

void storlab_do_here(const char *steps)
{
	int slot = atomic_inc_return(&storlab_runs_used) - 1;

	if (WARN_ON(slot >= RUNS))
		return;
	storlab_runs[slot].kthread = true;
	strscpy(storlab_runs[slot].steps, steps, STEPS_LENGTH);
	storlab_do_steps(&storlab_runs[slot]);
}

static int storlab_kthread(void *run)
{
	storlab_do_steps(run);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(MAX_SCHEDULE_TIMEOUT);
	return 0;
}

static ssize_t storlab_write(struct file *file, const char __user *from, size_t length,
			     loff_t *position)
{
	int slot = atomic_inc_return(&storlab_runs_used) - 1;
	struct storlab_run *run;
	struct task_struct *task;
	char *steps;
	int error;

	if (slot >= RUNS || length >= STEPS_LENGTH)
		return -E2BIG;
	run = &storlab_runs[slot];
	if (copy_from_user(run->steps, from, length))
		return -EFAULT;
	steps = strim(run->steps);
	if (!strncmp(steps, "kthread=", 8)) {
		char *name = steps + 8;

		steps = strchr(name, ' ');
		if (!steps)
			return -EINVAL;
		*steps++ = '\0';
		task = kthread_create(storlab_kthread, run, "%s", name);
		if (IS_ERR(task))
			return PTR_ERR(task);
		run->kthread = true;
		memmove(run->steps, steps, strlen(steps) + 1);
		wake_up_process(task);
		return length;
	}
	memmove(run->steps, steps, strlen(steps) + 1);
	error = storlab_do_steps(run);
	return error ?: length;
}

static const struct proc_ops storlab_control_ops = {
	.proc_write = storlab_write,
};

static int storlab_facts(struct seq_file *facts, void *unused)
{
	int i;

	for (i = 0; i < min(atomic_read(&storlab_runs_used), RUNS); i++) {
		struct storlab_run *run = &storlab_runs[i];

		seq_printf(facts,
			   "{\"fact\": \"run\", \"pid\": %d, \"comm_hex\": \"%*phN\", "
			   "\"kthread\": %s, \"step\": %d, \"steps\": \"%s\"}\n",
			   run->pid, (int)strnlen(run->comm, TASK_COMM_LEN), run->comm,
			   run->kthread ? "true" : "false", run->step, run->steps);
	}
	storlab_locks_facts(facts);
	storlab_objects_facts(facts);
	storlab_cpu_states_facts(facts);
	return 0;
}

static int __init storlab_init(void)
{
	struct proc_dir_entry *directory;
	int error;

	error = storlab_locks_init() ?: storlab_objects_init();
	if (error)
		return error;
	storlab_cpu_states_init();
	directory = proc_mkdir("storlab", NULL);
	if (!directory || !proc_create("control", 0200, directory, &storlab_control_ops) ||
	    !proc_create_single("facts", 0400, directory, storlab_facts))
		return -ENOMEM;
	return 0;
}
module_init(storlab_init);

/* No exit: what it has blocked could never be released. */

MODULE_DESCRIPTION("Known lock, crash and data states for kernel dumps");
MODULE_LICENSE("Dual MIT/GPL");
