#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The file bd_stat, together with mm_stat: the exact counters, and the memory in use, after writeback, reads and
# discards.
#
# Guest: uml-debug group=writeback

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

test_counters_and_memory() {
	local compressed before
	for compressed in 0 1; do
		nullb wb$compressed 4
		backed "$nullb" 4M lz4 $compressed
		does open "$dev" direct
		does bulk 0 256 text 1
		mm_stat
		before=$compr
		does bulk 256 256 random 1
		does bulk 512 256 same 1
		mm_stat
		is "compr_data_size" "$compr" $((before + 256 * PAGE))
		at_least "mem_used_total" "$used" $((256 * PAGE))
		writes_back huge
		counts "after huge" 256 0 256
		mm_stat
		is "orig_data_size after huge" "$orig" $((768 * PAGE))
		is "compr_data_size after huge" "$compr" "$before"
		is "huge_pages after huge" "$huge" 0
		is "huge_pages_since after huge" "$huge_since" 256
		is "same_pages after huge" "$same" 256
		[ "$used" -le $((before + 64 * PAGE)) ] || fail "mem_used_total is $used after huge"
		# A second request finds no page.
		writes_back huge
		counts "after huge twice" 256 0 256
		writes_back page_indexes=0-1023
		counts "after everything" 512 0 512
		mm_stat
		is "orig_data_size after everything" "$orig" $((768 * PAGE))
		is "compr_data_size after everything" "$compr" 0
		is "same_pages after everything" "$same" 256
		eventually 5 pool_is_empty || fail "$used bytes are in use after everything was written back"
		# Reads are counted by page, and leave the page on the backing device.
		does bulkcheck 0 256 text 1
		counts "after 256 reads" 512 256 512
		does bulkcheck 256 256 random 1
		counts "after 512 reads" 512 512 512
		does bulkcheck 512 256 same 1
		does bulkcheck 768 256 zero 0
		counts "after reads of what is not there" 512 512 512
		mm_stat
		is "compr_data_size after reads" "$compr" 0
		pool_is_empty || fail "$used bytes are in use after reads"
		no_failed_io
		does discard 0 $((4 << 20))
		bd_stat
		is "bd_count after discard" "$bd_count" 0
		mm_stat
		is "orig_data_size after discard" "$orig" 0
		does close
	done
}

run_tests
