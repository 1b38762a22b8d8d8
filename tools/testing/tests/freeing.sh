#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Ranges that are so long that several processors free them: a discard of a whole disk, one that leaves pages at both
# ends, one beside writes and reads of the same pages, a reset, and a removal. The counters are exact afterwards, and no
# memory is left.
#
# Guest: uml-debug group=basic
# Guest: stock group=basic memory=2G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

# Each task has at least 8192 slots.
PAGES=24576

full_disk() {
	disk $((PAGES * PAGE)) lz4
	does open "$dev" direct
	does bulk 0 $((PAGES / 2)) mixed 1
	# The rest takes less time.
	does bulk $((PAGES / 2)) $((PAGES / 2)) same 2
	mm_stat
	is "orig_data_size" "$orig" $((PAGES * PAGE))
}

# empty: the disk must have no pages.
empty() {
	mm_stat
	is "orig_data_size $1" "$orig" 0
	is "compr_data_size $1" "$compr" 0
	is "same_pages $1" "$same" 0
	is "huge_pages $1" "$huge" 0
	eventually 5 pool_is_empty || fail "$used bytes are in use $1"
}

test_discard_of_all() {
	full_disk
	does discard 0 $((PAGES * PAGE))
	io_stat
	is "notify_free" "$notify_free" $PAGES
	empty "after a discard of all"
	does bulkcheck 0 64 zero 0
	# What is empty is discarded, too.
	does discard 0 $((PAGES * PAGE))
	io_stat
	is "notify_free" "$notify_free" $((2 * PAGES))
	empty "after a discard of empty pages"
}

test_pages_at_the_ends_stay() {
	local left
	full_disk
	does discard $((5 * PAGE)) $(((PAGES - 12) * PAGE))
	mm_stat
	left=$((orig / PAGE))
	is "pages that are left" "$left" 12
	does bulkcheck 0 5 mixed 1
	does bulkcheck $((PAGES - 7)) 7 same 2
	does bulkcheck 5 64 zero 0
	does discard 0 $((PAGES * PAGE))
	empty "after a discard of the rest"
}

test_discard_beside_writes() {
	local pids=() round
	full_disk
	for round in 1 2 3; do
		dd if="$dev" of=/dev/null bs=1M iflag=direct status=none &
		pids+=($!)
		dd if=/dev/urandom of="$dev" bs=64k count=40 seek=$((round * 20)) oflag=direct status=none &
		pids+=($!)
		does discard 0 $((PAGES * PAGE))
	done
	wait_all "${pids[@]}"
	does discard 0 $((PAGES * PAGE))
	empty "after discards beside writes"
	no_failed_io
}

test_reset_and_removal() {
	full_disk
	does close
	stores "$sys/reset" 1
	empty "after a reset"
	full_disk
	does close
	remove
	[ ! -e "$sys" ] || fail "$sys is still there"
}

run_tests
