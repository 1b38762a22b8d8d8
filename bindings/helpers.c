// SPDX-License-Identifier: GPL-2.0

#include <linux/blkdev.h>
#include <linux/highmem.h>
#include <linux/lockdep.h>
#include <linux/part_stat.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/wait_bit.h>

#include "helpers.h"

/* The lock is bit 0 of a word whose other bits belong to the lock's owner. */
#define LOCK_BIT 0

/* Returns the word, lock bit included, or 0 if somebody else has the lock. */
unsigned long zram_rs_bit_trylock(unsigned long *word, struct lockdep_map *map)
{
	if (test_and_set_bit_lock(LOCK_BIT, word))
		return 0;
	mutex_acquire(map, 0, 1, _RET_IP_);
	lock_acquired(map, _RET_IP_);
	return READ_ONCE(*word);
}

/* Returns the word, lock bit included. */
unsigned long zram_rs_bit_lock(unsigned long *word, struct lockdep_map *map)
{
	mutex_acquire(map, 0, 0, _RET_IP_);
	/* Cannot fail: the wait is not interruptible. */
	wait_on_bit_lock(word, LOCK_BIT, TASK_UNINTERRUPTIBLE);
	lock_acquired(map, _RET_IP_);
	return READ_ONCE(*word);
}

/*
 * Unlocks and sets the owner's bits in one store. All others only ever set the
 * lock bit, atomically, and it is set already: nothing that they do is lost.
 */
void zram_rs_bit_unlock(unsigned long *word, unsigned long value, struct lockdep_map *map)
{
	mutex_release(map, _RET_IP_);
	/* What the owner did is seen by the next one. */
	smp_store_release(word, value & ~BIT(LOCK_BIT));
	/* Pairs with the barrier in prepare_to_wait(), see wake_up_bit(). */
	smp_mb();
	wake_up_bit(word, LOCK_BIT);
}

void zram_rs_lockdep_init_map(struct lockdep_map *map, const char *name,
			      struct lock_class_key *key)
{
	lockdep_init_map(map, name, key, 0);
}

void zram_rs_cond_resched(void)
{
	cond_resched();
}

unsigned int zram_rs_disk_openers(struct gendisk *disk)
{
	return disk_openers(disk);
}

void zram_rs_clear_disk_stats(struct gendisk *disk)
{
	part_stat_set_all(disk->part0, 0);
}

void zram_rs_flush_dcache_page(struct page *page)
{
	flush_dcache_page(page);
}

void zram_rs_fill_words(unsigned long *dst, unsigned long word, size_t words)
{
	memset_l(dst, word, words);
}
