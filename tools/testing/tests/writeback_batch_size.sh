#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The file writeback_batch_size: the values that it accepts, and the memory that a writeback uses with a very large value,
# and without free memory.
#
# Guest: uml-debug group=writeback

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

test_writeback_batch_size() {
	local value
	add
	for value in 1 2 1000 4294967295 32; do
		stores "$sys/writeback_batch_size" "$value"
		reads writeback_batch_size "$value"$'\n'
	done
	for value in 0 garbage '' -1 0x10 4294967296 18446744073709551616; do
		stores "$sys/writeback_batch_size" "$value" EINVAL
		reads writeback_batch_size $'32\n'
	done
	stores "$sys/disksize" 1M
	stores "$sys/writeback_batch_size" 8
	reads writeback_batch_size $'8\n'
}

# most_free: into $free, MemFree in KiB, the most of several times. Others take memory for a moment: what frees
# theirs may be late on a busy machine (RCU, the quarantine of KASAN), and so were lows of 90 MiB.
most_free() {
	local name value
	free=0
	for _ in {1..10}; do
		while read -r name value _; do
			[ "$name" = MemFree: ] || continue
			[ "$value" -le "$free" ] || free=$value
			break
		done </proc/meminfo
		sleep 0.2
	done
}

# in_flight LIMIT: are there more pages on their way than there were last time? Each is charged to the limit before
# it is. How many there are is in $flying.
in_flight() {
	local last=$flying
	sleep 1
	flying=$(($1 - $(<"$sys/writeback_limit")))
	[ "$flying" = 0 ] || [ "$flying" != "$last" ]
}

# What a writeback has taken can be seen in peace while its device takes all requests, and answers none.
test_absurd_batch_size() {
	[ "$DRIVER" != zram ] || skip "C zram allocates until the machine dies"
	local compressed before writer pages=8192 free flying share
	share=$(awk '/MemTotal/ { print int($2 / 4 / 256) }' /proc/meminfo)
	for compressed in 0 1; do
		nullb wb${compressed}n 64 memory_backed 0
		mapped wb$compressed "0 131072 linear $nullb 0"
		backed "$mapped" 32M lz4 $compressed
		does open "$dev" direct
		# Once for whatever the machine keeps after the first time.
		does bulk 0 $pages text 1
		writes_back page_indexes=0-$((pages - 1))
		does bulk 0 $pages text 2
		stores "$sys/writeback_batch_size" 4294967295
		stores "$sys/writeback_limit" 1000000
		stores "$sys/writeback_limit_enable" 1
		stores "$sys/idle" all
		ok dmsetup suspend --noflush --nolockfs wb$compressed
		most_free
		before=$free
		(
			writes_back idle
			exit $failed
		) &
		writer=$!
		flying=0
		while in_flight 1000000; do
			kill -0 $writer 2>/dev/null || break
		done
		most_free
		ok dmsetup resume wb$compressed
		wait $writer || failed=1
		counts "of an absurd batch" $pages 0 $((2 * pages))
		note "$flying pages in flight; free memory: $before KiB, then $free KiB"
		at_least "number of pages in flight" $flying 512
		at_least "the share of the memory in pages" "$share" $flying
		at_least "free memory in KiB" "$free" $((before - 16384))
		does discard 0 $((32 << 20))
		does close
		remove
	done
}

# Without free memory, that is, where all allocations fail that would not wait for any: a writeback begins with what it
# must have, a single page, and comes to its end with that.
test_one_page_is_enough() {
	[ "$DRIVER" != zram ] || skip "C zram waits for memory for a whole batch"
	local compressed writer pages=128 flying
	no_free_memory 100
	for compressed in 0 1; do
		nullb wb${compressed}n 64 memory_backed 0
		mapped wb$compressed "0 131072 linear $nullb 0"
		backed "$mapped" 32M lz4 $compressed
		does open "$dev" direct
		does bulk 0 $pages text 1
		stores "$sys/writeback_limit" 1000000
		stores "$sys/writeback_limit_enable" 1
		stores "$sys/idle" all
		ok dmsetup suspend --noflush --nolockfs wb$compressed
		(
			echo 1 >/proc/self/make-it-fail
			writes_back idle
			exit $failed
		) &
		writer=$!
		flying=0
		while in_flight 1000000; do
			kill -0 $writer 2>/dev/null || break
		done
		ok dmsetup resume wb$compressed
		wait $writer || failed=1
		is "the number of pages in flight" $flying 1
		counts "of one page at a time" $pages 0 $pages
		does close
		remove
	done
	no_free_memory 0
}

run_tests
