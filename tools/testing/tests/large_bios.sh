#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Requests of many pages, which idle processors help with: data, counters, limits, errors, requests at the same time,
# and processors that go offline meanwhile.
#
# Guest: uml-debug group=basic
# Guest: stock group=basic memory=2G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"
# shellcheck source=tools/testing/lib/helpers.sh
. "${0%/*}/../lib/helpers.sh"

PAGES=1024
CPU=/sys/devices/system/cpu/cpu1/online

# helpers_come: writes until a helper has begun.
helpers_come() {
	does bulk 0 $PAGES hex $((round += 1))
	does bulkcheck 0 $PAGES hex $round
	helped
	[ "$helped" -gt 0 ]
}

test_helpers_take_part() {
	local round=0
	[ "$DRIVER" = zram_rs ] || skip "C zram has no helpers"
	trace_helpers || skip "this kernel does not trace works"
	is "the parameter helpers" "$(<$HELPERS)" 63
	disk 4M zstd
	does open "$dev" direct
	eventually 60 helpers_come || fail "no helper begins"
	note "helpers began $helped times in $round rounds"
	stores $HELPERS 0
	put $TRACING/trace 0
	for _ in 1 2 3; do
		does bulk 0 $PAGES hex 1
		does bulkcheck 0 $PAGES hex 1
	done
	helped
	is "the number of helpers that began with helpers=0" "$helped" 0
	stores $HELPERS 63
	stop_tracing
	stores $HELPERS many EINVAL
	stores $HELPERS -1 EINVAL
	stores $HELPERS 4294967296 ERANGE
	is "the parameter helpers" "$(<$HELPERS)" 63
}

# come VERB PAGES: reads or writes so many pages, and succeeds if a helper was asked for.
come() {
	does "$1" 0 "$2" hex 1
	asked workqueue=zram_rs_helpers
	[ "$asked" -gt 0 ]
}

# Helpers are asked for with the smallest request that is worth it, and with none that is smaller.
test_marks_of_algorithms() {
	local mark algorithm pages verb
	[ "$DRIVER" = zram_rs ] || skip "C zram has no helpers"
	trace_helpers || skip "this kernel does not trace works"
	algorithms
	for mark in lz4/16/64 zstd/4/16 deflate/4/8; do
		IFS=/ read -ra mark <<<"$mark"
		algorithm=${mark[0]}
		[[ " $ALGORITHMS " == *" $algorithm "* ]] || continue
		disk 4M "$algorithm"
		does open "$dev" direct
		does bulk 0 $PAGES hex 1
		for verb in bulk bulkcheck; do
			pages=${mark[1]}
			[ $verb = bulk ] || pages=${mark[2]}
			put $TRACING/trace 0
			for _ in {1..100}; do
				does $verb 0 $((pages - 1)) hex 1
			done
			asked workqueue=zram_rs_helpers
			is "$algorithm: helpers that were asked for with $verb of $((pages - 1)) pages" "$asked" 0
			eventually 60 come $verb "$pages" || fail "$algorithm: no helper is asked for with $verb of $pages pages"
		done
		does close
		remove
	done
	stop_tracing
}

# same_counts ALGORITHM: writes the same data with and without helpers, and compares what depends on the data.
same_counts() {
	local helpers kind counts='' wanted=''
	for helpers in 0 63; do
		[ ! -e $HELPERS ] || stores $HELPERS $helpers
		disk 4M "$1"
		does open "$dev" direct
		counts=
		for kind in mixed hex random mixed zero text; do
			does bulk 0 $PAGES $kind 5
			does bulkcheck 0 $PAGES $kind 5
			does check 7 40 $kind 5
			mm_stat
			counts+="$orig $compr $same $huge $huge_since, "
		done
		io_stat
		does close
		remove
		[ -n "$wanted" ] || wanted=$counts
	done
	is "the counters with helpers" "$counts" "$wanted"
	[ ! -e $HELPERS ] || stores $HELPERS 63
}

test_data_and_counters() {
	local algorithm
	algorithms
	for algorithm in $ALGORITHMS; do
		same_counts "$algorithm"
	done
}

# Buffers that do not begin with a page: helpers leave these pages to the submitter.
test_buffers_across_pages() {
	disk 4M lz4
	does open "$dev" direct
	does shift 512
	does bulk 0 $PAGES mixed 1
	does bulkcheck 0 $PAGES mixed 1
	does shift 0
	does bulkcheck 0 $PAGES mixed 1
	no_failed_io
}

test_memory_limit() {
	disk 8M lz4
	stores "$sys/mem_limit" 1M
	does open "$dev" direct
	does bulk 0 128 random 1
	# C zram reports an I/O error.
	if [ "$DRIVER" = zram ]; then
		refuses EIO bulk 128 $PAGES random 1
	else
		refuses ENOSPC bulk 128 $PAGES random 1
	fi
	does bulkcheck 0 128 random 1
	mm_stat
	[ "$used" -le $((1 << 20)) ] || fail "$used bytes are in use"
	io_stat
	is "failed_writes" "$failed_writes" 1
	# What failed is empty, or what was written.
	stores "$sys/mem_limit" 0
	does bulk 0 $PAGES random 2
	does bulkcheck 0 $PAGES random 2
}

# Half of the helpers' allocations fail: they leave these pages, and the request succeeds.
test_helpers_without_memory() {
	local inject=/sys/kernel/debug/failslab path name left round
	[ "$DRIVER" = zram_rs ] || skip "C zram has no helpers"
	[ -d $inject ] || skip "this kernel injects no failures"
	disk 4M lz4
	does open "$dev" direct
	for path in probability:50 interval:1 verbose:0 task-filter:Y times:1000000; do
		put $inject/${path%:*} ${path#*:}
	done
	for path in /proc/[0-9]*; do
		{ name=$(<"$path/comm"); } 2>/dev/null
		[[ $name != kworker/*H* ]] || put "$path/make-it-fail" 1
	done
	for round in 1 2 3 4 5 6; do
		does bulk 0 $PAGES hex $round
		does bulkcheck 0 $PAGES hex $round
	done
	left=$(<$inject/times)
	put $inject/probability 0
	put $inject/task-filter N
	put $inject/times 1
	note "$((1000000 - left)) allocations of helpers failed"
	at_least "the allocations that failed" $((1000000 - left)) 1
	no_failed_io
}

# one_of_many SEED: writes to pages that others write to, and to pages of its own.
one_of_many() {
	local round
	{
		echo "open $dev direct"
		for round in 1 2 3 4 5 6; do
			echo "bulk 0 256 mixed $(($1 * 100 + round))"
			echo "bulk $(($1 * 256)) 256 mixed $round"
			echo "bulkcheck $(($1 * 256)) 256 mixed $round"
		done
	} | "$(program pageio)" >"$TMP/answers.$1"
	! grep -v '^ok$' "$TMP/answers.$1" || fail "job $1"
	[ $failed = 0 ]
}

test_many_at_once() {
	local job pids=()
	disk 8M zstd
	for job in 1 2 3 4; do
		one_of_many $job &
		pids+=($!)
	done
	wait_all "${pids[@]}"
	no_failed_io
	mm_stat
	is "orig_data_size" "$orig" $((5 * 256 * PAGE))
}

# A part of the pages is on the backing device: helpers leave these to the submitter.
test_backing_device() {
	local mode
	loop || skip "this kernel has no loop devices"
	for mode in $FORMS; do
		backed "$loop" 4M lz4 $mode
		does open "$dev" direct
		does bulk 0 $PAGES mixed 3
		stores "$sys/writeback" "page_indexes=1-100 page_indexes=200-210"
		bd_stat
		at_least "bd_count" "$bd_count" 20
		does bulkcheck 0 $PAGES mixed 3
		does bulk 90 30 mixed 4
		does bulkcheck 90 30 mixed 4
		does bulkcheck 0 90 mixed 3
		does close
		no_failed_io
		remove
	done
}

# A block that cannot be read fails the request, and the other pages are right.
test_bad_block_behind_pages_in_memory() {
	nullb wb0 1
	backed "$nullb" 512K lz4
	does open "$dev" direct
	does bulk 0 128 random 1
	stores "$sys/writeback" page_indexes=64-95
	bad_sectors wb0 0 2047
	refuses EIO bulkcheck 0 128 random 1
	io_stat
	is "failed_reads" "$((failed_reads > 0))" 1
	does bulkcheck 0 64 random 1
	does bulkcheck 96 32 random 1
	good_sectors wb0 0 2047
	does bulkcheck 0 128 random 1
	does close
}

# A killed writer leaves a request behind, which its exit waits for; the disk goes away at once.
test_removal_after_a_kill() {
	local round
	for round in 1 2 3 4 5 6; do
		disk 8M zstd
		{
			echo "open $dev direct"
			for _ in 1 2 3 4 5 6 7 8; do
				echo "bulk 0 $((2 * PAGES)) hex $round"
			done
		} | "$(program pageio)" >"$TMP/answers" &
		sleep 0.1
		kill -KILL $!
		wait $! 2>/dev/null
		hot_remove_all
	done
}

test_processors_go_and_come() {
	local job pids=() cycles=0
	[ -w $CPU ] || skip "this kernel cannot take processor 1 offline"
	trap 'put $CPU 1' EXIT
	disk 8M lz4
	for job in 1 2 3; do
		(
			for _ in 1 2 3 4; do
				one_of_many $job || exit 1
			done
		) &
		pids+=($!)
	done
	while ! ended "${pids[@]}"; do
		stores $CPU 0
		stores $CPU 1
		cycles=$((cycles + 1))
	done
	wait_all "${pids[@]}"
	note "the processor went and came $cycles times"
	at_least "the number of times that the processor went and came" $cycles 2
	no_failed_io
}

run_tests
