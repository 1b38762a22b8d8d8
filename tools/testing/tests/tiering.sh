#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The files auto_writeback and auto_recompress: what they accept, and what turns do by themselves, on the real clock.
#
# Proves that cold pages go to the backing device without a single write to sysfs, and no others.
#
# Guest: uml-debug group=tiering seconds=400
# Guest: stock group=tiering

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

# last_log TEXT: the last line of the log must end with TEXT.
last_log() {
	local line
	line=$(dmesg | tail -n 1)
	[[ $line == *"$1" ]] || fail "the last line of the log is '$line', should end with '$1'"
}

# refuses_setting FILE VALUE REASON: a write must fail with EINVAL, with the reason in the log, and change nothing.
refuses_setting() {
	local before
	before=$(<"$sys/$1")
	stores "$sys/$1" "$2" EINVAL
	last_log "$1: $3"
	is "$1 after '$2'" "$(<"$sys/$1")" "$before"
}

test_auto_writeback() {
	local value reason seconds='it is not a number of seconds' percent='it is not a percentage from 0% to 100%'
	local bytes='it is not a number of bytes that make a page' need='need age=<seconds>, or off'
	add
	is "the mode of auto_writeback" "$(stat -c %a "$sys/auto_writeback")" 644
	reads auto_writeback $'off\n'
	stores "$sys/auto_writeback" age=3600
	reads auto_writeback $'age=3600 every=60 max=67108864\n'
	stores "$sys/auto_writeback" 'available=5% max=1M above=50% every=7 huge_age=60 age=100'
	reads auto_writeback $'age=100 huge_age=60 every=7 max=1048576 above=50% available=5%\n'
	# Before and after initialisation, and over a reset.
	stores "$sys/disksize" 1M
	reads auto_writeback $'age=100 huge_age=60 every=7 max=1048576 above=50% available=5%\n'
	stores "$sys/auto_writeback" age=8
	stores "$sys/reset" 1
	reads auto_writeback $'age=8 every=60 max=67108864\n'
	put_bare "$sys/auto_writeback" 'age=0'
	reads auto_writeback $'age=0 every=60 max=67108864\n'
	while IFS='|' read -r value reason; do
		refuses_setting auto_writeback "$value" "$reason"
	done <<-END
		|$need
		every=5|$need
		on|on: it has no value
		off age=1|off: it has no value
		age=1 off|off: it has no value
		age|age: it has no value
		age=|age: it has no value
		age=-1|age: $seconds
		age=1h|age: $seconds
		age=4294967296|age: $seconds
		age=1 age=1|age: it is given twice
		age=1 huge_age=x|huge_age: $seconds
		age=1 huge_age=2|huge_age must not be above age
		age=1 every=0|every: $seconds above 0
		age=1 max=0|max: $bytes
		age=1 max=1|max: $bytes
		age=1 max=1KB|max: $bytes
		age=1 above=50|above: $percent
		age=1 above=101%|above: $percent
		age=1 available=-1%|available: $percent
		age=1 available=5% available=5%|available: it is given twice
		age=1 type=huge|type: there is no such name
	END
	stores "$sys/auto_writeback" off
	reads auto_writeback $'off\n'
}

test_auto_recompress() {
	local value reason
	add
	is "the mode of auto_recompress" "$(stat -c %a "$sys/auto_recompress")" 644
	reads auto_recompress $'off\n'
	stores "$sys/auto_recompress" age=60
	reads auto_recompress $'age=60 every=60 max=67108864\n'
	stores "$sys/auto_recompress" 'threshold=3000 priority=2 algo=zstd max=2M every=9 age=1'
	reads auto_recompress $'age=1 every=9 max=2097152 algo=zstd priority=2 threshold=3000\n'
	while IFS='|' read -r value reason; do
		refuses_setting auto_recompress "$value" "$reason"
	done <<-END
		|need age=<seconds>, or off
		zstd|zstd: it has no value
		age=1 age=2|age: it is given twice
		age=x|age: it is not a number of seconds
		age=1 every=x|every: it is not a number of seconds above 0
		age=1 max=4095|max: it is not a number of bytes that make a page
		age=1 algo=lz5|algo: there is no such algorithm
		age=1 priority=0|priority: it is not a priority from 1 to 3
		age=1 priority=4|priority: it is not a priority from 1 to 3
		age=1 threshold=65536|threshold: it is not a number of bytes below that of a page
		age=1 huge_age=1|huge_age: there is no such name
	END
	stores "$sys/auto_recompress" off
	reads auto_recompress $'off\n'
}

test_defaults_of_new_disks() {
	local value
	load num_devices=1 'auto_writeback="age=7 every=9 max=1M"' 'auto_recompress="age=5 priority=2"' \
		writeback_budget=1M/60 compressed_writeback=1 packed_writeback=1
	use 0
	reads auto_writeback $'age=7 every=9 max=1048576\n'
	reads auto_recompress $'age=5 every=60 max=67108864 priority=2\n'
	reads writeback_budget $'1048576/60\n'
	reads compressed_writeback $'1\n'
	reads packed_writeback $'1\n'
	# Each disk has its own.
	stores "$sys/auto_writeback" off
	stores "$sys/compressed_writeback" 0
	add
	reads auto_writeback $'age=7 every=9 max=1048576\n'
	reads compressed_writeback $'1\n'
	unload
	for value in 'auto_writeback="age=7 age=8"' auto_writeback= auto_recompress=zstd writeback_budget=1M \
		compressed_writeback=2 packed_writeback=x; do
		not_ok modprobe "$DRIVER" num_devices=1 "$value"
		[[ $(<"$TMP/out") == *'Invalid argument'* ]] || fail "modprobe says '$(<"$TMP/out")'"
		[[ $(dmesg | tail -n 2) == *zram_rs:*"${value%%=*}"* || $(dmesg | tail -n 2) == *"for parameter"* ]] ||
			fail "the log does not name ${value%%=*}: $(dmesg | tail -n 2)"
		! loaded "$DRIVER" || fail "the driver was loaded with $value"
	done
	# A value counts if it is the last.
	load num_devices=0 auto_writeback=nonsense auto_writeback=age=3
	add
	reads auto_writeback $'age=3 every=60 max=67108864\n'
	unload
}

# marks INDEX COUNT MARK: sets $marks to how many of these pages have the mark in block_state.
marks() {
	local index line wanted=$3
	marks=0
	# A read that ends within a line, as that of the shell, would not end.
	cat "/sys/kernel/debug/zram/${sys##*/}/block_state" >"$TMP/state"
	while read -r index line; do
		[ "$index" -lt "$1" ] || [ "$index" -ge $(($1 + $2)) ] || [[ ${line##* } != *"$wanted"* ]] || marks=$((marks + 1))
	done <"$TMP/state"
}

# A third of the disk is used all the time, a third was used less than 8 seconds ago, and a third was not.
test_cold_pages_go() {
	local third=64 until
	[ -e /sys/kernel/debug/zram ] || mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
	nullb wb0 4
	add
	stores "$sys/comp_algorithm" lzo
	stores "$sys/recomp_algorithm" 'algo=zstd priority=1'
	stores "$sys/backing_dev" "$nullb"
	stores "$sys/auto_writeback" 'age=24 every=3'
	stores "$sys/auto_recompress" 'age=8 every=3'
	stores "$sys/disksize" 1M
	does open "$dev" direct
	does bulk $((2 * third)) $third text 3
	sleep 14
	does bulk $third $third text 2
	does bulk 0 $third text 1
	until=$((SECONDS + 16))
	while [ $SECONDS -lt $until ]; do
		does bulkcheck 0 $third text 1
		sleep 0.5
	done
	marks $((2 * third)) $third w
	is "cold pages on the device" "$marks" $third
	marks 0 $((2 * third)) w
	is "other pages on the device" "$marks" 0
	marks $third $third r
	is "warm pages that were recompressed" "$marks" $third
	marks $((2 * third)) $third r
	is "cold pages that were recompressed" "$marks" $third
	marks 0 $third r
	is "hot pages that were recompressed" "$marks" 0
	counts "of the cold third" $third 0 $third
	is "pages of automatic writeback" "$(sed -n 's/^auto_writeback_pages //p' "$sys/stats")" $third
	is "pages of automatic recompression" "$(sed -n 's/^auto_recompress_pages //p' "$sys/stats")" $((2 * third))
	grep -q '^auto_writeback_ends_done [1-9]' "$sys/stats" || fail "no turn was done: $(grep _ends_ "$sys/stats")"
	does bulkcheck 0 $third text 1
	does bulkcheck $third $third text 2
	does bulkcheck $((2 * third)) $third text 3
	does close
}

# wait_for_blocks SECONDS COUNT: waits until so many blocks are in use, or more.
wait_for_blocks() {
	eventually "$1" blocks_in_use "$2" || fail "only $bd_count blocks are in use after $1 s, should be $2"
}

blocks_in_use() {
	bd_stat
	[ "$bd_count" -ge "$1" ]
}

# The oldest pages go first if a turn may not take all, and incompressible ones sooner.
test_oldest_pages_go_first() {
	nullb wb0 1
	backed "$nullb" 1M
	does open "$dev" direct
	does bulk 200 20 text 1
	sleep 3
	does bulk 0 20 text 2
	sleep 3
	does bulk 100 20 text 3
	sleep 2
	stores "$sys/auto_writeback" "age=0 every=2 max=$((25 * PAGE))"
	wait_for_blocks 10 20
	[ "$bd_count" -lt 40 ] || fail "a turn wrote $bd_count pages, with 25 as the maximum"
	stores "$sys/auto_writeback" off
	find_places 200 20
	repeat_letter d 20
	is "places of the oldest pages" "$places" "$times"
	find_places 100 20
	repeat_letter m 20
	is "places of the newest pages" "$places" "$times"
	does close
	stores "$sys/reset" 1

	stores "$sys/backing_dev" "$nullb"
	stores "$sys/disksize" 1M
	does open "$dev" direct
	does bulk 0 20 text 1
	does bulk 20 20 random 1
	stores "$sys/auto_writeback" 'age=1000 huge_age=2 every=1'
	wait_for_blocks 10 20
	sleep 2
	counts "with huge_age" 20 0 20
	does close
}

test_little_memory() {
	nullb wb0 1
	backed "$nullb" 1M
	does open "$dev" direct
	does bulk 0 64 random 1
	# No machine has all of its memory available: pages of any age go, long before the turn that is due.
	stores "$sys/auto_writeback" 'age=1000000 every=1000 available=0%'
	sleep 3
	counts "with enough memory" 0 0 0
	stores "$sys/auto_writeback" 'age=1000000 every=1000 available=100%'
	wait_for_blocks 10 64
	does bulkcheck 0 64 random 1
	does close
	stores "$sys/reset" 1

	# Only while more than a share of the limit is in use: 64 random pages take 256 KiB of 1 MiB.
	stores "$sys/backing_dev" "$nullb"
	stores "$sys/mem_limit" 1M
	stores "$sys/auto_writeback" 'age=0 every=1 above=50%'
	stores "$sys/disksize" 4M
	does open "$dev" direct
	does bulk 0 64 random 1
	sleep 4
	counts "with a quarter of the limit" 0 0 0
	stores "$sys/auto_writeback" 'age=0 every=1 above=20%'
	wait_for_blocks 10 1
	does close
}

# Automatic writeback keeps to the budget, also over a reset.
test_budget() {
	nullb wb0 4
	backed "$nullb" 2M
	stores "$sys/writeback_budget" $((10 * PAGE))/1000
	does open "$dev" direct
	does bulk 0 64 random 1
	stores "$sys/auto_writeback" 'age=0 every=1'
	wait_for_blocks 10 10
	sleep 3
	counts "with a budget of 10 pages" 10 0 10
	reads writeback_limit $'0\n'
	does close
	stores "$sys/reset" 1
	stores "$sys/backing_dev" "$nullb"
	stores "$sys/disksize" 2M
	does open "$dev" direct
	does bulk 0 64 random 1
	sleep 4
	counts "after a reset" 0 0 0
	# Raising the budget lets the rest go.
	stores "$sys/writeback_budget" $((30 * PAGE))/1000
	wait_for_blocks 10 20
	sleep 2
	counts "with a budget of 30 pages" 20 0 20
	does close
}

has_at_most_blocks() {
	pack_stat
	[ "$packed_blocks" -le "$1" ]
}

has_written() {
	bd_stat
	[ "$bd_writes" -ge "$1" ]
}

# short_of_blocks: adds a disk whose backing device has few free blocks and many sparse ones, $blocks in use.
short_of_blocks() {
	local index
	blocks wb0 124
	backed "$mapped" 2M zstd packed
	does open "$dev" direct
	# Three of them fill a block.
	does bulk 0 360 hex 17
	writes_back page_indexes=0-359
	for ((index = 1; index < 360; index += 2)); do
		does discard $((index * PAGE)) $PAGE
	done
	pack_stat
	blocks=$packed_blocks
	at_least "blocks" "$blocks" 110
	at_least "sparse blocks" "$sparse" 10
}

check_those_left() {
	local index
	pack_stat
	is "pages on the device" "$packed_pages" 180
	for ((index = 0; index < 360; index += 2)); do
		does check $index 1 hex 17
	done
	does close
}

# A turn compacts a device that is nearly full, within the budget, also when no page is old enough.
test_turn_compacts() {
	local blocks writes
	short_of_blocks
	bd_stat
	writes=$bd_writes
	stores "$sys/writeback_budget" $((3 * PAGE))/100000
	sleep 2
	bd_stat
	is "blocks written while it is off" "$bd_writes" "$writes"
	stores "$sys/auto_writeback" 'age=1000000 every=1'
	eventually 20 has_written $((writes + 3)) || fail "$((bd_writes - writes)) blocks were written, should be 3"
	sleep 3
	bd_stat
	is "blocks written within the budget" $((bd_writes - writes)) 3
	stat_of auto_writeback_ends_limit
	at_least "turns that the limit has ended" "$value" 1
	stores "$sys/writeback_budget" off
	eventually 30 has_at_most_blocks $((blocks - 20)) || fail "$packed_blocks blocks are in use, $blocks before"
	stores "$sys/auto_writeback" off
	stat_of auto_writeback_moved
	at_least "pages that were moved" "$value" 60
	stat_of auto_writeback_pages
	is "pages of automatic writeback" "$value" 0
	bd_stat
	stat_of auto_writeback_bytes
	is "bytes of automatic writeback" "$value" $(((bd_writes - writes) * PAGE))
	check_those_left
}

has_moved() {
	stat_of auto_writeback_moved
	[ "$value" != 0 ]
}

# A turn moves no more pages than it may process, and none if these are fewer than a block can have: moving them might
# take as many blocks as it frees, again and again.
test_max_bounds_compaction() {
	local blocks
	short_of_blocks
	stores "$sys/auto_writeback" 'age=1000000 every=1 max=52K'
	eventually 10 has_turns 2 || fail "no turn came"
	stat_of auto_writeback_moved
	is "pages that were moved by turns of 13 pages" "$value" 0
	stores "$sys/auto_writeback" 'age=1000000 every=1000 max=56K'
	eventually 30 has_moved || fail "no page was moved"
	stores "$sys/auto_writeback" off
	is "pages that a turn of 14 pages has moved" "$value" 14
	stat_of auto_writeback_ends_max
	is "turns that the maximum has ended" "$value" 1
	check_those_left
}

has_turns() {
	stat_of auto_writeback_turns
	[ "$value" -ge "$1" ]
}

# A disk without a backing device, or without the algorithm, has nothing to do.
test_nothing_to_do() {
	disk 1M lzo
	stores "$sys/auto_writeback" 'age=0 every=1 available=100%'
	stores "$sys/auto_recompress" 'age=0 every=1 algo=zstd'
	does open "$dev" direct
	does bulk 0 64 text 1
	sleep 4
	does bulkcheck 0 64 text 1
	does close
	stores "$sys/reset" 1
	sleep 2
	stores "$sys/disksize" 1M
	sleep 2
}

# begin_long_turn: begins a turn that takes about 15 s, with a device that takes 0.2 s for a request.
begin_long_turn() {
	slow_nullb "$1" 64 200000000
	backed "$nullb" 32M
	does open "$dev" direct
	does bulk 0 8192 random 1
	stores "$sys/auto_writeback" 'age=0 every=1'
	wait_for_blocks 20 1
}

# takes_at_most SECONDS SINCE: fails if more time has passed.
takes_at_most() {
	now
	[ $((now - $2)) -le $(($1 * 1000)) ] || fail "it took $((now - $2)) ms, should take at most $1 s"
}

# What waits for the disk waits for a slice, and not for the turn.
test_turn_lets_others_go_first() {
	local began
	begin_long_turn wb0
	now
	began=$now
	writes_back page_index=8191
	takes_at_most 4 "$began"
	bd_stat
	[ "$bd_count" -lt 8192 ] || fail "the turn had ended before the manual writeback"
	find_places 8191 1
	is "the place of the page" "$places" d
	does close
	now
	began=$now
	stores "$sys/reset" 1
	takes_at_most 4 "$began"
	reads auto_writeback $'age=0 every=1 max=67108864\n'
	stores "$sys/auto_writeback" off

	begin_long_turn wb1
	does close
	now
	began=$now
	stores "$CONTROL/hot_remove" "$id"
	takes_at_most 4 "$began"
	begin_long_turn wb2
	now
	began=$now
	stores "$sys/auto_writeback" off
	takes_at_most 4 "$began"
	bd_stat
	began=$bd_count
	sleep 1
	bd_stat
	is "pages on the device after turning it off" "$bd_count" "$began"
	does close
}

# Without free memory, pages go one by one, with what was set aside.
test_no_free_memory() {
	nullb wb0 4
	add
	stores "$sys/comp_algorithm" lzo
	stores "$sys/recomp_algorithm" 'algo=zstd priority=1'
	stores "$sys/backing_dev" "$nullb"
	stores "$sys/auto_writeback" 'age=1 every=1'
	stores "$sys/disksize" 2M
	does open "$dev" direct
	does bulk 0 300 random 1
	no_free_memory 100
	stores $INJECT/task-filter N
	wait_for_blocks 60 300
	stores $INJECT/probability 0
	count_injected
	at_least "allocations that failed" "$injected" 1
	does bulkcheck 0 300 random 1
	does close
}

run_tests
