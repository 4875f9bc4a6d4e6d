// SPDX-License-Identifier: MIT OR GPL-2.0
/* Each way for a kernel to die that a module can bring about, and CPUs that never come back. */
#include <linux/bug.h>
#include <linux/irqflags.h>
#include <linux/preempt.h>
#include <linux/processor.h>
#include <linux/rcupdate.h>
#include <linux/string.h>

#include "storlab.h"

struct storlab_request {
	unsigned long sector;
	unsigned long length;
};

static noinline void storlab_spin_forever(void)
{
	for (;;)
		cpu_relax();
}

static noinline unsigned long storlab_complete_request(struct storlab_request *request)
{
	return READ_ONCE(request->length);
}

int storlab_crash_step(const char *verb, const char *argument)
{
	if (!strcmp(verb, "bug")) {
		BUG();
	} else if (!strcmp(verb, "warn")) {
		WARN(1, "storlab: request %lu is not in the queue\n", 42UL);
	} else if (!strcmp(verb, "null-deref")) {
		storlab_complete_request(NULL);
	} else if (!strcmp(verb, "bad-page-fault")) {
		/* The hole between the direct map and vmalloc space's guard: mapped on no machine. */
		storlab_complete_request((struct storlab_request *)0xffffeb0000001000UL);
	} else if (!strcmp(verb, "general-protection")) {
		/* Not canonical: what a use after free reads from slab poison looks like. */
		storlab_complete_request((struct storlab_request *)0x6b6b6b6b6b6b6b6bUL);
	} else if (!strcmp(verb, "spin")) {
		preempt_disable();
		storlab_spin_forever();
	} else if (!strcmp(verb, "spin-irqs-off")) {
		local_irq_disable();
		storlab_spin_forever();
	} else if (!strcmp(verb, "spin-in-rcu-reader")) {
		rcu_read_lock();
		storlab_spin_forever();
	} else {
		return -ENOENT;
	}
	return 0;
}
