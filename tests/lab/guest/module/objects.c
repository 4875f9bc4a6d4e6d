// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Data structures whose contents are known: one sound one of each kind, lists that are corrupted,
 * slab objects, pointers of every nature. All are reachable from the globals below.
 */
#include <linux/hrtimer.h>
#include <linux/idr.h>
#include <linux/err.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/maple_tree.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/plist.h>
#include <linux/poison.h>
#include <linux/rbtree.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>
#include <linux/xarray.h>

#include "storlab.h"

#define ITEMS 10
#define LOOP_FROM 6 /* this item's next is ... */
#define LOOP_TO 2 /* ... that one */
#define POISONED_AT 4

enum storlab_state { STORLAB_IDLE, STORLAB_BUSY, STORLAB_FAILED = 7 };

struct storlab_item {
	int number;
	char name[16];
	enum storlab_state state;
	unsigned int ready : 1;
	unsigned int retries : 5;
	int balance : 6;
	union {
		u64 whole;
		struct {
			u32 low;
			u32 high;
		};
	};
	struct list_head link;
	struct hlist_node hash_link;
	struct llist_node lockless_link;
	struct plist_node priority_link;
	struct rb_node tree_link;
	struct storlab_item *next;
};

struct storlab_pointers {
	void *nothing;
	void *error;
	void *poison;
	void *user;
	void *not_canonical;
	void *function;
	void *global;
	void *slab_object;
	void *slab_object_inside;
	void *freed_slab_object;
	void *vmalloc;
	void *page;
	void *task;
};

static LIST_HEAD(storlab_list);
static LIST_HEAD(storlab_empty_list);
static LIST_HEAD(storlab_looping_list);
static LIST_HEAD(storlab_poisoned_list);
static HLIST_HEAD(storlab_hash_chain);
static LLIST_HEAD(storlab_lockless_list);
static PLIST_HEAD(storlab_priority_list);
static struct rb_root storlab_tree = RB_ROOT;
static struct storlab_item *storlab_chain;
static DEFINE_XARRAY(storlab_xarray);
static DEFINE_IDR(storlab_idr);
static DEFINE_MTREE(storlab_maple_tree);
static DEFINE_PER_CPU(long, storlab_per_cpu);
static struct storlab_item storlab_array[ITEMS];
static struct storlab_pointers storlab_pointers;
static struct kmem_cache *storlab_item_cache;
static struct timer_list storlab_timer;
static struct hrtimer storlab_hrtimer;

static const unsigned long storlab_indexes[] = { 0, 5, 63, 64, 1000, 65536, 1UL << 40 };

static void storlab_fill(struct storlab_item *item, int number)
{
	item->number = number;
	snprintf(item->name, sizeof(item->name), "item-%d", number);
	item->state = number % 2 ? STORLAB_BUSY : STORLAB_FAILED;
	item->ready = 1;
	item->retries = 17;
	item->balance = -number;
	item->low = number;
	item->high = 0x1000 + number;
}

static struct storlab_item *storlab_new_item(int number)
{
	struct storlab_item *item = kmem_cache_alloc(storlab_item_cache, GFP_KERNEL | __GFP_NOFAIL);

	storlab_fill(item, number);
	return item;
}

static void storlab_construct(void *item)
{
	memset(item, 0, sizeof(struct storlab_item));
}

static void storlab_plant(struct storlab_item *item)
{
	struct rb_node **link = &storlab_tree.rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = item->number < rb_entry(parent, struct storlab_item, tree_link)->number ?
			       &parent->rb_left :
			       &parent->rb_right;
	}
	rb_link_node(&item->tree_link, parent, link);
	rb_insert_color(&item->tree_link, &storlab_tree);
}

static void storlab_list_items(struct list_head *list, struct storlab_item *items[ITEMS])
{
	int i;

	for (i = 0; i < ITEMS; i++) {
		items[i] = storlab_new_item(i);
		list_add_tail(&items[i]->link, list);
	}
}

/* plist_add() is not exported. Every node has a priority of its own, lower than those before. */
static void storlab_add_first(struct plist_node *node, int priority)
{
	plist_node_init(node, priority);
	if (!plist_head_empty(&storlab_priority_list))
		list_add_tail(&node->prio_list, &plist_first(&storlab_priority_list)->prio_list);
	list_add(&node->node_list, &storlab_priority_list.node_list);
}

static void storlab_timer_fn(struct timer_list *timer)
{
}

static enum hrtimer_restart storlab_hrtimer_fn(struct hrtimer *timer)
{
	return HRTIMER_NORESTART;
}

static void storlab_pointers_init(void)
{
	storlab_pointers.error = ERR_PTR(-ENOSPC);
	storlab_pointers.poison = LIST_POISON1;
	storlab_pointers.user = (void *)0x7f0000001000UL;
	storlab_pointers.not_canonical = (void *)0x6b6b6b6b6b6b6b6bUL;
	storlab_pointers.function = storlab_timer_fn;
	storlab_pointers.global = &storlab_list;
	storlab_pointers.slab_object = storlab_new_item(100);
	storlab_pointers.slab_object_inside =
		&((struct storlab_item *)storlab_pointers.slab_object)->link;
	storlab_pointers.freed_slab_object = storlab_new_item(101);
	kmem_cache_free(storlab_item_cache, storlab_pointers.freed_slab_object);
	storlab_pointers.vmalloc = vmalloc(3 * PAGE_SIZE);
	storlab_pointers.page = (void *)__get_free_page(GFP_KERNEL);
	storlab_pointers.task = current; /* insmod: gone by the time of the dump */
}

int storlab_objects_init(void)
{
	struct storlab_item *items[ITEMS];
	int i, cpu;

	/* With a constructor, because a cache that has one is never merged with another. */
	storlab_item_cache = kmem_cache_create("storlab_item", sizeof(struct storlab_item), 0, 0,
					       storlab_construct);
	if (!storlab_item_cache)
		return -ENOMEM;

	storlab_list_items(&storlab_list, items);
	for (i = ITEMS - 1; i >= 0; i--) {
		hlist_add_head(&items[i]->hash_link, &storlab_hash_chain);
		llist_add(&items[i]->lockless_link, &storlab_lockless_list);
		items[i]->next = storlab_chain;
		storlab_chain = items[i];
		storlab_add_first(&items[i]->priority_link, i);
		storlab_plant(items[i]);
	}
	for (i = 0; i < ITEMS; i++)
		storlab_fill(&storlab_array[i], i);
	for (i = 0; i < ARRAY_SIZE(storlab_indexes); i++) {
		xa_store(&storlab_xarray, storlab_indexes[i], items[i], GFP_KERNEL);
		mtree_store(&storlab_maple_tree, storlab_indexes[i], items[i], GFP_KERNEL);
		idr_alloc(&storlab_idr, items[i], i * 3, i * 3 + 1, GFP_KERNEL);
	}

	/* Written directly: the list functions of a kernel with CONFIG_DEBUG_LIST would object. */
	storlab_list_items(&storlab_looping_list, items);
	items[LOOP_FROM]->link.next = &items[LOOP_TO]->link;
	storlab_list_items(&storlab_poisoned_list, items);
	items[POISONED_AT]->link.next = LIST_POISON1;

	for_each_possible_cpu(cpu)
		per_cpu(storlab_per_cpu, cpu) = 1000 + cpu;
	storlab_pointers_init();

	timer_setup(&storlab_timer, storlab_timer_fn, 0);
	mod_timer(&storlab_timer, jiffies + 3600 * HZ);
	hrtimer_setup(&storlab_hrtimer, storlab_hrtimer_fn, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	hrtimer_start(&storlab_hrtimer, ktime_set(3600, 0), HRTIMER_MODE_REL);
	return 0;
}

void storlab_object(struct seq_file *facts, const char *name, const char *kind, void *address)
{
	seq_printf(facts,
		   "{\"fact\": \"object\", \"name\": \"%s\", \"kind\": \"%s\", "
		   "\"address\": \"0x%px\"}\n",
		   name, kind, address);
}

void storlab_objects_facts(struct seq_file *facts)
{
	storlab_object(facts, "storlab_list", "list", &storlab_list);
	storlab_object(facts, "storlab_empty_list", "list", &storlab_empty_list);
	storlab_object(facts, "storlab_looping_list", "list", &storlab_looping_list);
	storlab_object(facts, "storlab_poisoned_list", "list", &storlab_poisoned_list);
	storlab_object(facts, "storlab_hash_chain", "hlist", &storlab_hash_chain);
	storlab_object(facts, "storlab_lockless_list", "llist", &storlab_lockless_list);
	storlab_object(facts, "storlab_priority_list", "plist", &storlab_priority_list);
	storlab_object(facts, "storlab_tree", "rbtree", &storlab_tree);
	storlab_object(facts, "storlab_chain", "chain", &storlab_chain);
	storlab_object(facts, "storlab_xarray", "xarray", &storlab_xarray);
	storlab_object(facts, "storlab_idr", "idr", &storlab_idr);
	storlab_object(facts, "storlab_maple_tree", "maple_tree", &storlab_maple_tree);
	storlab_object(facts, "storlab_array", "array", storlab_array);
	storlab_object(facts, "storlab_per_cpu", "per_cpu", (void __force *)&storlab_per_cpu);
	storlab_object(facts, "storlab_pointers", "struct", &storlab_pointers);
	storlab_object(facts, "storlab_item_cache", "slab_cache", storlab_item_cache);
	storlab_object(facts, "storlab_timer", "timer", &storlab_timer);
	storlab_object(facts, "storlab_hrtimer", "hrtimer", &storlab_hrtimer);
	storlab_object(facts, "slab_object", "storlab_item", storlab_pointers.slab_object);
	storlab_object(facts, "freed_slab_object", "storlab_item",
		       storlab_pointers.freed_slab_object);
	storlab_object(facts, "vmalloc", "memory", storlab_pointers.vmalloc);
	storlab_object(facts, "page", "memory", storlab_pointers.page);
}
