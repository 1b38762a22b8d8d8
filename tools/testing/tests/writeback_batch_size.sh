#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The file writeback_batch_size: the values that it accepts, and the memory that a writeback uses with a very large
# value, and without free memory.
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

# most_free: sets $free to MemFree in KiB, the largest of several readings. On a busy machine, RCU and the quarantine of
# KASAN free memory late: single readings were up to 90 MiB too low.
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

# suspendable_disk FORM: a disk of 32 MiB, which is open. Its backing device keeps nothing, and can be suspended.
suspendable_disk() {
	nullb "wb${1}n" 64 memory_backed 0
	mapped "wb$1" "0 131072 linear $nullb 0"
	backed "$mapped" 32M lz4 "$1"
	does open "$dev" direct
}

# suspend_backing_device: it takes all requests from now on, and completes none. All pages are idle, and a limit counts
# those that are written.
suspend_backing_device() {
	stores "$sys/writeback_limit" 1000000
	stores "$sys/writeback_limit_enable" 1
	stores "$sys/idle" all
	ok dmsetup suspend --noflush --nolockfs "${mapped##*/}"
}

# write_back_suspended [FAIL]: a task, $writer, writes back all pages; with FAIL, no_free_memory applies to it.
# Returns when the number of pages in flight, $flying, does not grow any more.
write_back_suspended() {
	local last=-1
	(
		[ -z "${1:-}" ] || echo 1 >/proc/self/make-it-fail
		writes_back idle
		exit $failed
	) &
	writer=$!
	flying=0
	while [ "$flying" = 0 ] || [ "$flying" != "$last" ]; do
		! ended $writer || break
		sleep 1
		last=$flying
		# A page is charged to the limit before it is written.
		flying=$((1000000 - $(<"$sys/writeback_limit")))
	done
}

resume_backing_device() {
	ok dmsetup resume "${mapped##*/}"
	wait_all $writer
}

# The test measures the memory of a writeback while its device takes all requests and completes none.
test_absurd_batch_size() {
	[ "$DRIVER" != zram ] || skip "C zram allocates until the machine dies"
	local form before writer pages=8192 free flying share
	share=$(awk '/MemTotal/ { print int($2 / 4 / 256) }' /proc/meminfo)
	for form in $FORMS; do
		suspendable_disk "$form"
		# The first writeback allocates what the kernel keeps.
		does bulk 0 $pages text 1
		writes_back page_indexes=0-$((pages - 1))
		does bulk 0 $pages text 2
		stores "$sys/writeback_batch_size" 4294967295
		suspend_backing_device
		most_free
		before=$free
		write_back_suspended
		most_free
		resume_backing_device
		on_device "of an absurd batch" $pages
		[ "$form" = packed ] || counts "of an absurd batch" $pages 0 $((2 * pages))
		note "$flying blocks in flight; free memory: $before KiB, then $free KiB"
		at_least "number of blocks in flight" $flying 512
		at_least "the share of the memory in pages" "$share" $flying
		at_least "free memory in KiB" "$free" $((before - 16384))
		does discard 0 $((32 << 20))
		does close
		remove
	done
}

# If all allocations fail that may not wait, a writeback allocates the one page that it needs, and writes all pages with
# it.
test_one_page_is_enough() {
	[ "$DRIVER" != zram ] || skip "C zram waits for memory for a whole batch"
	local form writer pages=128 flying
	no_free_memory 100
	for form in $FORMS; do
		suspendable_disk "$form"
		does bulk 0 $pages text 1
		suspend_backing_device
		write_back_suspended fail
		resume_backing_device
		is "the number of blocks in flight" $flying 1
		on_device "of one block at a time" $pages
		[ "$form" = packed ] || counts "of one block at a time" $pages 0 $pages
		does close
		remove
	done
	no_free_memory 0
}

run_tests
