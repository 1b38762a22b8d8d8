#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Reads keep many blocks of the backing device busy for as long as a test needs: the reads go through another device,
# which the test suspends, and the writes do not.
#
# A read pins its own block and no other: writeback uses other blocks. When reads pin the only blocks without an owner,
# writeback waits for the reads, and can be interrupted; when all blocks have an owner, it fails at once. Statistics
# and settings work during the reads.
#
# An operation that must not wait for the reads may take 10 s. The reads end by themselves after 60 s, so an operation
# that waits for them takes longer than 10 s on any machine.
#
# Guest: uml-debug group=writeback
# Guest: stock group=stress memory=2G
# Guest: stock-7.2 group=basic memory=2G
# Guest: arm64 group=basic memory=2G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

soon=10000

# hold_for_a_minute: holds the reads, and releases them after a minute, so that a task that waits for them ends.
hold_for_a_minute() {
	hold_reads wb0
	{
		sleep 60
		exec dmsetup resume wb0held
	} >"$TMP/rescue" 2>&1 &
	rescue=$!
}

release_in_time() {
	kill "$rescue" 2>/dev/null || fail "the reads were held for so long that they ended by themselves"
	release_reads wb0
}

# start_reads COUNT [BLOCKS]: starts one direct read(2) of the first COUNT pages, which are in so many blocks (default:
# COUNT), by the process $reader. Sets $held to the number of requests of the device that this takes.
start_reads() {
	local before
	bd_stat
	before=$bd_reads
	{ exec dd if="$dev" of="$TMP/copy" bs=$(($1 * PAGE)) count=1 iflag=direct >"$TMP/dd" 2>&1; } &
	reader=$!
	eventually 30 blocks_are_read $((before + ${2:-$1})) || fail "only $((bd_reads - before)) blocks are read"
	eventually 30 reads_in_flight 1 || fail "no read is under way"
	# The last of them may not have come to the device yet.
	sleep 0.5
	reads_in_flight 1
	held=$reads
}

# blocks_are_read COUNT: succeeds if the driver has begun to read so many blocks since the disk was initialised.
blocks_are_read() {
	bd_stat
	[ "$bd_reads" -ge "$1" ]
}

# finish_reads: releases the reads. They must return the data that save_pages has saved.
finish_reads() {
	release_in_time
	wait $reader || fail "reading failed: $(<"$TMP/dd")"
	ok cmp "$TMP/copy" "$TMP/before"
	rm -f "$TMP/copy" "$TMP/before"
}

# save_pages COUNT: saves the first COUNT pages in $TMP/before.
save_pages() {
	ok dd if="$dev" of="$TMP/before" bs=$(($1 * PAGE)) count=1 iflag=direct
}

# at_once COMMAND...: the command must not wait for the reads. Keeps the longest time of each command for print_longest.
declare -A longest
at_once() {
	local from took what=${*//"$sys/"/}
	case $what in
	stores\ *) what=${what%' '*} ;;
	wait\ *) what='end of a process' ;;
	esac
	now
	from=$now
	"$@"
	now
	took=$((now - from))
	[ "$took" -le "${longest[$what]:=0}" ] || longest[$what]=$took
	[ $took -lt $soon ] || fail "'$*' took $took ms"
}

print_longest() {
	local what
	for what in "${!longest[@]}"; do
		note "    $what: ${longest[$what]} ms"
	done
}

# still_waits NAME: the writeback must not have ended after a second. (A slow writeback that does not wait passes, too.)
still_waits() {
	sleep 1
	kill -0 "$pid" 2>/dev/null || fail "writeback $1 did not wait for the reads: $(<"$TMP/$1")"
}

# writeback_ends NAME ERRNO: the writeback must end soon, with this result.
writeback_ends() {
	at_once wait "$pid"
	is "the result of writeback $1" "$(<"$TMP/$1")" "$2"
}

test_reads_pin_no_other_block() {
	local pages=8192
	holdable wb0 76800
	backed "$mapped" 64M lz4
	does open "$dev" direct
	does bulk 0 $pages random 1
	save_pages $pages
	writes_back huge
	counts "of the first" $pages 0 $pages
	does bulk $pages $pages random 1
	hold_for_a_minute
	start_reads $pages
	at_once writes_back huge
	bd_stat
	is "pages written back in the end" "$bd_count $bd_writes" "$((2 * pages)) $((2 * pages))"
	reads_in_flight "$held" || fail "only $reads reads are under way still"
	print_longest
	finish_reads $pages
	does bulkcheck 0 $((2 * pages)) random 1
	does close
}

# read_in_background NAME COUNT: starts a read(2) like that of start_reads, by the process $pid, to $TMP/NAME.
read_in_background() {
	{ exec dd if="$dev" of="$TMP/$1" bs=$(($2 * PAGE)) count=1 iflag=direct >"$TMP/dd.$1" 2>&1; } &
	pid=$!
}

# The largest number of pages that can share a block, all of which several tasks read at once: some of the reads have to
# wait until others have ended.
test_reads_of_a_shared_block() {
	[ "$DRIVER" = zram_rs ] || skip "only zram_rs packs pages"
	local pages=14 tasks=6 n pids=()
	holdable wb0 64
	backed "$mapped" 1M lz4 packed
	does open "$dev" direct
	does bulk 0 $pages text 1
	save_pages $pages
	writes_back page_indexes=0-$((pages - 1))
	does bulk 32 64 text 2
	counts "of one block" 1 0 1
	hold_for_a_minute
	start_reads $pages 1
	for ((n = 0; n < tasks; n++)); do
		read_in_background "copy$n" $pages
		pids+=("$pid")
	done
	# There are reads of all pages of one task, and nearly none of the others.
	sleep 1
	reads_in_flight "$held" || fail "only $reads reads are under way still"
	[ "$reads" -le 2 ] || fail "there are $reads reads of one block"
	! ended "${pids[@]}" || fail "no read has to wait"
	at_once mm_stat
	at_once pack_stat
	at_once writes_back page_indexes=32-95
	at_once does bulkcheck 16 16 zero 0
	print_longest
	finish_reads $pages
	does open "$dev" direct
	save_pages $pages
	for ((n = 0; n < tasks; n++)); do
		at_once wait "${pids[n]}"
		ok cmp "$TMP/copy$n" "$TMP/before"
		rm -f "$TMP/copy$n"
	done
	on_device "in the end" $((pages + 64))
	does bulkcheck 0 $pages text 1
	does bulkcheck 32 64 text 2
	no_failed_io
	does close
}

test_full_device_fails_at_once() {
	holdable wb0 64
	backed "$mapped" 1M lz4
	does open "$dev" direct
	does bulk 0 80 random 1
	at_once writes_back huge ENOSPC
	counts "of a full device" 64 0 64
	at_once writes_back huge ENOSPC
	# Also while reads pin blocks with an owner. The pages with the largest numbers were written first.
	does discard $((64 * PAGE)) $((16 * PAGE))
	bd_stat
	is "pages written back" "$bd_count" 48
	writes_back huge
	counts "of a device that is full again" 64 0 80
	does bulk 64 16 random 1
	cp /dev/null "$TMP/before"
	hold_for_a_minute
	start_reads 64
	at_once writes_back huge ENOSPC
	reads_in_flight "$held" || fail "only $reads reads are under way still"
	release_in_time
	ok wait $reader
	print_longest
	does bulkcheck 0 80 random 1
	does close
}

test_writeback_waits_for_busy_blocks() {
	[ "$DRIVER" != zram ] || [ -n "${ALL:-}" ] || skip "C zram does not keep a block that is being read"
	holdable wb0 64
	backed "$mapped" 1M lz4
	does open "$dev" direct
	does bulk 0 64 random 1
	save_pages 64
	writes_back huge
	counts "of all" 64 0 64
	hold_for_a_minute
	start_reads 64
	# Now no block has an owner, and reads pin all of them.
	does bulk 0 32 random 2
	does discard $((32 * PAGE)) $((32 * PAGE))
	does bulk 64 32 random 2
	counts "of none" 0 64 64
	store_in_background a "$sys/writeback" huge
	still_waits a
	at_once mm_stat
	at_once bd_stat
	at_once stores "$sys/writeback_limit" 1000
	at_once is_busy
	kill -INT "$pid" 2>/dev/null
	writeback_ends a EINTR
	counts "of an interrupted writeback" 0 64 64
	store_in_background b "$sys/writeback" huge
	still_waits b
	kill -KILL "$pid" 2>/dev/null
	writeback_ends b '' 2>/dev/null
	store_in_background c "$sys/writeback" huge
	still_waits c
	reads_in_flight "$held" || fail "only $reads reads are under way still"
	finish_reads 64
	writeback_ends c OK
	counts "of all again" 64 64 128
	print_longest
	does bulkcheck 0 32 random 2
	does bulkcheck 32 32 zero 0
	does bulkcheck 64 32 random 2
	does close
}

# is_busy: the disk must refuse reset and removal.
is_busy() {
	stores "$sys/reset" 1 EBUSY
	stores $CONTROL/hot_remove "$id" EBUSY
}

read_block_state() {
	: <"$1" && local text && text=$(<"$1")
}

test_files_answer_while_reads_are_in_flight() {
	local pages=6144 round state
	holdable wb0 8192
	backed "$mapped" 32M lz4
	state=/sys/kernel/debug/zram/zram$id/block_state
	does open "$dev" direct
	does bulk 0 $pages random 1
	save_pages $pages
	writes_back huge
	does bulk $pages 256 text 1
	does close
	hold_for_a_minute
	start_reads $pages
	for round in 1 2 3 4 5; do
		at_once mm_stat
		at_once bd_stat
		at_once io_stat
		[ ! -e "$state" ] || at_once read_block_state "$state"
		at_once stores "$sys/writeback_limit" $round
		at_once stores "$sys/mem_limit" 64M
		at_once stores "$sys/idle" all
		at_once stores "$sys/writeback_limit" 1000
		at_once writes_back idle
		at_once is_busy
	done
	reads_in_flight "$held" || fail "only $reads reads are under way still"
	# The reader cannot exit: direct I/O uses its memory until the reads have ended.
	kill -KILL $reader
	sleep 0.5
	kill -0 $reader 2>/dev/null || fail "the reader is gone, and its reads are not"
	at_once is_busy
	reads_in_flight "$held" || fail "only $reads reads are under way still"
	release_in_time
	at_once wait $reader 2>/dev/null
	print_longest
	is "reads under way after that" "$(reads_in_flight 1 && echo "$reads")" ''
	# Once more, until the reads end.
	hold_for_a_minute
	start_reads $pages
	finish_reads $pages
	does open "$dev" direct
	does bulkcheck 0 $pages random 1
	does bulkcheck $pages 256 text 1
	does close
	at_once stores "$sys/reset" 1
	at_once remove
	at_once unload
	load num_devices=0
}

run_tests
