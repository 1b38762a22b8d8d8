#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Suspend to memory while pages are written back: the machine wakes up, each page is written once and is right, and
# automatic turns go on. The time asleep counts for the age of pages and for the budget of writeback.
#
# Proves that a laptop may be closed at any time.
#
# Guest: stock memory=512M disk=64M processors=1 seconds=400
#
# With one processor, since an emulated machine on a busy host may lose its second one when it wakes up ("CPU1 failed to
# report alive state"), and with it an interrupt of its disk.

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"
# shellcheck source=tools/testing/lib/sleep.sh
. "${0%/*}/../lib/sleep.sh"

# has_blocks COUNT: succeeds if so many blocks of the backing device are in use, or more.
has_blocks() {
	bd_stat
	[ "$bd_count" -ge "$1" ]
}

# sectors_written DEVICE: sets $sectors to what the block layer has counted.
sectors_written() {
	read -r _ _ _ _ _ _ sectors _ <"/sys/block/${1#/dev/}/stat"
}

# The pages of a turn that a suspend interrupts are written once each, and the next turn finds new ones.
test_turn_goes_on() {
	local pages=4096 before sectors
	can_sleep
	# A request takes 0.2 s, so that the turn takes about 7 s.
	slow_nullb wb0 64 200000000
	backed "$nullb" 16M
	sectors_written "$nullb"
	before=$sectors
	does open "$dev" direct
	does bulk 0 $pages random 1
	stores "$sys/auto_writeback" 'age=0 every=1'
	eventually 60 has_blocks 1 || fail "no page was written"
	sleep_in_memory 4
	bd_stat
	[ "$bd_count" -lt $pages ] || fail "the turn had ended before the suspend"
	note "the machine slept for $slept ms, with $bd_count of $pages pages written"
	eventually 120 has_blocks $pages || fail "only $bd_count pages were written"
	counts "after the suspend" $pages 0 $pages
	sectors_written "$nullb"
	is "sectors that the device was written" $((sectors - before)) $((pages * 8))
	stat_of auto_writeback_pages
	is "pages of automatic writeback" "$value" $pages
	does bulkcheck 0 $pages random 1
	does bulk 0 100 random 2
	eventually 60 has_blocks $pages || fail "no turn came after the suspend"
	does bulkcheck 0 100 random 2
	does bulkcheck 100 $((pages - 100)) random 1
	does close
}

# A disk that sleeps, too, and turns that come one after the other: whatever the machine is about when it is suspended.
test_disk_sleeps_too() {
	local pages=4096 disk=${ZR_DISKS%% *} round
	can_sleep
	[ -b "$disk" ] || skip "there is no disk"
	backed "$disk" 32M lz4 packed
	stores "$sys/auto_writeback" 'age=0 every=1 available=100%'
	does open "$dev" direct
	for round in 1 2 3; do
		does bulk 0 $pages text "$round"
		does bulk $pages $pages random "$round"
		[ "$round" = 1 ] || sleep "0.$((round * 3))"
		sleep_in_memory 2
		does bulkcheck 0 $pages text "$round"
		does bulkcheck $pages $pages random "$round"
	done
	eventually 60 all_on_device || fail "only $packed_pages of $((2 * pages)) pages were written"
	does bulkcheck 0 $pages text "$round"
	does bulkcheck $pages $pages random "$round"
	does close
}

all_on_device() {
	pack_stat
	[ "$packed_pages" = $((2 * pages)) ]
}

# A writeback that a task has asked for is interrupted only.
test_manual_writeback_goes_on() {
	local pages=1024 before sectors
	can_sleep
	slow_nullb wb0 64 200000000
	backed "$nullb" 4M
	stores "$sys/writeback_batch_size" 1
	sectors_written "$nullb"
	before=$sectors
	does open "$dev" direct
	does bulk 0 $pages random 1
	store_in_background result "$sys/writeback" huge
	eventually 60 has_blocks 1 || fail "no page was written"
	sleep_in_memory 3
	bd_stat
	[ "$bd_count" -lt $pages ] || fail "the writeback had ended before the suspend"
	wait "$pid"
	is "the result of the writeback" "$(<"$TMP/result")" OK
	counts "after the suspend" $pages 0 $pages
	sectors_written "$nullb"
	is "sectors that the device was written" $((sectors - before)) $((pages * 8))
	does bulkcheck 0 $pages random 1
	does close
}

# The time asleep counts: afterwards pages are old enough, and the budget of the next period is there, but no more.
test_time_asleep_counts() {
	local period=30 awake
	can_sleep
	nullb wb0 4
	backed "$nullb" 1M
	stores "$sys/writeback_budget" $((10 * PAGE))/$period
	does open "$dev" direct
	does bulk 0 64 random 1
	writes_back page_indexes=0-9
	reads writeback_limit $'0\n'
	stores "$sys/auto_writeback" "age=$((period - 10)) every=1"
	clocks
	awake=$monotonic
	sleep 3
	counts "before the suspend" 10 0 10
	sleep_in_memory $((period + 2))
	eventually 15 has_blocks 20 || {
		fail "$bd_count blocks were written, should be 20"
		return
	}
	clocks
	awake=$((monotonic - awake))
	note "the machine slept for $slept ms, and was awake for $awake ms"
	[ $awake -lt $((period * 1000 - 10000)) ] || skip "the machine is too slow for this to prove anything"
	sleep 3
	counts "after the suspend" 20 0 20
	reads writeback_limit $'0\n'
	does bulkcheck 0 64 random 1
	does close
}

run_tests
