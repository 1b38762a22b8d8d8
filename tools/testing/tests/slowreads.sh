#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: slowreads.sh [SECONDS]
#
# Reads pages back from a device that takes 20 ms for each read. Before the data arrives, the page is overwritten or
# discarded, so that its owner frees its block, and another page is written back: the reader must get the data of
# its own page.
#
# The backing device has few more blocks than the disk has pages, so every block is soon used again.
# Each test takes SECONDS (default: $DURATION, or 7).
#
# Guest: uml-debug group=writeback

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"
# shellcheck source=tools/testing/lib/races.sh
. "${0%/*}/../lib/races.sh"

seconds=${1:-${DURATION:-7}}
# The device has 768 blocks: for these pages, for blocks that reads pin, and for those that a request reserves.
pages=600

# race_with_slow_reads FORM [COMPACTORS]
race_with_slow_reads() {
	local what mib=3
	# If pages share blocks, fewer blocks are used as soon again.
	[ "$1" != packed ] || mib=2
	delayed wb0 $mib 20 0
	backed "$mapped" $((pages * PAGE)) lz4 "$1"
	"$(program pagerace)" -t "$seconds" -n $pages -r 16 -w 2 -b 2 -c "${2:-0}" "${dev#/dev/}" >"$TMP/report" ||
		fail "pagerace ended with $?"
	while IFS= read -r report; do
		note "$report"
	done <"$TMP/report"
	report=$(tail -n 1 "$TMP/report")
	for what in foreign old torn errors full; do
		is "$what in the report" "$(result $what)" 0
	done
	for what in reads writes discards writebacks; do
		at_least "$what" "$(result $what)" 20
	done
	bd_stat
	note "bd_stat: $bd_count $bd_reads $bd_writes"
	at_least "reads from the backing device" "$bd_reads" 200
	# Each block was reused.
	at_least "writes to the backing device" "$bd_writes" $((mib * 256 * 4 / 3))
	no_failed_io
	remove
}

test_raw() {
	race_with_slow_reads 0
}

test_compressed() {
	race_with_slow_reads 1
}

# The compaction reads blocks that others read, too, and then frees them.
test_packed_with_compaction() {
	race_with_slow_reads packed 1
}

run_tests
