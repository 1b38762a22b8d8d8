/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C functions for what Rust cannot call: inline functions and macros of the
 * kernel that the `kernel` crate has no helper for. One line of C each.
 */

#ifndef _ZRAM_RS_HELPERS_H
#define _ZRAM_RS_HELPERS_H

#include <linux/types.h>

struct gendisk;
struct lock_class_key;
struct lockdep_map;
struct page;

unsigned long zram_rs_bit_trylock(unsigned long *word, struct lockdep_map *map);
unsigned long zram_rs_bit_lock(unsigned long *word, struct lockdep_map *map);
void zram_rs_bit_unlock(unsigned long *word, unsigned long value, struct lockdep_map *map);
void zram_rs_lockdep_init_map(struct lockdep_map *map, const char *name,
			      struct lock_class_key *key);
void zram_rs_cond_resched(void);
unsigned int zram_rs_disk_openers(struct gendisk *disk);
void zram_rs_clear_disk_stats(struct gendisk *disk);
void zram_rs_flush_dcache_page(struct page *page);
void zram_rs_fill_words(unsigned long *dst, unsigned long word, size_t words);

#endif
