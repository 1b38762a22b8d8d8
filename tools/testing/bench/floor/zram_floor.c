// SPDX-License-Identifier: GPL-2.0
/*
 * zram_floor: measures how long the kernel's compressors take for a page, without a driver. No
 * driver can be faster than that; any further time is the driver's own.
 *
 * In debugfs, zram_floor/pages accepts the pages. Writing "ALGORITHM MILLISECONDS" to
 * zram_floor/run compresses all of them for at least that long, and then decompresses them for as
 * long. Reading it returns the picoseconds that the compression and the decompression of a page
 * took, and the mean size of a page in bytes. Pages that do not get smaller are copied instead of
 * decompressed, as in zram.
 */

#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/lz4.h>
#include <linux/lzo.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/zstd.h>

#define MAX_PAGES	(4 << 10)
/* As much as zram gives a compressor. */
#define ROOM		(2 * PAGE_SIZE)

struct floor_algorithm {
	const char *name;
	int (*prepare)(void);
	/* Both give the size of the result, or 0. */
	size_t (*compress)(const void *from, void *to);
	size_t (*decompress)(const void *from, size_t size, void *to);
};

static struct dentry *dir;
static DEFINE_MUTEX(lock);
static void *pages, *packed, *out, *scratch, *more_scratch;
static u32 *sizes;
static size_t count;
static u64 compress_ps, decompress_ps, mean_size;

#if IS_ENABLED(CONFIG_LZ4_COMPRESS) && IS_ENABLED(CONFIG_LZ4_DECOMPRESS)
static int floor_lz4_prepare(void)
{
	scratch = vzalloc(LZ4_MEM_COMPRESS);
	return scratch ? 0 : -ENOMEM;
}

static size_t floor_lz4_compress(const void *from, void *to)
{
	return LZ4_compress_fast(from, to, PAGE_SIZE, ROOM, LZ4_ACCELERATION_DEFAULT, scratch);
}

static size_t floor_lz4_decompress(const void *from, size_t size, void *to)
{
	int done = LZ4_decompress_safe(from, to, size, PAGE_SIZE);

	return done < 0 ? 0 : done;
}
#endif

#if IS_ENABLED(CONFIG_LZO_COMPRESS) && IS_ENABLED(CONFIG_LZO_DECOMPRESS)
static int floor_lzo_prepare(void)
{
	scratch = vzalloc(LZO1X_MEM_COMPRESS);
	return scratch ? 0 : -ENOMEM;
}

static size_t floor_lzo_compress(const void *from, void *to)
{
	size_t size = ROOM;

	return lzo1x_1_compress(from, PAGE_SIZE, to, &size, scratch) == LZO_E_OK ? size : 0;
}

static size_t floor_lzorle_compress(const void *from, void *to)
{
	size_t size = ROOM;

	return lzorle1x_1_compress(from, PAGE_SIZE, to, &size, scratch) == LZO_E_OK ? size : 0;
}

static size_t floor_lzo_decompress(const void *from, size_t size, void *to)
{
	size_t done = PAGE_SIZE;

	return lzo1x_decompress_safe(from, size, to, &done) == LZO_E_OK ? done : 0;
}
#endif

#if IS_ENABLED(CONFIG_ZSTD_COMPRESS) && IS_ENABLED(CONFIG_ZSTD_DECOMPRESS)
static zstd_parameters zstd_params;
static zstd_cctx *cctx;
static zstd_dctx *dctx;

static int floor_zstd_prepare(void)
{
	zstd_compression_parameters cparams;
	size_t size;

	zstd_params = zstd_get_params(zstd_default_clevel(), PAGE_SIZE);
	cparams = zstd_get_cparams(zstd_default_clevel(), PAGE_SIZE, 0);
	size = zstd_cctx_workspace_bound(&cparams);
	scratch = vzalloc(size);
	if (!scratch)
		return -ENOMEM;
	cctx = zstd_init_cctx(scratch, size);
	size = zstd_dctx_workspace_bound();
	more_scratch = vzalloc(size);
	if (!more_scratch)
		return -ENOMEM;
	dctx = zstd_init_dctx(more_scratch, size);
	return cctx && dctx ? 0 : -EINVAL;
}

static size_t floor_zstd_compress(const void *from, void *to)
{
	size_t size = zstd_compress_cctx(cctx, to, ROOM, from, PAGE_SIZE, &zstd_params);

	return zstd_is_error(size) ? 0 : size;
}

static size_t floor_zstd_decompress(const void *from, size_t size, void *to)
{
	size_t done = zstd_decompress_dctx(dctx, to, PAGE_SIZE, from, size);

	return zstd_is_error(done) ? 0 : done;
}
#endif

static const struct floor_algorithm algorithms[] = {
#if IS_ENABLED(CONFIG_LZ4_COMPRESS) && IS_ENABLED(CONFIG_LZ4_DECOMPRESS)
	{ "lz4", floor_lz4_prepare, floor_lz4_compress, floor_lz4_decompress },
#endif
#if IS_ENABLED(CONFIG_LZO_COMPRESS) && IS_ENABLED(CONFIG_LZO_DECOMPRESS)
	{ "lzo", floor_lzo_prepare, floor_lzo_compress, floor_lzo_decompress },
	{ "lzo-rle", floor_lzo_prepare, floor_lzorle_compress, floor_lzo_decompress },
#endif
#if IS_ENABLED(CONFIG_ZSTD_COMPRESS) && IS_ENABLED(CONFIG_ZSTD_DECOMPRESS)
	{ "zstd", floor_zstd_prepare, floor_zstd_compress, floor_zstd_decompress },
#endif
};

/* One pass over all pages; what it gives is in packed and sizes. */
static int compress_all(const struct floor_algorithm *algorithm)
{
	size_t i;

	for (i = 0; i < count; i++) {
		sizes[i] = algorithm->compress(pages + i * PAGE_SIZE, packed + i * ROOM);
		if (!sizes[i])
			return -EIO;
		cond_resched();
	}
	return 0;
}

static int decompress_all(const struct floor_algorithm *algorithm, bool check)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (sizes[i] >= PAGE_SIZE) {
			memcpy(out, pages + i * PAGE_SIZE, PAGE_SIZE);
			continue;
		}
		if (algorithm->decompress(packed + i * ROOM, sizes[i], out) != PAGE_SIZE)
			return -EIO;
		if (check && memcmp(out, pages + i * PAGE_SIZE, PAGE_SIZE))
			return -EUCLEAN;
		cond_resched();
	}
	return 0;
}

static int measure(const struct floor_algorithm *algorithm, u64 least)
{
	u64 began, took, passes, total = 0;
	size_t i;
	int ret;

	/* Once for getting warm, and to see that it is right. */
	ret = compress_all(algorithm);
	if (!ret)
		ret = decompress_all(algorithm, true);
	if (ret)
		return ret;
	for (i = 0; i < count; i++)
		total += min_t(size_t, sizes[i], PAGE_SIZE);
	mean_size = div64_u64(total, count);

	began = ktime_get_ns();
	passes = 0;
	do {
		compress_all(algorithm);
		passes++;
		took = ktime_get_ns() - began;
	} while (took < least && !signal_pending(current));
	compress_ps = div64_u64(took * 1000, passes * count);

	began = ktime_get_ns();
	passes = 0;
	do {
		decompress_all(algorithm, false);
		passes++;
		took = ktime_get_ns() - began;
	} while (took < least && !signal_pending(current));
	decompress_ps = div64_u64(took * 1000, passes * count);
	return 0;
}

static ssize_t run_write(struct file *file, const char __user *from, size_t length, loff_t *at)
{
	unsigned long milliseconds;
	char text[64], name[32];
	int ret = -ENOENT;
	size_t i;

	if (length >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, length))
		return -EFAULT;
	text[length] = 0;
	if (sscanf(text, "%31s %lu", name, &milliseconds) != 2)
		return -EINVAL;
	mutex_lock(&lock);
	for (i = 0; i < ARRAY_SIZE(algorithms); i++) {
		if (strcmp(algorithms[i].name, name))
			continue;
		ret = -ENODATA;
		if (!count)
			break;
		packed = vmalloc(count * ROOM);
		sizes = vcalloc(count, sizeof(*sizes));
		ret = packed && sizes ? algorithms[i].prepare() : -ENOMEM;
		if (!ret)
			ret = measure(&algorithms[i], milliseconds * NSEC_PER_MSEC);
		vfree(packed);
		vfree(sizes);
		vfree(scratch);
		vfree(more_scratch);
		packed = NULL;
		sizes = NULL;
		scratch = NULL;
		more_scratch = NULL;
		break;
	}
	mutex_unlock(&lock);
	return ret ?: length;
}

static ssize_t run_read(struct file *file, char __user *to, size_t length, loff_t *at)
{
	char text[96];
	int n;

	mutex_lock(&lock);
	n = scnprintf(text, sizeof(text), "%llu %llu %llu\n", compress_ps, decompress_ps,
		      mean_size);
	mutex_unlock(&lock);
	return simple_read_from_buffer(to, length, at, text, n);
}

/* Whole pages, in their order, from the first one on. */
static ssize_t pages_write(struct file *file, const char __user *from, size_t length,
			   loff_t *at)
{
	ssize_t ret = length;

	if (length != PAGE_SIZE || *at < 0 || *at % PAGE_SIZE || *at / PAGE_SIZE >= MAX_PAGES)
		return -EINVAL;
	mutex_lock(&lock);
	if (copy_from_user(pages + *at, from, PAGE_SIZE))
		ret = -EFAULT;
	else
		count = *at / PAGE_SIZE + 1;
	mutex_unlock(&lock);
	if (ret > 0)
		*at += length;
	return ret;
}

static const struct file_operations run_fops = {
	.owner = THIS_MODULE,
	.read = run_read,
	.write = run_write,
};

static const struct file_operations pages_fops = {
	.owner = THIS_MODULE,
	.write = pages_write,
};

static int __init floor_init(void)
{
	pages = vmalloc((size_t)MAX_PAGES * PAGE_SIZE);
	out = vmalloc(PAGE_SIZE);
	if (!pages || !out) {
		vfree(pages);
		vfree(out);
		return -ENOMEM;
	}
	dir = debugfs_create_dir("zram_floor", NULL);
	debugfs_create_file("pages", 0200, dir, NULL, &pages_fops);
	debugfs_create_file("run", 0600, dir, NULL, &run_fops);
	return 0;
}

static void __exit floor_exit(void)
{
	debugfs_remove_recursive(dir);
	vfree(pages);
	vfree(out);
}

module_init(floor_init);
module_exit(floor_exit);
MODULE_DESCRIPTION("How long the kernel's compressors take for a page");
MODULE_LICENSE("GPL");
