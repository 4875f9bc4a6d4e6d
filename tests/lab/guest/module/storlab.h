/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#ifndef STORLAB_H
#define STORLAB_H

#include <linux/hrtimer.h>
#include <linux/seq_file.h>
#include <linux/types.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
static inline void hrtimer_setup(struct hrtimer *timer,
				 enum hrtimer_restart (*function)(struct hrtimer *),
				 clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = function;
}
#endif

/*
 * A step is one word, "verb" or "verb:argument". Each file below knows some of them and answers
 * -ENOENT to the others.
 */
int storlab_lock_step(const char *verb, const char *argument);
int storlab_crash_step(const char *verb, const char *argument);
int storlab_cpu_step(const char *verb, const char *argument);
int storlab_memory_step(const char *verb, const char *argument);

/* Have the kernel thread that calls this do steps, and facts tell of them. */
void storlab_do_here(const char *steps);

/* JSON lines about the locks and objects of this module. */
void storlab_locks_facts(struct seq_file *facts);
void storlab_objects_facts(struct seq_file *facts);
void storlab_cpu_states_facts(struct seq_file *facts);
void storlab_object(struct seq_file *facts, const char *name, const char *kind, void *address);

int storlab_locks_init(void);
int storlab_objects_init(void);
void storlab_cpu_states_init(void);

#endif
