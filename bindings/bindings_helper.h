/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Input of bindgen: the headers of the kernel APIs that `kernel::bindings` lacks.
 * The Makefile lists the items for which bindgen generates bindings.
 */

#include <linux/atomic.h>
#include <linux/mm_types.h>
#include <linux/blkdev.h>
#include <linux/gfp.h>
#include <linux/kernel_read_file.h>
#include <linux/lz4.h>
#include <linux/lzo.h>
#include <linux/sw842.h>
#include <linux/vmalloc.h>
#include <linux/zlib.h>
#include <linux/zsmalloc.h>
#include <linux/zstd.h>

#include "helpers.h"
#include "zram_rs_trace.h"

/* bindgen cannot evaluate macros with casts. */
const blk_status_t ZRAM_RS_BLK_STS_IOERR = BLK_STS_IOERR;
const blk_status_t ZRAM_RS_BLK_STS_NOSPC = BLK_STS_NOSPC;
const blk_status_t ZRAM_RS_BLK_STS_NOTSUPP = BLK_STS_NOTSUPP;
const blk_opf_t ZRAM_RS_REQ_INHERITED = REQ_SYNC | REQ_META | REQ_PRIO;
const blk_features_t ZRAM_RS_BLK_FEAT_STABLE_WRITES = BLK_FEAT_STABLE_WRITES;
const blk_features_t ZRAM_RS_BLK_FEAT_SYNCHRONOUS = BLK_FEAT_SYNCHRONOUS;
const gfp_t ZRAM_RS_GFP_OBJECT = __GFP_HIGHMEM | __GFP_MOVABLE;
const gfp_t ZRAM_RS_GFP_KERNEL = GFP_KERNEL | __GFP_NOWARN;
const gfp_t ZRAM_RS_GFP_NOIO = GFP_NOIO | __GFP_NOWARN;
const gfp_t ZRAM_RS_GFP_NOWAIT = GFP_NOWAIT | __GFP_NOWARN;
const gfp_t ZRAM_RS_GFP_RETRY_MAYFAIL = GFP_KERNEL | __GFP_NOWARN | __GFP_RETRY_MAYFAIL;
const gfp_t ZRAM_RS_GFP_ZERO = __GFP_ZERO;
const size_t ZRAM_RS_LZO_MEM_COMPRESS = LZO1X_MEM_COMPRESS;
const size_t ZRAM_RS_LZO_WORST = lzo1x_worst_compress(PAGE_SIZE);
const int ZRAM_RS_LZO_OK = LZO_E_OK;
const int ZRAM_RS_LZO_OVERRUN = LZO_E_OUTPUT_OVERRUN;
