#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Recompression: pages compressed by one algorithm are compressed once more by another, as many as the request says,
# largest first, and keep their data: in memory, after being overwritten, written back and read back. Pages that no
# algorithm makes smaller are marked, and can be written back by that mark. Recompression can be interrupted, and makes
# no other task wait. The state of each page is read from block_state.
#
# Guest: uml-debug group=writeback
# Guest: stock group=basic memory=2G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

# multi: the driver must be able to recompress at all.
multi() {
	add
	[ -e "$sys/recompress" ] || skip "the C zram of this kernel cannot recompress"
	has lzo && slow=lzo || slow=lz4
	remove
}

# recompressible SIZE PRIMARY SECONDARY...: a new disk with these algorithms.
recompressible() {
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

# recompresses WHAT [ERRNO]
recompresses() {
	stores_with "$sys/recompress" "$1" "${2:-OK}"
}

# marked MARK: how many pages have it in block_state, into $marked. (Not read by the shell itself, which seeks
# back to the ends of lines: the offsets of this file are those of pages.)
marked() {
	local marks
	marked=0
	while read -r _ _ marks; do
		[[ $marks != *$1* ]] || marked=$((marked + 1))
	done <<<"$(<"/sys/kernel/debug/zram/zram$id/block_state")"
}

# marks MARK WANT
marks() {
	marked "$1"
	is "the number of pages marked $1" "$marked" "$2"
}

now() {
	now=$((${EPOCHREALTIME/./} / 1000))
}

test_choosing_algorithms() {
	local line
	multi
	add
	is "recomp_algorithm of a new device" "$(<"$sys/recomp_algorithm")" ''
	stores "$sys/recomp_algorithm" "algo=zstd"
	line=$(<"$sys/comp_algorithm")
	line=${line/'['/}
	line=${line/']'/}
	is recomp_algorithm "$(<"$sys/recomp_algorithm")" "#1: ${line/zstd/'[zstd]'}"
	stores "$sys/recomp_algorithm" "priority=3 algo=deflate"
	is recomp_algorithm "$(<"$sys/recomp_algorithm")" "#1: ${line/zstd/'[zstd]'}
#3: ${line/deflate/'[deflate]'}"
	stores "$sys/recomp_algorithm" "algo=lz4 priority=1 colour=blue"
	is "recomp_algorithm changed" "$(<"$sys/recomp_algorithm")" "#1: ${line/lz4 /'[lz4] '}
#3: ${line/deflate/'[deflate]'}"
	for line in '' algo= zstd 'algo=zstd priority=' 'algo=zstd priority=0' 'algo=zstd priority=4' \
		'algo=zstd priority=-1' 'algo=zstd priority=x' algo=zstd2 'priority=1'; do
		stores "$sys/recomp_algorithm" "$line" EINVAL
	done
	stores "$sys/recomp_algorithm" 'algo=zstd priority=99999999999' ERANGE
	printf -v line '%0200d' 7
	stores "$sys/recomp_algorithm" "algo=$line" E2BIG
	stores "$sys/disksize" 64K
	stores "$sys/recomp_algorithm" algo=zstd EBUSY
	stores "$sys/reset" 1
	is "recomp_algorithm after a reset" "$(<"$sys/recomp_algorithm")" ''
}

test_refusals() {
	multi
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

test_what_was_asked_for() {
	local before
	multi
	recompressible 4M "$slow" zstd
	does bulk 0 64 hex 1
	does bulk 64 64 same 1
	does bulk 128 64 random 1
	mm_stat
	before=$compr
	stores "$sys/idle" all
	marks i 128
	does check 0 32 hex 1
	marks i 96
	recompresses type=idle
	marks r 32
	# What was tried is not idle any more.
	marks i 0
	marks n 64
	mm_stat
	[ "$compr" -lt "$before" ] || fail "pages of $before bytes were recompressed to $compr"
	is "pages and huge pages" "$orig $huge $same" "$((192 * PAGE)) 64 64"
	recompresses 'max_pages=10'
	marks r 42
	recompresses threshold=3000
	marks r 42
	recompresses 'priority=1'
	marks r 64
	does bulkcheck 0 64 hex 1
	does bulkcheck 64 64 same 1
	does bulkcheck 128 64 random 1
	# Whatever is written anew begins at the bottom again.
	does bulk 0 32 hex 2
	does bulk 128 32 random 2
	marks r 32
	marks n 32
	recompresses type=huge
	marks n 64
	marks r 32
	does discard 0 $((192 * PAGE))
	marks . 0
	eventually 5 pool_is_empty || fail "$used bytes are in use by nothing"
}

# All that matters to a reader is that pages are what they were.
test_by_every_algorithm_after_every_other() {
	local first second
	multi
	algorithms
	for first in $ALGORITHMS; do
		for second in $ALGORITHMS; do
			recompressible 1M "$first" "$second"
			does bulk 0 128 mixed 3
			recompresses type=idle
			marks r 0
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
	multi
	recompressible 2M lz4 "$slow" deflate zstd
	does bulk 0 128 hex 1
	does bulk 128 128 random 1
	mm_stat
	recompresses priority=2
	marks r 128
	mm_stat
	sizes=$compr
	# A lower priority is no step forward.
	recompresses priority=1
	mm_stat
	is "compr_data_size" "$compr" "$sizes"
	marks n 0
	# What zstd does not make smaller than deflate has made it, nothing does.
	recompresses priority=3
	marked n
	at_least "incompressible pages" "$marked" 128
	marks r 128
	does bulkcheck 0 128 hex 1
	does bulkcheck 128 128 random 1
}

written_back() {
	multi
	nullb wb0 8
	add
	stores "$sys/comp_algorithm" lz4
	stores "$sys/recomp_algorithm" algo=zstd
	stores "$sys/compressed_writeback" "$1"
	stores "$sys/backing_dev" "$nullb"
	stores "$sys/disksize" 4M
	does open "$dev" direct
	does bulk 0 128 mixed 1
	does bulk 256 128 hex 1
	recompresses max_pages=400
	marked r
	at_least "recompressed pages" "$marked" 128
	marked n
	at_least "incompressible pages" "$marked" 30
	writes_back incompressible
	marks w "$marked"
	marks n "$marked"
	stores "$sys/idle" all
	writes_back idle
	mm_stat
	is "compr_data_size" "$compr" 0
	does bulkcheck 0 128 mixed 1
	does bulkcheck 256 128 hex 1
	does check 256 128 hex 1
	# Pages that are on the device are left alone.
	recompresses max_pages=400
	does bulkcheck 0 128 mixed 1
}

test_written_back_raw() {
	written_back 0
}

test_written_back_compressed() {
	written_back 1
}

# --- Parameters -----------------------------------------------------------------------------------

# dictionary NAME BYTES: text that the pages of pageio have in common.
dictionary() {
	local text
	text='A page of prose that any algorithm makes much smaller than it was. '
	while [ ${#text} -lt "$2" ]; do
		text+=$text
	done
	printf '%s' "${text:0:$2}" >"$TMP/$1"
}

test_parameters_that_are_refused() {
	local line
	add
	for line in level level= level=x priority=4 priority=-1 algo=nonsense 'algo=zstd priority=0' \
		'priority=1 algo=zstd' deflate.winbits=; do
		stores "$sys/algorithm_params" "$line" EINVAL
	done
	stores "$sys/algorithm_params" level=99999999999 ERANGE
	stores "$sys/algorithm_params" "dict=$TMP/nothing" ENOENT
	stores "$sys/algorithm_params" "dict=$TMP" EINVAL
	: >"$TMP/empty"
	stores "$sys/algorithm_params" "dict=$TMP/empty" EINVAL
	# Any file can be a dictionary, even one of this device, without a deadlock.
	if [ "$DRIVER" != zram ]; then
		stores "$sys/algorithm_params" "dict=$sys/comp_algorithm" EIO
		stores "$sys/algorithm_params" "dict=$sys/disksize" EIO
	fi
	stores "$sys/algorithm_params" 'colour=blue'
	stores "$sys/disksize" 64K
	stores "$sys/algorithm_params" level=1 EBUSY
}

# takes ALGORITHM PARAMETERS ERRNO: what disksize says to them.
takes() {
	has "$1" || return 0
	stores "$sys/comp_algorithm" "$1"
	stores "$sys/algorithm_params" "$2"
	stores_with "$sys/disksize" 64K "$3"
	if [ "$3" = OK ]; then
		does open "$dev" direct
		does bulk 0 16 mixed 1
		does bulkcheck 0 16 mixed 1
		does close
		stores "$sys/reset" 1
	fi
}

test_levels() {
	local level bits
	add
	for level in 0 -1 -2147483647; do
		takes lz4 "level=$level" EINVAL
	done
	for level in 1 2 1000 2147483647 -2147483648; do
		takes lz4 "level=$level" OK
	done
	for level in 0 17 -1; do
		takes lz4hc "level=$level" EINVAL
	done
	for level in 1 2 9 16; do
		takes lz4hc "level=$level" OK
	done
	for level in 23 -131073; do
		takes zstd "level=$level" EINVAL
	done
	for level in -131072 -5 0 1 3 22; do
		takes zstd "level=$level" OK
	done
	for level in -2 10; do
		takes deflate "level=$level" EINVAL
	done
	for level in -1 0 1 9; do
		takes deflate "level=$level" OK
	done
	for bits in -16 -8 0 8 16; do
		takes deflate "deflate.winbits=$bits" EINVAL
	done
	for bits in -15 -9 9 15; do
		takes deflate "level=6 deflate.winbits=$bits" OK
	done
	for level in 0 1; do
		takes 842 "level=$level" EOPNOTSUPP
		takes lzo "level=$level" EOPNOTSUPP
		takes lzo-rle "level=$level" EOPNOTSUPP
	done
}

test_dictionaries() {
	local algorithm without size dict
	add
	for algorithm in lz4 lz4hc zstd; do
		dictionary dict 4096
		has "$algorithm" || continue
		without=0
		for dict in '' "dict=$TMP/dict" "dict=$TMP/dict level=9"; do
			stores "$sys/comp_algorithm" "$algorithm"
			stores "$sys/algorithm_params" "$dict"
			stores "$sys/disksize" 1M
			# It was read when it was set.
			does open "$dev" direct
			does bulk 0 200 text 1
			mm_stat
			if [ -z "$dict" ]; then
				without=$compr
			elif [ "$compr" -ge "$without" ]; then
				fail "$algorithm takes $compr bytes with a dictionary, $without without"
			fi
			does check 0 200 text 1
			does bulk 0 256 mixed 2
			does bulkcheck 0 256 mixed 2
			does close
			stores "$sys/reset" 1
		done
		note "$algorithm: $without bytes without a dictionary"
	done
	for size in 1 4 7; do
		dictionary small $size
		takes lz4 "dict=$TMP/small" EINVAL
		takes lz4hc "dict=$TMP/small" OK
		takes zstd "dict=$TMP/small" OK
	done
	for size in 8 65536; do
		dictionary dict $size
		takes lz4 "dict=$TMP/dict" OK
		takes lz4hc "dict=$TMP/dict" OK
		takes zstd "dict=$TMP/dict level=22" OK
		takes zstd "dict=$TMP/dict level=-100" OK
	done
	dictionary dict 65537
	takes lz4 "dict=$TMP/dict" EINVAL
	[ "$DRIVER" = zram ] || takes lz4hc "dict=$TMP/dict" EINVAL
	takes zstd "dict=$TMP/dict" OK
	for algorithm in lzo lzo-rle deflate 842; do
		takes $algorithm "dict=$TMP/dict" EOPNOTSUPP
	done
}

# An invalid parameter leaves the rest of the configuration unchanged.
test_refused_parameters_leave_what_was_set() {
	local line
	[ "$DRIVER" != zram ] || skip "C zram forgets the algorithm, and takes the default instead"
	add
	stores "$sys/comp_algorithm" zstd
	stores "$sys/recomp_algorithm" algo=deflate
	stores "$sys/algorithm_params" "algo=deflate level=77"
	line=$(<"$sys/comp_algorithm")
	stores "$sys/disksize" 64K EINVAL
	is "comp_algorithm after that" "$(<"$sys/comp_algorithm")" "$line"
	stores "$sys/algorithm_params" "algo=deflate level=7"
	stores "$sys/algorithm_params" "algo=deflate dict=$TMP/nothing" ENOENT
	stores "$sys/disksize" 64K
	is "comp_algorithm in the end" "$(<"$sys/comp_algorithm")" "$line"
}

# --- While it runs --------------------------------------------------------------------------------

# long_disk: so many pages that recompressing them takes seconds.
long_disk() {
	[ "$DRIVER" != zram ] || [ -n "${ALL:-}" ] || skip "C zram lets all others wait until a recompression has ended"
	multi
	add
	stores "$sys/comp_algorithm" lz4
	stores "$sys/recomp_algorithm" algo=zstd
	stores "$sys/algorithm_params" 'priority=1 level=22'
	stores "$sys/disksize" 64M
	does open "$dev" direct
	does bulk 0 $pages random 1
	does bulk $pages 256 text 1
	does close
	: >"$TMP/result"
	{ exec perl "$HERE/wbtool.pl" store "$sys/recompress" type=huge >"$TMP/result"; } &
	pid=$!
	# It takes the page that is first in line at some time.
	eventually 30 begun || fail "no page was ever recompressed"
}

pages=6000

begun() {
	marked n
	[ "$marked" -gt 0 ]
}

data_is_right() {
	does open "$dev" direct
	does bulkcheck 0 $pages random 1
	does bulkcheck $pages 256 text 1
	does close
}

test_keeps_nobody_waiting() {
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

# While others may wait for the stream, an object is allocated from free memory only, which here there is none of, and
# otherwise with some patience.
test_without_free_memory() {
	[ "$DRIVER" != zram ] || skip "C zram waits for memory with the stream in hand"
	multi
	local before
	recompressible 4M $slow zstd
	does bulk 0 1000 hex 1
	mm_stat
	before=$compr
	no_free_memory 100
	(
		echo 1 >/proc/self/make-it-fail
		recompresses algo=zstd
		exit $failed
	) || failed=1
	injected
	no_free_memory 0
	marks r 1000
	# New pages for objects, and for slabs; how many is up to what the allocators have.
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
	marked n
	[ "$marked" -lt $pages ] || fail "all pages had been recompressed"
	before=$marked
	data_is_right
	recompresses "type=huge max_pages=10"
	marks n $((before + 10))
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

# Pages that are overwritten meanwhile stay what was written.
test_while_pages_are_written() {
	local round
	multi
	recompressible 8M lz4 zstd
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

# --- block_state ----------------------------------------------------------------------------------

# piece OFFSET BYTES: what one read gives, into $piece.
piece() {
	piece=$(dd if="$state" bs="$2" count=1 iflag=skip_bytes skip="$1" 2>/dev/null)
}

test_block_state() {
	local line index=0 lines=0
	add
	state=/sys/kernel/debug/zram/zram$id/block_state
	[ -e "$state" ] || skip "there is no block_state"
	is "its mode" "$(stat -c %a "$state")" 400
	not_ok cat "$state"
	[[ $(<"$TMP/out") == *'Invalid argument'* ]] || fail "reading it for an uninitialised disk: $(<"$TMP/out")"
	stores "$sys/disksize" 4M
	is "block_state of an empty disk" "$(<"$state")" ''
	does open "$dev" direct
	does bulk 100 100 same 1
	does bulk 300 100 random 1
	does bulk 500 100 text 1
	while IFS= read -r line; do
		lines=$((lines + 1))
		[ $lines != 101 ] || index=100
		[ $lines != 201 ] || index=200
		[[ $line =~ ^\ *$((99 + index + lines))\ +[0-9]+\.000000\ (s\.\.\.\.\.|\.\.h\.\.\.|\.\.\.\.\.\.)$ ]] ||
			fail "line $lines is '$line'"
	done <<<"$(<"$state")"
	is "the number of lines" $lines 300
	# A line has 40 characters with the newline; C zram needs room for a NUL behind them.
	piece 100 40
	is "40 bytes" "$piece" ''
	piece 100 41
	is "the line in 41 bytes" "${piece:0:12}" '         100'
	is "its length" ${#piece} 39
	piece 599 4096
	is "the last line" "${piece:0:12}" '         599'
	piece 600 4096
	is "behind the last" "$piece" ''
	piece 0 1
	is "one byte" "$piece" ''
	piece 123456789 4096
	is "far behind the last" "$piece" ''
	piece 200 100
	is "of the next page that is there" "${piece:0:12}" '         300'
	is "in one read of 64 MiB" "$(dd if="$state" bs=64M count=1 2>/dev/null | wc -l)" 300
}

# A reader of block_state does not block the reset or removal of the disk.
test_block_state_of_disks_that_come_and_go() {
	local round reader
	add
	[ -e "/sys/kernel/debug/zram/zram$id/block_state" ] || skip "there is no block_state"
	(
		trap 'exit 0' TERM
		while :; do
			cat /sys/kernel/debug/zram/zram*/block_state >/dev/null 2>&1
		done
	) &
	reader=$!
	for round in 1 2 3 4 5 6; do
		stores "$sys/disksize" 16M
		does open "$dev" direct
		does bulk 0 2048 same $round
		does close
		# The device file may still be open for a moment, for udev, or for those who opened it before.
		eventually 5 reset_done || fail "it cannot be reset: $errno"
		if [ $((round % 2)) = 0 ]; then
			remove
			add
		fi
	done
	kill $reader
	wait $reader 2>/dev/null
}

reset_done() {
	put "$sys/reset" 1
	[ "$errno" = OK ]
}

run_tests
