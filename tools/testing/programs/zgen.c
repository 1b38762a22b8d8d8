// SPDX-License-Identifier: GPL-2.0
/*
 * zgen: writes random scripts for zscript.
 *
 *   usage: zgen [-w WORD]... [-a "ALGORITHM..."] SEED COUNT STEPS
 *
 * Writes COUNT sections, "=== seed N", with seeds from SEED on, of STEPS steps each. The same seed
 * and number of steps always give the same section, whatever COUNT is. -w leaves out a feature that
 * a driver lacks: multi (recompression), params (algorithm_params), strict (parameters, ages and
 * sizes that only C zram of Linux 7.3 refuses); or limit (limits of memory), order (what shows the
 * order in which pages are written back: limits of writeback, small backing devices, and disks as
 * backing devices), or blocks (the same, because packed pages take fewer blocks; pages on the
 * device are thinned out instead). -a gives the available algorithms.
 *
 * Most sections set up devices, write data, and then post-process, to reach deep paths; any step
 * may also be nonsense. The generator guesses the resulting state and does not know it: a step that
 * fails is as good as any, if it fails in the same way on both drivers.
 *
 * It avoids steps whose results depend on time or chance, and those that differ on purpose (see
 * Documentation/differences.rst; the comments here name the entries).
 */
#define _GNU_SOURCE
#include <stdarg.h>

#include "common.h"

#define DEVICES 3
#define PRIORITIES 4

struct device {
	int exists, ready, open;
	unsigned int pages;
	/* Index into backings, or -1. */
	int backing;
	/* Index into algorithms, or -1. */
	int algorithm[PRIORITIES];
	/* Parameters that make disksize fail. */
	int spoilt;
};

/* By number: whether pages may have been recompressed that are still there. */
static int recompressed[DEVICES];

/* Whether a device may have zram0 behind it, which cannot be reset then. */
static int claimed;

static const char * const backings[] = {
	"/dev/zs0", "/dev/loop40", "/dev/loop41", "/dev/loop42"
};

static const char * const all_algorithms[] = {
	"lzo-rle", "lzo", "lz4", "lz4hc", "zstd", "deflate", "842"
};

static const char * const *algorithms = all_algorithms;
static unsigned int algorithm_count = ARRAY_SIZE(all_algorithms);
static int no_multi, no_params, no_strict, no_limit, no_order, no_blocks;

static __u64 state;
static int steps_left;
static struct device devices[DEVICES];
static struct device *dev;
static int number;

static unsigned int below(unsigned int n)
{
	__u64 x = splitmix(state);

	state += GOLDEN;
	return n ? (x >> 16) % n : 0;
}

static int percent(unsigned int chance)
{
	return below(100) < chance;
}

#define ONE_OF(...) one_of((const char * const []){ __VA_ARGS__, NULL })

static const char *one_of(const char * const *what)
{
	unsigned int n = 0;

	while (what[n])
		n++;
	return what[below(n)];
}

static void emit(const char *format, ...)
{
	va_list args;

	if (steps_left-- <= 0)
		return;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static void forget(struct device *device)
{
	int i;

	memset(device, 0, sizeof(*device));
	device->backing = -1;
	for (i = 0; i < PRIORITIES; i++)
		device->algorithm[i] = -1;
}

/* A device that is not open was removed or reset. */
static void emptied(int which)
{
	forget(&devices[which]);
	if (which || !claimed)
		recompressed[which] = 0;
}

/* --- Adding, setting up, removing --------------------------------------------------------- */

static void add_device(void)
{
	int i;

	for (i = 0; i < DEVICES && devices[i].exists; i++)
		;
	if (i == DEVICES)
		return;
	emit("hot_add");
	forget(&devices[i]);
	devices[i].exists = 1;
}

static void remove_device(int which)
{
	emit("hot_remove %d", which);
	if (which >= 0 && which < DEVICES && !devices[which].open)
		emptied(which);
}

static void reset(void)
{
	if (percent(4)) {
		emit("set %d reset %s", number, ONE_OF("0", "x", "65536"));
		return;
	}
	emit("set %d reset %s", number, percent(97) ? "1" : "2");
	if (!dev->open) {
		emptied(number);
		dev->exists = 1;
	}
}

static const char *any_algorithm(int *index)
{
	*index = below(algorithm_count);
	return algorithms[*index];
}

static void open_or_close(void)
{
	if (dev->open) {
		emit("close %d", number);
		dev->open = 0;
	} else {
		emit("open %d %d %s", number, number, ONE_OF("r", "r w", "r excl", "w"));
		dev->open = 1;
	}
}

/* A reset that works. */
static void start_anew(void)
{
	if (dev->open)
		open_or_close();
	emit("set %d reset 1", number);
	emptied(number);
	dev->exists = 1;
}

static void comp_algorithm(void)
{
	int algorithm;
	const char *name = any_algorithm(&algorithm);

	if (percent(6)) {
		emit("set %d comp_algorithm %s", number, ONE_OF("gzip", "lz", "lz4h", "\"\"",
								"LZ4", "\"lz4 \""));
		return;
	}
	emit("%s %d comp_algorithm %s", percent(90) ? "set" : "raw", number, name);
	if (!dev->ready) {
		dev->algorithm[0] = algorithm;
		dev->spoilt &= ~1;
	}
}

static void recomp_algorithm(void)
{
	int algorithm, priority = 1 + below(3);
	const char *name = any_algorithm(&algorithm);

	if (no_multi)
		return;
	if (percent(8)) {
		emit("set %d recomp_algorithm %s", number,
		     ONE_OF("algo=gzip", "priority=1", "algo=lz4 priority=0",
			    "algo=zstd priority=4", "algo=zstd priority=x", "zstd", "algo=",
			    "\"\"", "priority=2 algo=", "algo=zstd priority=-1", "foo=bar"));
		return;
	}
	if (priority == 1 && percent(50))
		emit("set %d recomp_algorithm algo=%s", number, name);
	else if (percent(70))
		emit("set %d recomp_algorithm algo=%s priority=%d", number, name, priority);
	else
		emit("set %d recomp_algorithm priority=%d algo=%s", number, priority, name);
	if (!dev->ready) {
		dev->algorithm[priority] = algorithm;
		dev->spoilt &= ~(1 << priority);
	}
}

/* Parameters that fit, or do not, an algorithm that is (perhaps) configured. */
static void algorithm_params(void)
{
	int priority = below(PRIORITIES), good = 1, algorithm;
	const char *name, *text = "level=1";
	char buffer[64];

	if (no_params)
		return;
	if (percent(15)) {
		emit("set %d algorithm_params %s", number,
		     ONE_OF("level", "level=", "level=x", "algo=gzip level=1",
			    "priority=4 level=1", "priority=-1", "priority=3 level=2 algo=nothing",
			    "dict=/nowhere", "dict=/tmp", "dict=$dir/empty", "deflate.winbits=x",
			    "\"\"", "foo=bar", "level=99999999999"));
		/* What it sets, if anything, is not tracked: start anew. */
		if (!dev->ready)
			start_anew();
		return;
	}
	if (dev->algorithm[priority] < 0)
		priority = 0;
	algorithm = dev->algorithm[priority];
	name = algorithm < 0 ? "" : algorithms[algorithm];
	if (!strcmp(name, "zstd")) {
		text = ONE_OF("level=1", "level=3", "level=9", "level=-5", "dict=$dir/dict",
			      "level=5 dict=$dir/small", "dict=$dir/big level=2", "level=23");
		good = strcmp(text, "level=23");
	} else if (!strcmp(name, "lz4")) {
		text = ONE_OF("level=1", "level=8", "dict=$dir/dict", "level=3 dict=$dir/small",
			      "level=0", "dict=$dir/big");
		good = strcmp(text, "level=0") && strcmp(text, "dict=$dir/big");
	} else if (!strcmp(name, "lz4hc")) {
		text = ONE_OF("level=1", "level=3", "level=9", "level=16", "dict=$dir/dict",
			      "dict=$dir/small level=4", "level=0", "level=17");
		good = strcmp(text, "level=0") && strcmp(text, "level=17");
	} else if (!strcmp(name, "deflate")) {
		text = ONE_OF("level=1", "level=9", "level=6 deflate.winbits=-12", "level=-1",
			      "deflate.winbits=15", "level=10", "deflate.winbits=8",
			      "dict=$dir/dict");
		good = strcmp(text, "level=10") && strcmp(text, "deflate.winbits=8") &&
		       strcmp(text, "dict=$dir/dict");
	} else {
		text = ONE_OF("level=1", "dict=$dir/dict", "deflate.winbits=-12");
		good = *text == 'd' && text[1] == 'e';
	}
	if (*name && percent(30)) {
		/* The first of this name is meant. */
		for (priority = 0; dev->algorithm[priority] != algorithm; priority++)
			;
		emit("set %d algorithm_params algo=%s %s", number, name, text);
	} else {
		snprintf(buffer, sizeof(buffer), "priority=%d %s", priority, text);
		emit("set %d algorithm_params %s", number, priority || percent(50) ? buffer : text);
	}
	if (!dev->ready) {
		dev->spoilt &= ~(1 << priority);
		dev->spoilt |= !good << priority;
	}
}

static void backing_dev(void)
{
	int which = below(ARRAY_SIZE(backings)), i;
	const char *name;

	/* Only the first has a block for each page of any disk. */
	if (no_order)
		which = 0;
	if (percent(8) && !no_order) {
		name = ONE_OF("/dev/nowhere", "$dir/dict", "$dir", "\"\"", "/dev/null",
			      "/dev/zram0", "none", "\"/dev/loop40 \"", "\"/dev/loop40\\0x\"");
		emit("set %d backing_dev %s", number, name);
		claimed |= !strcmp(name, "/dev/zram0");
		/* That one and the last one may succeed. */
		dev->backing = -1;
		return;
	}
	/* backing-device-later: zscript skips the step if the device is ready and has none. */
	emit("%s %d backing_dev %s", percent(90) ? "set" : "raw", number, backings[which]);
	if (dev->ready)
		return;
	for (i = 0; i < DEVICES; i++)
		if (devices[i].backing == which)
			return;
	dev->backing = which;
}

static void disksize(void)
{
	unsigned int pages = percent(15) ? 1 + below(16) : percent(60) ? 64 : 16 + below(240);
	const char *text;

	if (percent(4)) {
		text = ONE_OF("0", "x", "\"\"", "-4096", "K", "18446744073709551615");
		if (!no_strict || strcmp(text, "18446744073709551615"))
			emit("set %d disksize %s", number, text);
		return;
	}
	if (percent(10))
		emit("set %d disksize %u", number, pages * 4096 - below(4096));
	else if (percent(30))
		emit("set %d disksize %uK", number, pages * 4);
	else
		emit("set %d disksize %u", number, pages * 4096);
	if (dev->ready)
		return;
	/* config-kept: what is set when this fails is not the same. */
	if (dev->spoilt) {
		start_anew();
		return;
	}
	dev->ready = 1;
	dev->pages = pages;
}

/* A setting that is meant for a device without a size. */
static void configure(void)
{
	switch (below(12)) {
	case 0 ... 1:
		comp_algorithm();
		break;
	case 2 ... 4:
		recomp_algorithm();
		break;
	case 5 ... 6:
		algorithm_params();
		break;
	case 7 ... 9:
		backing_dev();
		break;
	default:
		emit("set %d compressed_writeback %s", number,
		     percent(92) ? ONE_OF("0", "1", "1", "y",
					  "off") : ONE_OF("2", "x", "\"\"", "-1"));
	}
}

/* --- Settings at any time ----------------------------------------------------------------- */

static void limits(void)
{
	const char *what;

	switch (below(9)) {
	case 0 ... 1:
		if (percent(15))
			emit("set %d mem_limit %s", number, no_limit ? "x" :
			     ONE_OF("x", "\"\"", "-1", "0x10000", "18446744073709551615", "1Z"));
		else if (percent(40) || no_limit)
			emit("set %d mem_limit 0", number);
		else
			emit("set %d mem_limit %u%s", number, 4 * (1 + below(60)), "K");
		break;
	case 2:
		emit("set %d mem_used_max %s", number,
		     percent(80) ? "0" : ONE_OF("1", "x", "\"\"", "00", "0x0", "-0"));
		break;
	case 3 ... 4:
		if (percent(10))
			emit("set %d writeback_limit %s", number,
			     ONE_OF("x", "\"\"", "-1", "18446744073709551616"));
		else
			emit("set %d writeback_limit %u", number, below(percent(50) ? 8 : 40));
		emit("get %d writeback_limit", number);
		break;
	case 5 ... 6:
		emit("set %d writeback_limit_enable %s", number, no_order ? "0" :
		     percent(90) ? ONE_OF("0", "1", "1", "5") : ONE_OF("y", "x", "\"\"", "-1"));
		break;
	case 7:
		if (percent(15))
			emit("set %d writeback_batch_size %s", number, ONE_OF("0", "x", "\"\"",
									      "-1", "4294967296"));
		else
			emit("set %d writeback_batch_size %u", number,
			     1 + below(percent(50) ? 4 : 64));
		break;
	default:
		/* recomp-algorithm-gap: so not its bytes. */
		if (percent(20) && !no_multi) {
			emit("words %d recomp_algorithm", number);
			break;
		}
		what = ONE_OF("disksize", "initstate", "comp_algorithm", "backing_dev",
			      "writeback_limit", "writeback_limit_enable",
			      "writeback_batch_size", "compressed_writeback", "mm_stat",
			      "io_stat", "bd_stat", "debug_stat");
		if (!no_multi || strcmp(what, "comp_algorithm"))
			emit("get %d %s", number, what);
	}
}

/* --- Data --------------------------------------------------------------------------------- */

/* A range of pages, mostly on the device. */
static void range(unsigned int *first, unsigned int *count)
{
	unsigned int pages = dev->pages ? dev->pages : 16;

	*first = below(pages);
	*count = 1 + below(percent(50) ? 8 : pages - *first);
	if (*first + *count > pages && percent(95))
		*count = pages - *first;
}

static void write_data(void)
{
	unsigned int first, count;

	range(&first, &count);
	emit("write %d %u %u %s %u%s%s", number, first, count,
	     ONE_OF("mixed", "mixed", "mixed", "random", "random", "text", "hex", "hex", "same",
		    "zero", "one", "noise10", "noise30", "noise60", "noise75", "noise80",
		    "noise85"),
	     below(percent(50) ? 4 : 1000), percent(60) ? " direct" : "",
	     percent(30) ? " single" : "");
}

static void read_data(void)
{
	unsigned int first, count;

	range(&first, &count);
	if (percent(30)) {
		first = 0;
		count = dev->pages ? dev->pages : 4;
	}
	emit("read %d %u %u%s%s", number, first, count, percent(70) ? " direct" : "",
	     percent(30) ? " single" : "");
}

static void discard(void)
{
	unsigned int first, count;

	range(&first, &count);
	if (percent(10))
		emit("%s %d %u %u", ONE_OF("rawdiscard",
					   "rawzeroout"), number, below(20000), below(20000));
	else
		emit("%s %d %u %u", ONE_OF("discard", "discard", "discard", "zeroout", "punch",
					   "zerorange"),
		     number, first, count);
}

/* --- Post-processing ---------------------------------------------------------------------- */

static void idle(void)
{
	const char *text;

	if (percent(70)) {
		emit("set %d idle all", number);
	} else if (percent(30)) {
		text = ONE_OF("x", "\"\"", "ALL", "-1", "4294967295", "4294967296", "\"all \"",
			      "allx", "1000000000");
		if (!no_strict || (strcmp(text, "4294967295") && strcmp(text, "1000000000")))
			emit("set %d idle %s", number, text);
	} else if (percent(50) && !recompressed[number]) {
		/* access-time-kept: only recompressed pages are that old, and only in C. */
		emit("set %d idle $uptime-1", number);
	} else if (percent(20)) {
		emit("tick");
		emit("set %d idle 0", number);
	}
}

static void writeback(void)
{
	unsigned int pages = dev->pages ? dev->pages : 16, a, b, c, d;

	/* Rarely without anything to write to. */
	if (dev->ready && dev->backing < 0 && percent(90)) {
		write_data();
		return;
	}
	/* duplicate-pages: no page is named twice, and no type along with pages. */
	switch (below(20)) {
	case 0 ... 4:
		emit("set %d writeback %s%s", number, percent(50) ? "type=" : "",
		     ONE_OF("idle", "huge", "huge_idle", "incompressible"));
		break;
	case 5 ... 8:
		emit("set %d writeback %sidle", number, percent(50) ? "type=" : "");
		break;
	case 9 ... 11:
		emit("set %d writeback %shuge", number, percent(50) ? "type=" : "");
		break;
	case 12 ... 13:
		emit("set %d writeback page_index=%u", number,
		     below(pages + (percent(10) ? 5 : 0)));
		break;
	case 14 ... 16:
		a = below(pages);
		b = a + below(pages - a);
		emit("set %d writeback page_indexes=%u-%u", number, a, b);
		break;
	case 17 ... 18:
		a = below(pages);
		b = a + below((pages - a + 1) / 2);
		c = b + 1 + below(4);
		d = c < pages ? c + below(pages - c) : c;
		if (percent(30))
			emit("set %d writeback page_index=%u page_indexes=%u-%u", number, a, a + 1,
			     d);
		else
			emit("set %d writeback page_indexes=%u-%u page_indexes=%u-%u", number, a, b,
			     c, d);
		break;
	default:
		emit("set %d writeback %s", number,
		     ONE_OF("\"\"", "\" \"", "none", "type=", "type=foo", "page_index=",
			    "page_index=x", "page_index=100000", "page_indexes=5",
			    "page_indexes=5-", "page_indexes=-5", "page_indexes=5-3",
			    "page_indexes=0-100000", "foo=bar", "foo=bar idle", "idle huge",
			    "idlex", "IDLE", "type=idle page_index=x", "page_index=0x1",
			    "page_index=-1", "page_index=0 bogus",
			    "page_index=1 page_index=100000"));
	}
}

/* Writes all pages back, and then discards most of them, so that blocks become sparse. */
static void thin_out(void)
{
	unsigned int step = 3 + below(3), first = below(step), i;
	char places[256] = "";

	for (i = first; i + step <= dev->pages && i < first + 16 * step; i += step)
		sprintf(places + strlen(places), " %u", i);
	if (!*places)
		return;
	emit("write %d 0 %u %s %u direct", number, dev->pages, ONE_OF("mixed", "hex", "noise30"),
	     below(1000));
	emit("set %d idle all", number);
	emit("set %d writeback idle", number);
	emit("each%s : discard %d %% %u", places, number, step - 1);
	emit("read %d 0 %u direct", number, dev->pages);
}

static void recompress(void)
{
	char text[256] = "";
	int algorithm, i;

	if (no_multi)
		return;
	for (i = 1; i < PRIORITIES && dev->algorithm[i] < 0; i++)
		;
	/* Rarely without anything to compress with. */
	if (dev->ready && i == PRIORITIES && percent(90)) {
		write_data();
		return;
	}
	if (percent(10)) {
		emit("set %d recompress %s", number,
		     ONE_OF("type=foo", "type=", "idle", "threshold=x", "threshold=100000",
			    "threshold=-1", "max_pages=x", "max_pages=-1", "algo=gzip", "algo=",
			    "priority=0", "priority=4", "priority=x", "foo=bar x",
			    "type=idle type=foo", "priority=2 algo=nothing", "threshold=3264",
			    "threshold=3265"));
		recompressed[number] = 1;
		return;
	}
	if (percent(60))
		strcat(text, ONE_OF(" type=idle", " type=huge", " type=huge_idle"));
	if (percent(25))
		sprintf(text + strlen(text), " threshold=%u", below(percent(80) ? 3000 : 3400));
	if (percent(30))
		sprintf(text + strlen(text), " max_pages=%u", below(20));
	if (i == PRIORITIES || percent(30))
		for (i = PRIORITIES - 1; i > 1 && dev->algorithm[i] < 0; i--)
			;
	/* Of several, any may be meant; without these words it is the first. */
	if (percent(i > 1 ? 80 : 40))
		sprintf(text + strlen(text), " priority=%d",
			percent(80) ? i : (int)below(PRIORITIES));
	else if (percent(40))
		sprintf(text + strlen(text), " algo=%s", dev->algorithm[i] >= 0 && percent(80) ?
			algorithms[dev->algorithm[i]] : any_algorithm(&algorithm));
	emit("set %d recompress%s", number, *text ? text : " foo=bar");
	recompressed[number] = 1;
}

static void post_process(void)
{
	switch (below(10)) {
	case 0 ... 1:
		emit("set %d idle all", number);
		break;
	case 2:
		idle();
		break;
	case 3 ... 5:
		writeback();
		break;
	case 6 ... 8:
		recompress();
		break;
	default:
		emit("set %d compact %s", number, ONE_OF("1", "0", "x", "\"\""));
	}
}

/* --- Sections ----------------------------------------------------------------------------- */

/* A value for which no attribute has a use, or one of another attribute. */
static void nonsense(void)
{
	static const char * const attributes[] = {
		"disksize", "initstate", "reset", "compact", "mem_limit", "mem_used_max", "idle",
		"comp_algorithm", "bd_stat", "backing_dev", "writeback", "writeback_limit",
		"writeback_limit_enable", "compressed_writeback", "io_stat", "mm_stat", "debug_stat",
	};
	const char *attribute = attributes[below(ARRAY_SIZE(attributes))], *value;

	value = ONE_OF("\"\"", "\"\\0\"", "\"\\n\"", "\"\\n\\n\"", "\" \"", "-1", "-", "+", "x",
		       "0x", "=", "a=", "=a", "a=b", "\"\\\"\"", "\"\\xff\\xfe\"", "\"a\"*127",
		       "\"a\"*128", "\"a\"*3000", "\"/\"*4095", "\"lzo\\0x\"", "\" lzo\"",
		       "\"type=\\\"huge\\\"\"", "\"\\\"type=huge\"", "\" type=huge\"",
		       "type=huge\\n", "1e3", "99999999999999999999", "'1'");
	/* Which algorithms there are may not be the same where C zram was built with few. */
	if (no_multi && !strcmp(attribute, "comp_algorithm")) {
		attribute = "disksize";
		value = "x";
	}
	/* For a disk of exabytes, C has the allocator complain in the log. */
	if (percent(20) || (!strcmp(attribute, "disksize") && strpbrk(value, "19"))) {
		emit("get %d %s", number, attribute);
		return;
	}
	emit("%s %d %s %s", percent(70) ? "set" : "raw", number, attribute, value);
	/* Who knows. */
	if (!strcmp(attribute, "comp_algorithm") && !dev->ready)
		dev->algorithm[0] = -1;
}

/* What only zram_rs has: it may be set at any time, and changes nothing that C zram has, too. */
static void ours(void)
{
	switch (below(6)) {
	case 0:
		emit("ours %d event_marks %s", number,
		     ONE_OF("off", "memory=2%", "memory=90% hysteresis=3%", "budget=1 errors=1",
			    "device=10% budget=1"));
		break;
	case 1:
		/* Packed pages of a device that is short of blocks would move. */
		emit("ours %d auto_writeback %s", number,
		     percent(30) ? "off" : no_blocks ? "age=1000000 every=100000" :
		     ONE_OF("age=1000000 every=1", "age=1000000 every=1 available=0%",
			    "age=1000000 huge_age=1000000 every=1 max=4K above=0%"));
		break;
	case 2:
		emit("ours %d auto_recompress %s", number,
		     ONE_OF("off", "age=1000000 every=1",
			    "age=1000000 every=1 priority=2 threshold=100"));
		break;
	case 3:
		/* Turns begin, and find nothing that is old enough. */
		emit("sleep 1100");
		break;
	case 4:
		emit("ours %d stats latency=%u", number, below(2));
		break;
	default:
		emit("ours %d %s", number, ONE_OF("stats", "event_marks", "auto_writeback",
						  "auto_recompress", "writeback_budget"));
	}
}

static void random_step(int wild)
{
	int i;

	for (i = 0; i < DEVICES && !devices[i].exists; i++)
		;
	if (i == DEVICES) {
		add_device();
		return;
	}
	do {
		number = below(DEVICES);
		/* One device has most of the work. */
		if (percent(50))
			number = i;
	} while (!devices[number].exists && percent(98));
	dev = &devices[number];

	if (percent(wild)) {
		nonsense();
		return;
	}
	if (percent(3)) {
		add_device();
		return;
	}
	if (percent(3)) {
		ours();
		return;
	}
	if (!dev->ready) {
		if (percent(60))
			configure();
		else if (percent(20))
			limits();
		else if (percent(85))
			disksize();
		else if (percent(50))
			post_process();
		else if (percent(50))
			open_or_close();
		else
			remove_device(percent(80) ? number : (int)below(5));
		return;
	}
	if (no_blocks && dev->backing >= 0 && percent(10)) {
		thin_out();
		return;
	}
	i = below(100);
	if (i < 28)
		write_data();
	else if (i < 38)
		read_data();
	else if (i < 44)
		discard();
	else if (i < 84)
		post_process();
	else if (i < 91)
		limits();
	else if (i < 94)
		configure();
	else if (i < 95)
		disksize();
	else if (i < 97)
		open_or_close();
	else if (i < 99)
		reset();
	else
		remove_device(number);
}

static void section(__u64 seed, int steps)
{
	int i, wild;

	state = seed * 0x2545f4914f6cdd1dULL;
	claimed = 0;
	for (i = 0; i < DEVICES; i++)
		emptied(i);
	printf("=== seed %llu\n", seed);
	steps_left = steps;
	wild = percent(10) ? 40 : 3;
	add_device();
	/* In most sections one device is set up well, before chance takes over. */
	if (percent(80)) {
		number = 0;
		dev = devices;
		for (i = below(6); i > 0; i--)
			configure();
		if (dev->backing < 0 && percent(85))
			backing_dev();
		for (i = percent(75) ? 1 + below(2) : 0; i > 0; i--)
			recomp_algorithm();
		disksize();
		for (i = below(3); i >= 0; i--)
			write_data();
	}
	if (percent(40))
		add_device();
	while (steps_left > 0)
		random_step(wild);
}

int main(int argc, char **argv)
{
	static const char *given[16];
	unsigned long long seed, count;
	char *list;
	int option;

	while ((option = getopt(argc, argv, "w:a:")) != -1) {
		if (option == 'w') {
			no_multi |= !strcmp(optarg, "multi");
			no_limit |= !strcmp(optarg, "limit");
			no_strict |= !strcmp(optarg, "strict");
			no_params |= !strcmp(optarg, "params") || no_strict;
			no_blocks |= !strcmp(optarg, "blocks");
			no_order |= !strcmp(optarg, "order") || no_blocks;
		} else if (option == 'a') {
			list = strdup(optarg);
			algorithms = given;
			algorithm_count = 0;
			while (list && algorithm_count < ARRAY_SIZE(given)) {
				char *name = strsep(&list, " ");

				if (*name)
					given[algorithm_count++] = name;
			}
		} else {
			return 2;
		}
	}
	if (argc - optind != 3) {
		fprintf(stderr, "usage: zgen [-w WORD]... [-a 'ALGORITHM...'] SEED COUNT STEPS\n");
		return 2;
	}
	seed = strtoull(argv[optind], NULL, 10);
	for (count = strtoull(argv[optind + 1], NULL, 10); count; count--)
		section(seed++, atoi(argv[optind + 2]));
	return 0;
}
