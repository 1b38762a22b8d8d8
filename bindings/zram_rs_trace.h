/* SPDX-License-Identifier: GPL-2.0 */
/* The tracepoints of the driver. */

#undef TRACE_SYSTEM
#define TRACE_SYSTEM zram_rs

#if !defined(_ZRAM_RS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _ZRAM_RS_TRACE_H

#include <linux/types.h>
#include <linux/kdev_t.h>
#include <linux/tracepoint.h>

DECLARE_EVENT_CLASS(zram_rs_slot,
	TP_PROTO(unsigned int dev, unsigned long index, unsigned int size),
	TP_ARGS(dev, index, size),
	TP_STRUCT__entry(
		__field(unsigned int, dev)
		__field(unsigned long, index)
		__field(unsigned int, size)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->index = index;
		__entry->size = size;
	),
	TP_printk("%u,%u index=%lu size=%u", MAJOR(__entry->dev), MINOR(__entry->dev),
		  __entry->index, __entry->size)
);

/* A page was written to memory, where it takes @size bytes. */
DEFINE_EVENT(zram_rs_slot, zram_slot_write,
	TP_PROTO(unsigned int dev, unsigned long index, unsigned int size),
	TP_ARGS(dev, index, size)
);

/* A page was read from memory, where it takes @size bytes. */
DEFINE_EVENT(zram_rs_slot, zram_slot_read,
	TP_PROTO(unsigned int dev, unsigned long index, unsigned int size),
	TP_ARGS(dev, index, size)
);

/* A page that took @size bytes of memory is in @block of the backing device now. */
TRACE_EVENT(zram_slot_writeback,
	TP_PROTO(unsigned int dev, unsigned long index, unsigned long block, unsigned int size),
	TP_ARGS(dev, index, block, size),
	TP_STRUCT__entry(
		__field(unsigned int, dev)
		__field(unsigned long, index)
		__field(unsigned long, block)
		__field(unsigned int, size)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->index = index;
		__entry->block = block;
		__entry->size = size;
	),
	TP_printk("%u,%u index=%lu block=%lu size=%u", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->index, __entry->block, __entry->size)
);

/* The read of a page from @block of the backing device ended with @error, 0 for none. */
TRACE_EVENT(zram_slot_readback,
	TP_PROTO(unsigned int dev, unsigned long index, unsigned long block, int error),
	TP_ARGS(dev, index, block, error),
	TP_STRUCT__entry(
		__field(unsigned int, dev)
		__field(unsigned long, index)
		__field(unsigned long, block)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->index = index;
		__entry->block = block;
		__entry->error = error;
	),
	TP_printk("%u,%u index=%lu block=%lu error=%d", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->index, __entry->block, __entry->error)
);

/* What zram_turn_begin and zram_turn_end call @kind: enum Kind in turn.rs. */
#define ZRAM_RS_TURN_KINDS		\
	{ 0, "writeback" },		\
	{ 1, "recompress" },		\
	{ 2, "compact" },		\
	{ 3, "auto_writeback" },	\
	{ 4, "auto_recompress" }

/* Post-processing of a disk begins. */
TRACE_EVENT(zram_turn_begin,
	TP_PROTO(unsigned int dev, unsigned int kind),
	TP_ARGS(dev, kind),
	TP_STRUCT__entry(
		__field(unsigned int, dev)
		__field(unsigned int, kind)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->kind = kind;
	),
	TP_printk("%u,%u kind=%s", MAJOR(__entry->dev), MINOR(__entry->dev),
		  __print_symbolic(__entry->kind, ZRAM_RS_TURN_KINDS))
);

/*
 * Post-processing of a disk ended with @error, 0 for none. It wrote @written blocks of the backing
 * device.
 */
TRACE_EVENT(zram_turn_end,
	TP_PROTO(unsigned int dev, unsigned int kind, unsigned long written, int error),
	TP_ARGS(dev, kind, written, error),
	TP_STRUCT__entry(
		__field(unsigned int, dev)
		__field(unsigned int, kind)
		__field(unsigned long, written)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->kind = kind;
		__entry->written = written;
		__entry->error = error;
	),
	TP_printk("%u,%u kind=%s written=%lu error=%d", MAJOR(__entry->dev),
		  MINOR(__entry->dev),
		  __print_symbolic(__entry->kind, ZRAM_RS_TURN_KINDS),
		  __entry->written, __entry->error)
);

#endif /* _ZRAM_RS_TRACE_H */

/* The rest must be outside of the include guard. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE zram_rs_trace
#include <trace/define_trace.h>
