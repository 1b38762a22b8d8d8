/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C functions for Rust: wrappers of inline functions and macros of the kernel for
 * which the `kernel` crate has no helper, and a few functions that can only be
 * written in C.
 */

#ifndef _ZRAM_RS_HELPERS_H
#define _ZRAM_RS_HELPERS_H

#include <linux/mempool.h>
#include <linux/types.h>

struct bio;
struct block_device;
struct file;
struct gendisk;
struct kernfs_node;
struct lock_class_key;
struct lockdep_map;
struct mutex;
struct page;
struct request_queue;
struct task_struct;
struct wait_queue_head;
struct workqueue_struct;

unsigned int zram_rs_helpers(void);
unsigned int zram_rs_num_devices(void);
const char *zram_rs_auto_writeback(void);
const char *zram_rs_auto_recompress(void);
const char *zram_rs_writeback_budget(void);
bool zram_rs_compressed_writeback(void);
bool zram_rs_packed_writeback(void);
struct workqueue_struct *zram_rs_background_workqueue(const char *name);
unsigned long zram_rs_bit_trylock(unsigned long *word, struct lockdep_map *map);
unsigned long zram_rs_bit_lock(unsigned long *word, struct lockdep_map *map);
void zram_rs_bit_unlock(unsigned long *word, unsigned long value, struct lockdep_map *map);
void zram_rs_lockdep_init_map(struct lockdep_map *map, const char *name,
			      struct lock_class_key *key);
bool zram_rs_bdev_is_zoned(struct block_device *bdev);
unsigned int zram_rs_bdev_logical_block_size(struct block_device *bdev);
unsigned int zram_rs_bdev_max_sectors(struct block_device *bdev);
bool zram_rs_bdev_read_only(struct block_device *bdev);
void zram_rs_bio_inc_remaining(struct bio *bio);
u32 zram_rs_boottime_seconds(void);
void zram_rs_cond_resched(void);
unsigned int zram_rs_disk_openers(struct gendisk *disk);
struct kernfs_node *zram_rs_disk_file(struct gendisk *disk, const char *name);
void zram_rs_file_notify(struct kernfs_node *file);
void zram_rs_file_put(struct kernfs_node *file);
void zram_rs_copy_page(void *to, const void *from);
void zram_rs_clear_disk_stats(struct gendisk *disk);
u64 zram_rs_file_bdev_bytes(struct file *file);
bool zram_rs_file_is_bdev(struct file *file);
void zram_rs_fill_words(unsigned long *dst, unsigned long word, size_t words);
void zram_rs_flush_dcache_page(struct page *page);
gfp_t zram_rs_helper_gfp(void);
struct workqueue_struct *zram_rs_helper_workqueue(const char *name);
bool zram_rs_may_disturb_cpu(unsigned int cpu);
struct workqueue_struct *zram_rs_highpri_workqueue(const char *name, bool unbound,
						   int max_active);
bool zram_rs_is_preemptible_task(void);
bool zram_rs_may_log(void);
int zram_rs_mutex_lock_interruptible(struct mutex *mutex);
int zram_rs_near_cpu(unsigned int nth);
unsigned int zram_rs_num_online_cpus(void);
struct page *zram_rs_page_pool_alloc(mempool_t *pool, gfp_t gfp);
mempool_t *zram_rs_page_pool_create(int reserve);
void zram_rs_queue_get(struct request_queue *queue);
void zram_rs_queue_put(struct request_queue *queue);
void zram_rs_rescue_bios(struct bio_set *set, struct block_device *bdev);
bool zram_rs_signal_ends_syscall(struct task_struct *task);
bool zram_rs_single_task_running(void);
unsigned long zram_rs_totalram_pages(void);
void zram_rs_wait_not_null(struct wait_queue_head *wait, void **pointer);
void zram_rs_wake_up(struct wait_queue_head *wait);
void *zram_rs_zstd_alloc(void *opaque, size_t size);
void zram_rs_zstd_free(void *opaque, void *address);

#endif
