// SPDX-License-Identifier: GPL-2.0

#include <linux/atomic.h>
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/cpumask.h>
#include <linux/freezer.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/part_stat.h>
#include <linux/ratelimit.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/jobctl.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/wait.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>

#include "helpers.h"

/*
 * A parameter of the module! macro can be given only once, but modprobe passes on
 * what modprobe.d says along with what the command line says: the last one counts.
 */
static unsigned int num_devices = 1;
module_param(num_devices, uint, 0);
MODULE_PARM_DESC(num_devices, "Number of pre-created zram devices");

unsigned int zram_rs_num_devices(void)
{
	return num_devices;
}

/*
 * The lock is bit 0 of a word. Bit 1 says that tasks may be waiting for it, so that
 * unlocking need not look for them. The other bits belong to the lock's owner.
 *
 * Unlocking clears both bits and, if the waiters' bit was set, wakes one waiter. A
 * waiter enqueues itself (exclusively, at the tail), and then sets both bits by one
 * atomic operation: if the lock bit was clear, the waiter owns the lock. So for as long
 * as a waiter sleeps, one of these is true:
 *
 * - Both bits are set: the owner is still to unlock, and wakes the first waiter then.
 *   The owner sees the queue as it was when the waiter set the bit: prepare_to_wait_event()
 *   ends in a full barrier, and xchg() is one.
 * - An owner has cleared the bits and is about to wake the first waiter.
 * - A waiter was woken and is about to set both bits. Either it gets the lock, and with it
 *   the duty to wake the next waiter; or another task has the lock, and gets that duty.
 *   That task may have locked by the fast path, which leaves the waiters' bit alone.
 *
 * If the woken waiter took the lock without setting the waiters' bit, the other waiters
 * would sleep on: their bit was cleared along with the lock bit. Whether there are others it
 * does not know, so it always sets the bit, and the last one of a crowd wakes no one.
 *
 * The owner keeps a copy of the word, which says nothing of the waiters' bit: unlocking
 * clears that bit in the copy, and looks for it in the word that the copy replaces.
 */
#define LOCK_BIT	0
#define WAITERS_BIT	1

/* Returns the word, lock bit included, or 0 if somebody else has the lock. */
unsigned long zram_rs_bit_trylock(unsigned long *word, struct lockdep_map *map)
{
	if (test_and_set_bit_lock(LOCK_BIT, word))
		return 0;
	mutex_acquire(map, 0, 1, _RET_IP_);
	lock_acquired(map, _RET_IP_);
	return READ_ONCE(*word);
}

/* Locks, or has the owner wake a waiter. Sets the waiters' bit in either case. */
static bool lock_or_announce(unsigned long *word)
{
	long both = BIT(LOCK_BIT) | BIT(WAITERS_BIT);

	return !(atomic_long_fetch_or_acquire(both, (atomic_long_t *)word) & BIT(LOCK_BIT));
}

static noinline void wait_for_bit_lock(unsigned long *word)
{
	(void)___wait_var_event(word, lock_or_announce(word), TASK_UNINTERRUPTIBLE,
				true, 0, schedule());
}

/* Returns the word, lock bit included. */
unsigned long zram_rs_bit_lock(unsigned long *word, struct lockdep_map *map)
{
	might_sleep();
	mutex_acquire(map, 0, 0, _RET_IP_);
	if (test_and_set_bit_lock(LOCK_BIT, word))
		wait_for_bit_lock(word);
	lock_acquired(map, _RET_IP_);
	return READ_ONCE(*word);
}

/*
 * Unlocks and sets the owner's bits by one store. Other tasks only ever set the lock
 * bit, which is set already, and the waiters' bit.
 */
void zram_rs_bit_unlock(unsigned long *word, unsigned long value, struct lockdep_map *map)
{
	mutex_release(map, _RET_IP_);
	/* A full barrier: the next owner sees what this one did, and this one the queue. */
	value = xchg(word, value & ~(BIT(LOCK_BIT) | BIT(WAITERS_BIT)));
	if (unlikely(value & BIT(WAITERS_BIT)))
		wake_up_var(word);
}

void zram_rs_lockdep_init_map(struct lockdep_map *map, const char *name,
			      struct lock_class_key *key)
{
	lockdep_init_map(map, name, key, 0);
}

bool zram_rs_bdev_is_zoned(struct block_device *bdev)
{
	return bdev_is_zoned(bdev);
}

unsigned int zram_rs_bdev_logical_block_size(struct block_device *bdev)
{
	return bdev_logical_block_size(bdev);
}

bool zram_rs_bdev_read_only(struct block_device *bdev)
{
	return bdev_read_only(bdev);
}

void zram_rs_bio_inc_remaining(struct bio *bio)
{
	bio_inc_remaining(bio);
}

u32 zram_rs_boottime_seconds(void)
{
	return ktime_get_boottime_seconds();
}

void zram_rs_cond_resched(void)
{
	cond_resched();
}

unsigned int zram_rs_disk_openers(struct gendisk *disk)
{
	return disk_openers(disk);
}

void zram_rs_copy_page(void *to, const void *from)
{
	copy_page(to, (void *)from);
}

void zram_rs_clear_disk_stats(struct gendisk *disk)
{
	part_stat_set_all(disk->part0, 0);
}

u64 zram_rs_file_bdev_bytes(struct file *file)
{
	return i_size_read(file->f_mapping->host);
}

bool zram_rs_file_is_bdev(struct file *file)
{
	return S_ISBLK(file->f_mapping->host->i_mode);
}

void zram_rs_fill_words(unsigned long *dst, unsigned long word, size_t words)
{
	memset_l(dst, word, words);
}

void zram_rs_flush_dcache_page(struct page *page)
{
	flush_dcache_page(page);
}

struct workqueue_struct *zram_rs_highpri_workqueue(const char *name, int max_active)
{
	return alloc_workqueue("%s", WQ_HIGHPRI | WQ_MEM_RECLAIM | WQ_PERCPU, max_active,
			       name);
}

/* Rust cannot initialise the lock of a static ratelimit_state. */
bool zram_rs_may_log(void)
{
	static DEFINE_RATELIMIT_STATE(state, DEFAULT_RATELIMIT_INTERVAL,
				      DEFAULT_RATELIMIT_BURST);

	return ___ratelimit(&state, KBUILD_MODNAME);
}

int zram_rs_mutex_lock_interruptible(struct mutex *mutex)
{
	return mutex_lock_interruptible(mutex);
}

/* For somebody who is in the queue already, and so keeps it from being frozen. */
unsigned int zram_rs_num_online_cpus(void)
{
	return num_online_cpus();
}

void zram_rs_queue_get(struct request_queue *queue)
{
	percpu_ref_get(&queue->q_usage_counter);
}

void zram_rs_queue_put(struct request_queue *queue)
{
	percpu_ref_put(&queue->q_usage_counter);
}

/* Returns whether getting @sig makes @task leave its system call. The caller holds siglock. */
static bool signal_ends_syscall(struct task_struct *task, const struct k_sigaction *action, int sig)
{
	if (action->sa.sa_handler == SIG_IGN)
		return false;
	if (action->sa.sa_handler != SIG_DFL)
		return !(action->sa.sa_flags & SA_RESTART);
	if (sig_kernel_ignore(sig))
		return false;
	/* As in get_signal(): the init of a namespace does not get what it does not handle. */
	return !(task->signal->flags & SIGNAL_UNKILLABLE) || sig_kernel_only(sig);
}

/* The same for all that is pending on @task. The caller holds siglock. */
static bool pending_ends_syscall(struct task_struct *task, const struct sighand_struct *sighand)
{
	struct signal_struct *signal = task->signal;
	sigset_t pending;
	int sig;

	if ((signal->flags & SIGNAL_GROUP_EXIT) || signal->group_exec_task)
		return true;
	/* Stops of the process, of a debugger, and of a control group. */
	if (task->jobctl & (JOBCTL_PENDING_MASK | JOBCTL_TRAP_FREEZE))
		return true;
	sigorsets(&pending, &task->pending.signal, &signal->shared_pending.signal);
	sigandnsets(&pending, &pending, &task->blocked);
	for (sig = 1; sig <= _NSIG; sig++) {
		if (sigismember(&pending, sig) &&
		    signal_ends_syscall(task, &sighand->action[sig - 1], sig))
			return true;
	}
	return false;
}

/*
 * Returns whether @task is to leave the system call that it is in: it has a signal that kills or
 * stops it or has a handler without SA_RESTART, or it is to be frozen. Signals that are ignored,
 * or whose handler has SA_RESTART, and task work wait until the system call ends by itself.
 */
bool zram_rs_signal_ends_syscall(struct task_struct *task)
{
	struct sighand_struct *sighand;
	unsigned long flags;
	bool ends = true;

	if (likely(!signal_pending(task)))
		return false;
	if (freezing(task))
		return true;
	/* Task work only. That is also how io_uring cancels what its worker does. */
	if (!task_sigpending(task))
		return task->flags & PF_IO_WORKER;

	/* RCU keeps the memory. A task without sighand, or with another one, has left before. */
	rcu_read_lock();
	sighand = rcu_dereference(task->sighand);
	if (sighand) {
		spin_lock_irqsave(&sighand->siglock, flags);
		if (sighand == rcu_access_pointer(task->sighand))
			ends = pending_ends_syscall(task, sighand);
		spin_unlock_irqrestore(&sighand->siglock, flags);
	}
	rcu_read_unlock();
	return ends;
}

unsigned long zram_rs_totalram_pages(void)
{
	return totalram_pages();
}

void zram_rs_wait_not_null(struct wait_queue_head *wait, void **pointer)
{
	wait_event(*wait, READ_ONCE(*pointer));
}

void zram_rs_wake_up(struct wait_queue_head *wait)
{
	wake_up(wait);
}

/* For zstd, which may ask while it is compressing something to be swapped out. */
void *zram_rs_zstd_alloc(void *opaque, size_t size)
{
	return kvzalloc(size, GFP_NOIO | __GFP_NOWARN);
}

void zram_rs_zstd_free(void *opaque, void *address)
{
	kvfree(address);
}
