#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Recompression: pages compressed by one algorithm are compressed once more by another, as many as the request says,
# largest first, and keep their data: in memory, after being overwritten, written back and read back. Pages that no
# algorithm makes smaller are marked, and can be written back by that mark. Recompression can be interrupted, and makes
# no other task wait. The tests read the state of each page from block_state.
#
# Guest: uml-debug group=writeback
# Guest: stock group=basic memory=2G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

# need_recompression: skips the test if the driver cannot recompress. Sets $slow to an algorithm that is not the best.
need_recompression() {
	add
	[ -e "$sys/recompress" ] || skip "the C zram of this kernel cannot recompress"
	has lzo && slow=lzo || slow=lz4
	remove
}

# recompression_disk SIZE PRIMARY SECONDARY...: adds and opens a disk with these algorithms.
recompression_disk() {
	local size=$1 priority=0
	shift
	add
	stores "$sys/comp_algorithm" "$1"
	shift
	while [ $# -gt 0 ]; do
		priority=$((priority + 1))
		stores "$sys/recomp_algorithm" "algo=$1 priority=$priority"
		shift
	done
	stores "$sys/disksize" "$size"
	does open "$dev" direct
}

# recompresses WHAT [ERRNO]: a write of WHAT to the file recompress must return ERRNO (default OK).
recompresses() {
	stores "$sys/recompress" "$1" "${2:-OK}"
}

# count_marked MARK: sets $marked to the number of pages with this mark in block_state. ("read" from the file itself
# seeks back to the end of a line, and the offsets of this file are numbers of pages.)
count_marked() {
	local marks
	marked=0
	while read -r _ _ marks; do
		[[ $marks != *$1* ]] || marked=$((marked + 1))
	done <<<"$(<"/sys/kernel/debug/zram/zram$id/block_state")"
}

# check_marked MARK WANT: so many pages must have this mark.
check_marked() {
	count_marked "$1"
	is "the number of pages marked $1" "$marked" "$2"
}

test_refusals() {
	need_recompression
	add
	recompresses type=idle EINVAL
	stores "$sys/recomp_algorithm" "algo=zstd priority=2"
	stores "$sys/disksize" 64K
	for line in idle type= type=all 'type=huge max_pages=x' threshold=4096 threshold=-1 priority=0 priority=4 \
		priority=1 algo=deflate 'algo=zstd priority=1' 'algo=zstd priority=3' algo=lzo2 type=idle; do
		recompresses "$line" EINVAL
	done
	recompresses threshold=4294967296 ERANGE
	recompresses 'max_pages=99999999999999999999' ERANGE
	recompresses algo=zstd
	recompresses 'priority=2 algo=zstd type=huge_idle max_pages=1 threshold=100 colour=blue'
}

test_requested_pages() {
	local before
	need_recompression
	recompression_disk 4M "$slow" zstd
	does bulk 0 64 hex 1
	does bulk 64 64 same 1
	does bulk 128 64 random 1
	mm_stat
	before=$compr
	stores "$sys/idle" all
	check_marked i 128
	does check 0 32 hex 1
	check_marked i 96
	recompresses type=idle
	check_marked r 32
	# Recompression ends the idleness also of pages that it does not make smaller.
	check_marked i 0
	check_marked n 64
	mm_stat
	[ "$compr" -lt "$before" ] || fail "pages of $before bytes were recompressed to $compr"
	is "pages and huge pages" "$orig $huge $same" "$((192 * PAGE)) 64 64"
	recompresses 'max_pages=10'
	check_marked r 42
	recompresses threshold=3000
	check_marked r 42
	recompresses 'priority=1'
	check_marked r 64
	does bulkcheck 0 64 hex 1
	does bulkcheck 64 64 same 1
	does bulkcheck 128 64 random 1
	# An overwritten page has no mark.
	does bulk 0 32 hex 2
	does bulk 128 32 random 2
	check_marked r 32
	check_marked n 32
	recompresses type=huge
	check_marked n 64
	check_marked r 32
	does discard 0 $((192 * PAGE))
	check_marked . 0
	eventually 5 pool_is_empty || fail "$used bytes are in use by nothing"
}

# Recompression by any algorithm after any other keeps the data.
test_by_every_algorithm_after_every_other() {
	local first second
	need_recompression
	algorithms
	for first in $ALGORITHMS; do
		for second in $ALGORITHMS; do
			recompression_disk 1M "$first" "$second"
			does bulk 0 128 mixed 3
			recompresses type=idle
			check_marked r 0
			recompresses max_pages=100
			does bulkcheck 0 128 mixed 3
			recompresses algo="$second"
			does bulkcheck 0 128 mixed 3
			does close
			remove
		done
	done
}

test_one_priority_after_the_other() {
	local sizes
	need_recompression
	recompression_disk 2M lz4 "$slow" deflate zstd
	does bulk 0 128 hex 1
	does bulk 128 128 random 1
	mm_stat
	recompresses priority=2
	check_marked r 128
	mm_stat
	sizes=$compr
	# A lower priority recompresses nothing.
	recompresses priority=1
	mm_stat
	is "compr_data_size" "$compr" "$sizes"
	check_marked n 0
	# A page that zstd does not make smaller than deflate made it is incompressible.
	recompresses priority=3
	count_marked n
	at_least "incompressible pages" "$marked" 128
	check_marked r 128
	does bulkcheck 0 128 hex 1
	does bulkcheck 128 128 random 1
}

# write_back_recompressed FORM
write_back_recompressed() {
	need_recompression
	nullb wb0 8
	add
	stores "$sys/comp_algorithm" lz4
	stores "$sys/recomp_algorithm" algo=zstd
	set_form "$1"
	stores "$sys/backing_dev" "$nullb"
	stores "$sys/disksize" 4M
	does open "$dev" direct
	does bulk 0 128 mixed 1
	does bulk 256 128 hex 1
	recompresses max_pages=400
	count_marked r
	at_least "recompressed pages" "$marked" 128
	count_marked n
	at_least "incompressible pages" "$marked" 30
	writes_back incompressible
	check_marked w "$marked"
	check_marked n "$marked"
	stores "$sys/idle" all
	writes_back idle
	mm_stat
	is "compr_data_size" "$compr" 0
	does bulkcheck 0 128 mixed 1
	does bulkcheck 256 128 hex 1
	does check 256 128 hex 1
	# Recompression skips pages on the backing device.
	recompresses max_pages=400
	does bulkcheck 0 128 mixed 1
}

test_written_back_raw() {
	write_back_recompressed 0
}

test_written_back_compressed() {
	write_back_recompressed 1
}

# The pages of a block are compressed by several algorithms, and keep that when they move.
test_written_back_packed() {
	local index before writes
	write_back_recompressed packed
	for ((index = 0; index < 128; index++)); do
		[ $((index % 4)) = 0 ] || does discard $((index * PAGE)) $PAGE
		[ $((index % 4)) = 1 ] || does discard $(((256 + index) * PAGE)) $PAGE
	done
	pack_stat
	at_least "sparse blocks" "$sparse" 2
	count_marked r
	before=$marked
	bd_stat
	writes=$bd_writes
	writes_back compact
	bd_stat
	at_least "blocks that the compaction wrote" $((bd_writes - writes)) 1
	check_marked r "$before"
	for ((index = 0; index < 128; index += 4)); do
		does check $index 1 mixed 1
		does check $((257 + index)) 1 hex 1
	done
}

# --- While it runs --------------------------------------------------------------------------------

# long_disk: starts a recompression that takes seconds, as the process $pid. Its result will be in $TMP/result.
long_disk() {
	[ "$DRIVER" != zram ] || [ -n "${ALL:-}" ] || skip "C zram lets all others wait until a recompression has ended"
	need_recompression
	add
	stores "$sys/comp_algorithm" lz4
	stores "$sys/recomp_algorithm" algo=zstd
	stores "$sys/algorithm_params" 'priority=1 level=22'
	stores "$sys/disksize" 64M
	does open "$dev" direct
	does bulk 0 $pages random 1
	does bulk $pages 256 text 1
	does close
	store_in_background result "$sys/recompress" type=huge
	# A mark shows that the recompression has begun.
	eventually 30 any_page_is_marked || fail "no page was ever recompressed"
}

pages=6000

any_page_is_marked() {
	count_marked n
	[ "$marked" -gt 0 ]
}

check_data() {
	does open "$dev" direct
	does bulkcheck 0 $pages random 1
	does bulkcheck $pages 256 text 1
	does close
}

test_statistics_answer_at_once() {
	local from worst=0 reads=0
	long_disk
	while kill -0 $pid 2>/dev/null && [ $reads -lt 100 ]; do
		now
		from=$now
		mm_stat
		now
		[ $((now - from)) -le $worst ] || worst=$((now - from))
		reads=$((reads + 1))
	done
	kill -0 $pid 2>/dev/null || fail "it ended before mm_stat could be read $reads times"
	note "mm_stat took at most $worst ms"
	[ $worst -lt 1000 ] || fail "mm_stat took $worst ms"
	kill -INT $pid
	wait $pid
}

# While the task holds the stream, it allocates objects from free memory only. Here there is none, so it allocates them
# after it has released the stream.
test_without_free_memory() {
	[ "$DRIVER" != zram ] || skip "C zram waits for memory with the stream in hand"
	need_recompression
	local before
	recompression_disk 4M $slow zstd
	does bulk 0 1000 hex 1
	mm_stat
	before=$compr
	no_free_memory 100
	(
		echo 1 >/proc/self/make-it-fail
		recompresses algo=zstd
		exit $failed
	) || failed=1
	count_injected
	no_free_memory 0
	check_marked r 1000
	# The number of allocations depends on what the allocators have in reserve.
	at_least "how often there was no page" "$injected" 100
	mm_stat
	note "$before bytes became $compr, and $injected times there was no page"
	[ "$compr" -lt "$before" ] || fail "nothing became smaller"
	does bulkcheck 0 1000 hex 1
	does close
	remove
}

test_signal_ends_it() {
	local before from
	long_disk
	now
	from=$now
	kill -INT $pid
	wait $pid
	now
	is "what the writer got" "$(<"$TMP/result")" EINTR
	[ $((now - from)) -lt 5000 ] || fail "it took $((now - from)) ms to end"
	count_marked n
	[ "$marked" -lt $pages ] || fail "all pages had been recompressed"
	before=$marked
	check_data
	recompresses "type=huge max_pages=10"
	check_marked n $((before + 10))
}

test_reset_ends_it() {
	long_disk
	stores "$sys/reset" 1
	wait $pid
	is "what the writer got" "$(<"$TMP/result")" EINTR
	is "disksize" "$(<"$sys/disksize")" 0
	mm_stat
	is "orig_data_size" "$orig" 0
}

test_removal_ends_it() {
	long_disk
	remove
	wait $pid
	is "what the writer got" "$(<"$TMP/result")" EINTR
}

# A page that is overwritten during the recompression keeps the new data.
test_while_pages_are_written() {
	local round
	need_recompression
	recompression_disk 8M lz4 zstd
	does bulk 0 2048 mixed 1
	(
		for round in 1 2 3 4 5 6 7 8; do
			put "$sys/recompress" max_pages=10000
			[ "$errno" = OK ] || exit 1
		done
	) &
	for round in 2 3 4 5 6; do
		does bulk 0 2048 mixed $round
		does bulkcheck 0 2048 mixed $round
		does discard 0 $((1024 * PAGE))
		does bulkcheck 0 1024 zero 0
	done
	wait $! || fail "a recompression failed"
	does bulkcheck 1024 1024 mixed 6
	does discard 0 $((2048 * PAGE))
	eventually 5 pool_is_empty || fail "$used bytes are in use by nothing"
	mm_stat
	is "counters" "$orig $compr $same $huge" "0 0 0 0"
}

run_tests
