#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The tracepoints of the driver: each appears once for what happened, with the right values, and none while it is off.
#
# Guest: uml-debug group=writeback
# Guest: stock group=storage disk=1G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

TRACING=/sys/kernel/tracing

# trace 0|1: turns all tracepoints of the driver off or on. Empties the trace before they are on.
trace() {
	[ -d $TRACING/events ] || mount -t tracefs tracefs $TRACING 2>/dev/null || skip "this kernel has no tracefs"
	[ -d $TRACING/events/zram_rs ] || fail "there are no events of zram_rs"
	# This clock orders the events of all processors. Choosing it empties the trace.
	[ "$1" = 0 ] || stores $TRACING/trace_clock counter
	stores $TRACING/events/zram_rs/enable "$1"
}

# traced EVENT...: the trace must have these events of the disk, in this order, with an index of "#" for the number of
# the disk.
traced() {
	local number want
	number=$(<"$sys/dev")
	printf -v want '%s\n' "${@//#/${number/:/,}}"
	is "the trace" "$(sed -n 's/^.* zram_\([a-z_]*: .*\)$/\1/p' $TRACING/trace)"$'\n' "$want"
}

test_all_events_are_there() {
	trace 0
	is "the events" "$(cd $TRACING/events/zram_rs && echo */)" \
		"zram_slot_read/ zram_slot_readback/ zram_slot_write/ zram_slot_writeback/ zram_turn_begin/ zram_turn_end/"
}

test_pages_in_memory() {
	local size
	disk 1M lz4
	does open "$dev" direct
	trace 1
	does write 3 1 text 1
	mm_stat
	size=$compr
	does write 4 1 random 1
	does write 5 1 same 1
	does check 3 1 text 1
	does check 4 1 random 1
	does check 5 1 same 1
	does check 6 1 zero 0
	# Another incompressible page in the place of the first, which is written over it.
	does write 4 1 random 2
	does discard $((5 * PAGE)) $PAGE
	trace 0
	does write 7 1 text 1
	does check 7 1 text 1
	traced "slot_write: # index=3 size=$size" "slot_write: # index=4 size=$PAGE" 'slot_write: # index=5 size=0' \
		"slot_read: # index=3 size=$size" "slot_read: # index=4 size=$PAGE" 'slot_read: # index=5 size=0' \
		'slot_read: # index=6 size=0' "slot_write: # index=4 size=$PAGE"
	does close
}

test_pages_on_the_device() {
	nullb wbtrace 1
	backed "$nullb" 1M lz4
	does open "$dev" direct
	does write 2 2 random 1
	trace 1
	writes_back page_indexes=2-3
	writes_back page_index=7
	does check 3 1 random 1
	bad_sectors wbtrace 0 2047
	refuses EIO read $((2 * PAGE)) $PAGE
	does write 4 1 random 1
	writes_back page_index=4 EIO
	good_sectors wbtrace 0 2047
	trace 0
	traced 'turn_begin: # kind=writeback' "slot_writeback: # index=2 block=0 size=$PAGE" \
		"slot_writeback: # index=3 block=1 size=$PAGE" 'turn_end: # kind=writeback written=2 error=0' \
		'turn_begin: # kind=writeback' 'turn_end: # kind=writeback written=0 error=0' \
		'slot_readback: # index=3 block=1 error=0' 'slot_readback: # index=2 block=0 error=-5' \
		"slot_write: # index=4 size=$PAGE" 'turn_begin: # kind=writeback' 'turn_end: # kind=writeback written=0 error=-5'
	does close
}

test_turns() {
	nullb wbtrace 1
	add
	stores "$sys/comp_algorithm" lz4
	stores "$sys/recomp_algorithm" algo=zstd
	set_form packed
	stores "$sys/backing_dev" "$nullb"
	stores "$sys/disksize" 1M
	trace 1
	stores "$sys/recompress" type=idle
	stores "$sys/writeback" compact
	stores "$sys/recompress" 'type=idle priority=3' EINVAL
	trace 0
	traced 'turn_begin: # kind=recompress' 'turn_end: # kind=recompress written=0 error=0' \
		'turn_begin: # kind=compact' 'turn_end: # kind=compact written=0 error=0' \
		'turn_begin: # kind=recompress' 'turn_end: # kind=recompress written=0 error=-22'
}

run_tests
