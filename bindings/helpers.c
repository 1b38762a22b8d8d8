// SPDX-License-Identifier: GPL-2.0

#include <linux/atomic.h>
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/cpumask.h>
#include <linux/freezer.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/part_stat.h>
#include <linux/ratelimit.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/isolation.h>
#include <linux/sched/jobctl.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/timekeeping.h>
#include <linux/wait.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>

#include "helpers.h"

/*
 * A parameter of the module! macro can be set only once. But modprobe passes the options of
 * modprobe.d along with those of the command line, so that a parameter may be set several times:
 * the last value counts.
 */
static unsigned int num_devices = 1;
module_param(num_devices, uint, 0);
MODULE_PARM_DESC(num_devices, "Number of pre-created zram devices");

static unsigned int helpers = 63;
module_param(helpers, uint, 0644);
MODULE_PARM_DESC(helpers, "Maximum number of CPUs that help with a large request; 0 for none");

unsigned int zram_rs_helpers(void)
{
	return READ_ONCE(helpers);
}

unsigned int zram_rs_num_devices(void)
{
	return num_devices;
}

/* The settings of new devices. They cannot change after the module was loaded. */
static char *auto_writeback = "off";
module_param(auto_writeback, charp, 0);
MODULE_PARM_DESC(auto_writeback, "auto_writeback of new devices");

static char *auto_recompress = "off";
module_param(auto_recompress, charp, 0);
MODULE_PARM_DESC(auto_recompress, "auto_recompress of new devices");

static char *writeback_budget = "off";
module_param(writeback_budget, charp, 0);
MODULE_PARM_DESC(writeback_budget, "writeback_budget of new devices");

static bool compressed_writeback;
module_param(compressed_writeback, bool, 0);
MODULE_PARM_DESC(compressed_writeback, "compressed_writeback of new devices");

static bool packed_writeback;
module_param(packed_writeback, bool, 0);
MODULE_PARM_DESC(packed_writeback, "packed_writeback of new devices");

const char *zram_rs_auto_writeback(void)
{
	return auto_writeback;
}

const char *zram_rs_auto_recompress(void)
{
	return auto_recompress;
}

const char *zram_rs_writeback_budget(void)
{
	return writeback_budget;
}

bool zram_rs_compressed_writeback(void)
{
	return compressed_writeback;
}

bool zram_rs_packed_writeback(void)
{
	return packed_writeback;
}

/*
 * Bit 0 of a word is the lock. Bit 1 means that tasks may be waiting for it; without it, unlocking
 * does not access the wait queue. The other bits belong to the owner of the lock.
 *
 * Unlocking clears both bits and, if the waiters' bit was set, wakes one waiter. A waiter enqueues
 * itself (exclusively, at the tail) and then sets both bits in one atomic operation: if the lock
 * bit was clear, the waiter owns the lock. While a waiter sleeps, one of these is true:
 *
 * - Both bits are set: the owner will unlock and wake the first waiter. The owner sees the waiter
 *   in the queue: prepare_to_wait_event() ends in a full barrier, and xchg() is one.
 * - An owner has cleared the bits and is about to wake the first waiter.
 * - A waiter was woken and is about to set both bits. Then the owner of the lock will wake the next
 *   waiter: this is the woken waiter or, if it does not get the lock, another task, which may have
 *   locked by the fast path without changing the waiters' bit.
 *
 * A woken waiter does not know whether there are others. If it locked without setting the waiters'
 * bit, which was cleared along with the lock bit, the others would never be woken. So it always
 * sets the bit; the last waiter then causes one wakeup of an empty queue.
 *
 * The owner keeps a copy of the word. The waiters' bit of the copy may be stale: unlocking clears
 * it, and tests the bit of the word that the copy replaces.
 */
#define LOCK_BIT	0
#define WAITERS_BIT	1

/* Returns the word including the lock bit, or 0 if another task owns the lock. */
unsigned long zram_rs_bit_trylock(unsigned long *word, struct lockdep_map *map)
{
	if (test_and_set_bit_lock(LOCK_BIT, word))
		return 0;
	mutex_acquire(map, 0, 1, _RET_IP_);
	lock_acquired(map, _RET_IP_);
	return READ_ONCE(*word);
}

/* Tries to lock, and sets the waiters' bit: if it fails, the owner will wake a waiter. */
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

/* Returns the word including the lock bit. May sleep. */
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
 * Unlocks and sets the owner's bits in one store. Until then, other tasks only set the lock bit,
 * which is already set, and the waiters' bit: no change is lost.
 */
void zram_rs_bit_unlock(unsigned long *word, unsigned long value, struct lockdep_map *map)
{
	mutex_release(map, _RET_IP_);
	/* A full barrier: after the owner's accesses, and before those to the wait queue. */
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

unsigned int zram_rs_bdev_max_sectors(struct block_device *bdev)
{
	return queue_max_sectors(bdev_get_queue(bdev));
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

/* Returns a reference to the node of a file of @disk, or NULL. @disk is being removed at most. */
struct kernfs_node *zram_rs_disk_file(struct gendisk *disk, const char *name)
{
	struct kernfs_node *dir = READ_ONCE(disk_to_dev(disk)->kobj.sd);
	struct kernfs_node *file = dir ? sysfs_get_dirent(dir, name) : NULL;

	if (file && kernfs_type(file) != KERNFS_FILE) {
		sysfs_put(file);
		return NULL;
	}
	return file;
}

void zram_rs_file_notify(struct kernfs_node *file)
{
	sysfs_notify_dirent(file);
}

void zram_rs_file_put(struct kernfs_node *file)
{
	sysfs_put(file);
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

/* A page of the reserve need not be cleared, which is what the page allocator does by default. */
struct page *zram_rs_page_pool_alloc(mempool_t *pool, gfp_t gfp)
{
	return mempool_alloc_preallocated(pool) ?: mempool_alloc(pool, gfp);
}

mempool_t *zram_rs_page_pool_create(int reserve)
{
	return mempool_create_page_pool(reserve, 0);
}

/*
 * What a worker may allocate with for the calling task, without waiting. A task that reclaims
 * memory may use the reserves: what it allocates frees more. So may the worker that does a part of
 * its work.
 */
gfp_t zram_rs_helper_gfp(void)
{
	gfp_t gfp = GFP_NOWAIT | __GFP_NOWARN;

	return current->flags & PF_MEMALLOC ? gfp | __GFP_MEMALLOC : gfp;
}

/*
 * Nothing waits for a work that has not begun, so that it needs no rescuer. One that has begun is
 * waited for, and so has a high priority; it does not keep other works of the CPU from beginning.
 */
struct workqueue_struct *zram_rs_helper_workqueue(const char *name)
{
	return alloc_workqueue("%s", WQ_HIGHPRI | WQ_CPU_INTENSIVE | WQ_PERCPU, 0, name);
}

struct workqueue_struct *zram_rs_background_workqueue(const char *name)
{
	return alloc_workqueue("%s", WQ_UNBOUND | WQ_FREEZABLE | WQ_MEM_RECLAIM | WQ_SYSFS, 0,
			       name);
}

struct workqueue_struct *zram_rs_highpri_workqueue(const char *name, bool unbound, int max_active)
{
	return alloc_workqueue("%s",
			       WQ_HIGHPRI | WQ_MEM_RECLAIM | (unbound ? WQ_UNBOUND : WQ_PERCPU),
			       max_active, name);
}

/*
 * Whether this is a task that nothing keeps from being preempted, as far as the kernel can tell:
 * without CONFIG_PREEMPT_COUNT it does not know about spinlocks.
 */
bool zram_rs_is_preemptible_task(void)
{
	if (IS_ENABLED(CONFIG_PREEMPT_COUNT) && !preemptible())
		return false;
	if (IS_ENABLED(CONFIG_PREEMPT_RCU) && rcu_preempt_depth())
		return false;
	return in_task() && !irqs_disabled();
}

bool zram_rs_may_disturb_cpu(unsigned int cpu)
{
	/* A cpuset that isolates CPUs replaces the mask of domains, and frees the old one. */
	guard(rcu)();
	return cpu_online(cpu) && housekeeping_cpu(cpu, HK_TYPE_WQ) &&
	       housekeeping_cpu(cpu, HK_TYPE_DOMAIN);
}

/* This is in C because Rust cannot initialise the lock of a static ratelimit_state. */
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

/*
 * Returns the @nth of the other CPUs that kernel workers may run on: first those of this node, from
 * the current CPU on, then all others. After the last one comes the current CPU, for which this
 * returns WORK_CPU_UNBOUND, and then all of them again.
 */
int zram_rs_near_cpu(unsigned int nth)
{
	unsigned int cpu, seen, here = raw_smp_processor_id();
	int remote, node = cpu_to_node(here);

	while (nth) {
		seen = 0;
		for (remote = 0; remote < 2; remote++) {
			for_each_cpu_wrap(cpu, cpu_online_mask, here + 1) {
				if (cpu == here || (cpu_to_node(cpu) != node) != remote ||
				    !zram_rs_may_disturb_cpu(cpu))
					continue;
				if (++seen == nth)
					return cpu;
			}
		}
		/* This is less, as there are fewer than @nth others. */
		nth %= seen + 1;
	}
	return WORK_CPU_UNBOUND;
}

unsigned int zram_rs_num_online_cpus(void)
{
	return num_online_cpus();
}

/* The caller must have entered the queue, so that the queue cannot be frozen. */
void zram_rs_queue_get(struct request_queue *queue)
{
	percpu_ref_get(&queue->q_usage_counter);
}

void zram_rs_queue_put(struct request_queue *queue)
{
	percpu_ref_put(&queue->q_usage_counter);
}

/*
 * Has the rescuer of @set submit the bios for @bdev that this task has submitted, and that the
 * block layer keeps until the driver's function for the task's own bio has returned.
 *
 * bio_alloc_bioset() does so with the bios of a set before it waits for a bio of the same set.
 */
void zram_rs_rescue_bios(struct bio_set *set, struct block_device *bdev)
{
	struct bio_list mine, others;
	struct bio *bio;
	int i;

	if (!current->bio_list)
		return;
	bio_list_init(&mine);
	/* The bios of this call, and those of its callers. */
	for (i = 0; i < 2; i++) {
		bio_list_init(&others);
		while ((bio = bio_list_pop(&current->bio_list[i])))
			bio_list_add(bio->bi_bdev == bdev ? &mine : &others, bio);
		current->bio_list[i] = others;
	}
	if (bio_list_empty(&mine))
		return;
	spin_lock(&set->rescue_lock);
	bio_list_merge(&set->rescue_list, &mine);
	spin_unlock(&set->rescue_lock);
	queue_work(set->rescue_workqueue, &set->rescue_work);
}

/* Returns whether @sig, once delivered, ends the system call of @task. Called with siglock held. */
static bool signal_ends_syscall(struct task_struct *task, const struct k_sigaction *action, int sig)
{
	if (action->sa.sa_handler == SIG_IGN)
		return false;
	if (action->sa.sa_handler != SIG_DFL)
		return !(action->sa.sa_flags & SA_RESTART);
	if (sig_kernel_ignore(sig))
		return false;
	/* As in get_signal(): init of a namespace ignores signals that it does not handle. */
	return !(task->signal->flags & SIGNAL_UNKILLABLE) || sig_kernel_only(sig);
}

/* Returns whether a pending signal ends the system call of @task. Called with siglock held. */
static bool pending_ends_syscall(struct task_struct *task, const struct sighand_struct *sighand)
{
	struct signal_struct *signal = task->signal;
	sigset_t pending;
	int sig;

	if ((signal->flags & SIGNAL_GROUP_EXIT) || signal->group_exec_task)
		return true;
	/* Stops by a signal or a debugger, and freezing of the control group. */
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
 * Returns whether @task must leave its system call early: it is being frozen, or a signal is
 * pending that kills or stops it or has a handler without SA_RESTART. Task work, and signals that
 * are ignored or have a handler with SA_RESTART, wait until the system call ends.
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
	/* Only task work is pending. io_uring also uses it to cancel the work of its workers. */
	if (!task_sigpending(task))
		return task->flags & PF_IO_WORKER;

	/* RCU keeps the memory valid. A task drops its sighand only on exit or in execve(). */
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

bool zram_rs_single_task_running(void)
{
	return single_task_running();
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

/* GFP_NOIO: zstd may allocate while it compresses a page that is being swapped out. */
void *zram_rs_zstd_alloc(void *opaque, size_t size)
{
	return kvzalloc(size, GFP_NOIO | __GFP_NOWARN);
}

void zram_rs_zstd_free(void *opaque, void *address)
{
	kvfree(address);
}
