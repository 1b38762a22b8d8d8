#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Reads keep many blocks of the backing device busy for as long as a test needs: the reads go through another device,
# which is suspended meanwhile, and the writes do not.
#
# A read pins its own block and no other: writeback uses other blocks. When reads pin the only blocks without an owner,
# writeback waits for the reads, and can be interrupted; when all blocks have an owner, it fails at once. Statistics
# and settings work meanwhile, and after the reads, all is as before.
#
# An operation that must not wait for the reads has 10 s, and the reads end by themselves after 60 s: so an operation
# that waits for the reads exceeds its 10 s on any machine.
#
# Guest: uml-debug group=writeback
# Guest: stock group=stress memory=2G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

soon=10000

# hold: for a minute at most, so that a task that waits for the reads ends some time.
hold() {
	hold_reads wb0
	{
		sleep 60
		exec dmsetup resume wb0held
	} >"$TMP/rescue" 2>&1 &
	rescue=$!
}

release() {
	kill "$rescue" 2>/dev/null || fail "the reads were held for so long that they ended by themselves"
	release_reads wb0
}

# reads_begin COUNT: one direct read(2) of the first COUNT pages, in the background; its process is $reader.
reads_begin() {
	{ exec dd if="$dev" of="$TMP/copy" bs=$(($1 * PAGE)) count=1 iflag=direct >"$TMP/dd" 2>&1; } &
	reader=$!
	eventually 30 reads_in_flight "$1" || fail "only $reads reads of $1 are under way"
}

# reads_end COUNT KIND SEED: all is read, and is what it was when the reading began, as $TMP/before has it.
reads_end() {
	release
	wait $reader || fail "reading failed: $(<"$TMP/dd")"
	ok cmp "$TMP/copy" "$TMP/before"
	rm -f "$TMP/copy" "$TMP/before"
}

# remember COUNT: what the first COUNT pages are before they are written back.
remember() {
	ok dd if="$dev" of="$TMP/before" bs=$(($1 * PAGE)) count=1 iflag=direct
}

# at_once COMMAND...: must not wait for reads. The longest is kept for each command.
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

tell_longest() {
	local what
	for what in "${!longest[@]}"; do
		note "    $what: ${longest[$what]} ms"
	done
}

# still_waits NAME: after a while; what waits for nothing has ended by then, and if not, the test is none the worse.
still_waits() {
	sleep 1
	kill -0 "$pid" 2>/dev/null || fail "writeback $1 did not wait for the reads: $(<"$TMP/$1")"
}

# result NAME ERRNO: the writeback ends so, soon.
result() {
	at_once wait "$pid"
	is "the result of writeback $1" "$(<"$TMP/$1")" "$2"
}

test_reads_keep_no_other_block() {
	local pages=8192
	holdable wb0 76800
	backed "$mapped" 64M lz4
	does open "$dev" direct
	does bulk 0 $pages random 1
	remember $pages
	writes_back huge
	counts "of the first" $pages 0 $pages
	does bulk $pages $pages random 1
	hold
	reads_begin $pages
	at_once writes_back huge
	bd_stat
	is "pages written back in the end" "$bd_count $bd_writes" "$((2 * pages)) $((2 * pages))"
	reads_in_flight $pages || fail "only $reads reads are under way still"
	tell_longest
	reads_end $pages
	does bulkcheck 0 $((2 * pages)) random 1
	does close
}

test_full_is_told_at_once() {
	holdable wb0 64
	backed "$mapped" 1M lz4
	does open "$dev" direct
	does bulk 0 80 random 1
	at_once writes_back huge ENOSPC
	counts "of a full device" 64 0 64
	at_once writes_back huge ENOSPC
	# Also while blocks are being read that do have an owner. The largest numbers went first.
	does discard $((64 * PAGE)) $((16 * PAGE))
	bd_stat
	is "pages written back" "$bd_count" 48
	writes_back huge
	counts "of a device that is full again" 64 0 80
	does bulk 64 16 random 1
	cp /dev/null "$TMP/before"
	hold
	reads_begin 64
	at_once writes_back huge ENOSPC
	reads_in_flight 64 || fail "only $reads reads are under way still"
	release
	ok wait $reader
	tell_longest
	does bulkcheck 0 80 random 1
	does close
}

test_busy_is_waited_for() {
	[ "$DRIVER" != zram ] || [ -n "${ALL:-}" ] || skip "C zram does not keep a block that is being read"
	holdable wb0 64
	backed "$mapped" 1M lz4
	does open "$dev" direct
	does bulk 0 64 random 1
	remember 64
	writes_back huge
	counts "of all" 64 0 64
	hold
	reads_begin 64
	# No block has an owner then, and all are being read.
	does bulk 0 32 random 2
	does discard $((32 * PAGE)) $((32 * PAGE))
	does bulk 64 32 random 2
	counts "of none" 0 64 64
	store_in_background a "$sys/writeback" huge
	still_waits a
	at_once mm_stat
	at_once bd_stat
	at_once stores "$sys/writeback_limit" 1000
	at_once busy
	kill -INT "$pid" 2>/dev/null
	result a EINTR
	counts "of an interrupted writeback" 0 64 64
	store_in_background b "$sys/writeback" huge
	still_waits b
	kill -KILL "$pid" 2>/dev/null
	result b '' 2>/dev/null
	store_in_background c "$sys/writeback" huge
	still_waits c
	reads_in_flight 64 || fail "only $reads reads are under way still"
	reads_end 64
	result c OK
	counts "of all again" 64 64 128
	tell_longest
	does bulkcheck 0 32 random 2
	does bulkcheck 32 32 zero 0
	does bulkcheck 64 32 random 2
	does close
}

# busy: neither reset nor removed.
busy() {
	stores "$sys/reset" 1 EBUSY
	stores $CONTROL/hot_remove "$id" EBUSY
}

block_state() {
	: <"$1" && local text && text=$(<"$1")
}

test_all_answers_while_reads_are_under_way() {
	local pages=6144 round state
	holdable wb0 8192
	backed "$mapped" 32M lz4
	state=/sys/kernel/debug/zram/zram$id/block_state
	does open "$dev" direct
	does bulk 0 $pages random 1
	remember $pages
	writes_back huge
	does bulk $pages 256 text 1
	does close
	hold
	reads_begin $pages
	for round in 1 2 3 4 5; do
		at_once mm_stat
		at_once bd_stat
		at_once io_stat
		[ ! -e "$state" ] || at_once block_state "$state"
		at_once stores "$sys/writeback_limit" $round
		at_once stores "$sys/mem_limit" 64M
		at_once stores "$sys/idle" all
		at_once stores "$sys/writeback_limit" 1000
		at_once writes_back idle
		at_once busy
	done
	reads_in_flight $pages || fail "only $reads reads are under way still"
	# Its reads are: direct I/O has the memory until they are over.
	kill -KILL $reader
	sleep 0.5
	kill -0 $reader 2>/dev/null || fail "the reader is gone, and its reads are not"
	at_once busy
	reads_in_flight $pages || fail "only $reads reads are under way still"
	release
	at_once wait $reader 2>/dev/null
	tell_longest
	is "reads under way after that" "$(reads_in_flight 1 && echo "$reads")" ''
	# Once more, to the end.
	hold
	reads_begin $pages
	reads_end $pages
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
