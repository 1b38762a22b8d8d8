# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Shared by the tests that run pagerace, which uses a disk from many tasks at once. Sourced after writeback.sh.
#
# shellcheck disable=SC2034,SC2154 # variables for the tests, and from test.sh

# The size of each backing device, and the number of pages in use. The difference is more than all readers can pin and a
# request can reserve, and small enough that all blocks are reused.
mib=3
blocks=$((mib * 256))
pages=$((blocks - 100))

# result NAME: prints the number of that name in $report, the last line of pagerace.
result() {
	[[ $report =~ \ $1=([0-9]+) ]] && echo "${BASH_REMATCH[1]}"
}

discard_all() {
	does discard 0 $((2 * blocks * PAGE))
	bd_stat
	is "bd_count of $dev $1" "$bd_count" 0
	[ "$DRIVER" != zram_rs ] || reads bd_pack_stat $'       0        0        0        0\n'
	eventually 5 pool_is_empty || fail "$dev uses $used bytes $1"
	is "orig_data_size of $dev $1" "$orig" 0
	is "compr_data_size of $dev $1" "$compr" 0
	is "same_pages of $dev $1" "$same" 0
	is "huge_pages of $dev $1" "$huge" 0
}

# Fills the backing device: no block was lost, and none is there twice.
use_every_block() {
	stores "$sys/writeback_limit_enable" 0
	stores "$sys/writeback_batch_size" 32
	does bulk 0 $((blocks + 8)) random 1
	stores "$sys/writeback" page_indexes=0-$((blocks - 1))
	bd_stat
	is "bd_count of $dev when it is full" "$bd_count" $blocks
	mm_stat
	is "compr_data_size of $dev when the backing device is full" "$compr" $((8 * PAGE))
	stores "$sys/writeback" page_index=$((blocks + 7)) ENOSPC
	bd_stat
	is "bd_count of $dev after that" "$bd_count" $blocks
	does bulkcheck 0 $((blocks + 8)) random 1
}
