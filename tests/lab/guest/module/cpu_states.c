// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What is left waiting on a CPU that takes no interrupts: calls from other CPUs, a wakeup, tasks of
 * every scheduling class, timers that are overdue, work for the workers bound to it. Work items and
 * a timer's function that do not end.
 */
#include <linux/cpumask.h>
#include <linux/hrtimer.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/timer.h>
#include <linux/workqueue.h>

#include "storlab.h"

static struct task_struct *storlab_sleeper;
static struct timer_list storlab_late_timer;
static struct hrtimer storlab_late_hrtimer;
static call_single_data_t storlab_call;
static struct work_struct storlab_late_work;
static struct work_struct storlab_later_work;
static struct work_struct storlab_busy_work;
static struct timer_list storlab_spinning_timer;

static void storlab_called(void *unused)
{
}

static void storlab_called_and_awaited(void *unused)
{
}

static void storlab_late_timer_fn(struct timer_list *timer)
{
}

static enum hrtimer_restart storlab_late_hrtimer_fn(struct hrtimer *timer)
{
	return HRTIMER_NORESTART;
}

static void storlab_late_work_fn(struct work_struct *work)
{
}

static void storlab_later_work_fn(struct work_struct *work)
{
}

/* Lets tasks run but never sleeps, so that its pool starts no other worker. */
static void storlab_busy_work_fn(struct work_struct *work)
{
	for (;;)
		cond_resched();
}

static void storlab_spinning_timer_fn(struct timer_list *timer)
{
	for (;;)
		cpu_relax();
}

/* Until storlab_wake(), of which the CPU that it last ran on must take notice. */
static noinline int storlab_be_woken(int cpu)
{
	set_current_state(TASK_INTERRUPTIBLE);
	storlab_sleeper = current;
	schedule();
	return 0;
}

static noinline int storlab_wake(int cpu)
{
	return storlab_sleeper && wake_up_process(storlab_sleeper) ? 0 : -ESRCH;
}

/* To the queue of a CPU; what comes next is only done if that CPU ever schedules. */
static noinline int storlab_move(int cpu)
{
	return set_cpus_allowed_ptr(current, cpumask_of(cpu));
}

static noinline int storlab_call_and_wait(int cpu)
{
	return smp_call_function_single(cpu, storlab_called_and_awaited, NULL, true);
}

static noinline int storlab_call_only(int cpu)
{
	INIT_CSD(&storlab_call, storlab_called, NULL);
	return smp_call_function_single_async(cpu, &storlab_call);
}

static noinline int storlab_queue_work_for(int cpu)
{
	queue_work_on(cpu, system_wq, &storlab_late_work);
	queue_work_on(cpu, system_wq, &storlab_later_work);
	return 0;
}

static noinline int storlab_queue_busy_work_for(int cpu)
{
	queue_work_on(cpu, system_wq, &storlab_busy_work);
	return 0;
}

static noinline int storlab_spin_in_timer(int cpu)
{
	timer_setup(&storlab_spinning_timer, storlab_spinning_timer_fn, TIMER_PINNED);
	storlab_spinning_timer.expires = jiffies + HZ;
	add_timer_on(&storlab_spinning_timer, cpu);
	return 0;
}

/* On the CPU of the caller, which should not take interrupts when they expire. */
static noinline int storlab_start_timers(int cpu)
{
	timer_setup(&storlab_late_timer, storlab_late_timer_fn, TIMER_PINNED);
	storlab_late_timer.expires = jiffies + HZ;
	add_timer_on(&storlab_late_timer, cpu);
	hrtimer_setup(&storlab_late_hrtimer, storlab_late_hrtimer_fn, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_PINNED);
	hrtimer_start(&storlab_late_hrtimer, ktime_set(1, 0), HRTIMER_MODE_REL_PINNED);
	return 0;
}

static const struct {
	const char *verb;
	int (*function)(int cpu);
} storlab_cpu_steps[] = {
	{ "be-woken", storlab_be_woken },
	{ "wake", storlab_wake },
	{ "move", storlab_move },
	{ "call", storlab_call_and_wait },
	{ "call-only", storlab_call_only },
	{ "queue-work-for", storlab_queue_work_for },
	{ "queue-busy-work-for", storlab_queue_busy_work_for },
	{ "spin-in-timer", storlab_spin_in_timer },
	{ "start-timers", storlab_start_timers },
};

int storlab_cpu_step(const char *verb, const char *argument)
{
	int i, cpu = 0;

	for (i = 0; i < ARRAY_SIZE(storlab_cpu_steps); i++) {
		if (strcmp(storlab_cpu_steps[i].verb, verb))
			continue;
		if (*argument && kstrtoint(argument, 10, &cpu))
			return -EINVAL;
		return storlab_cpu_steps[i].function(cpu);
	}
	return -ENOENT;
}

void storlab_cpu_states_facts(struct seq_file *facts)
{
	storlab_object(facts, "storlab_late_timer", "timer", &storlab_late_timer);
	storlab_object(facts, "storlab_late_hrtimer", "hrtimer", &storlab_late_hrtimer);
	storlab_object(facts, "storlab_call", "call", &storlab_call);
	storlab_object(facts, "storlab_late_work", "work", &storlab_late_work);
	storlab_object(facts, "storlab_later_work", "work", &storlab_later_work);
}

void storlab_cpu_states_init(void)
{
	INIT_WORK(&storlab_late_work, storlab_late_work_fn);
	INIT_WORK(&storlab_later_work, storlab_later_work_fn);
	INIT_WORK(&storlab_busy_work, storlab_busy_work_fn);
}
