// SPDX-License-Identifier: MIT OR GPL-2.0
/* Memory that nobody can reclaim: a shrinker that never comes back, as filesystems' have had. */
#include <linux/completion.h>
#include <linux/module.h>
#include <linux/shrinker.h>
#include <linux/string.h>
#include <linux/version.h>

#include "storlab.h"

static DECLARE_COMPLETION(storlab_shrunk);

static unsigned long storlab_shrink_count(struct shrinker *shrinker, struct shrink_control *control)
{
	return 1 << 24;
}

static unsigned long storlab_shrink_scan(struct shrinker *shrinker, struct shrink_control *control)
{
	wait_for_completion(&storlab_shrunk);
	return SHRINK_STOP;
}

static int storlab_add_shrinker(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	struct shrinker *shrinker = shrinker_alloc(0, "storlab");

	if (!shrinker)
		return -ENOMEM;
	shrinker->count_objects = storlab_shrink_count;
	shrinker->scan_objects = storlab_shrink_scan;
	shrinker->seeks = DEFAULT_SEEKS;
	shrinker_register(shrinker);
	return 0;
#else
	static struct shrinker shrinker = {
		.count_objects = storlab_shrink_count,
		.scan_objects = storlab_shrink_scan,
		.seeks = DEFAULT_SEEKS,
	};

	return register_shrinker(&shrinker, "storlab");
#endif
}

int storlab_memory_step(const char *verb, const char *argument)
{
	if (!strcmp(verb, "add-shrinker"))
		return storlab_add_shrinker();
	return -ENOENT;
}
