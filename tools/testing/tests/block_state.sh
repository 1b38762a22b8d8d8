#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The file block_state in debugfs: a line for each page, reads at any offset and of any size, and its lifetime. A reader
# blocks neither the reset nor the removal of the disk, and an open file keeps the module loaded.
#
# Guest: uml-debug group=writeback
# Guest: stock group=basic memory=2G
# Guest: stock-7.2 group=basic memory=2G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

# read_piece OFFSET BYTES: sets $piece to what one read returns.
read_piece() {
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
	# A line has 40 characters with the newline; C zram needs room for a NUL after them.
	read_piece 100 40
	is "40 bytes" "$piece" ''
	read_piece 100 41
	is "the line in 41 bytes" "${piece:0:12}" '         100'
	is "its length" ${#piece} 39
	read_piece 599 4096
	is "the last line" "${piece:0:12}" '         599'
	read_piece 600 4096
	is "behind the last" "$piece" ''
	read_piece 0 1
	is "one byte" "$piece" ''
	read_piece 123456789 4096
	is "far behind the last" "$piece" ''
	read_piece 200 100
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
		# Another process may still be about to close the disk.
		eventually 5 can_be_reset || fail "it cannot be reset: $errno"
		if [ $((round % 2)) = 0 ]; then
			remove
			add
		fi
	done
	kill $reader
	wait $reader 2>/dev/null
}

can_be_reset() {
	put "$sys/reset" 1
	[ "$errno" = OK ]
}

# The kernel oopses when a file of debugfs is closed after its operations were unloaded.
test_an_open_block_state_holds_the_module() {
	[ "$DRIVER" != zram ] || skip "C zram is unloaded, and the kernel oopses"
	add
	local state=/sys/kernel/debug/zram/zram$id/block_state
	[ -e "$state" ] || skip "there is no block_state"
	stores "$sys/disksize" 1M
	exec {fd}<"$state"
	not_ok rmmod "$DRIVER"
	is "what rmmod said" "$(<"$TMP/out")" "rmmod: ERROR: Module $DRIVER is in use"
	# The disk can be removed nevertheless; then a read fails.
	stores "$CONTROL/hot_remove" "$id"
	not_ok cat <&"$fd"
	exec {fd}<&-
	unload
	! loaded "$DRIVER" || fail "$DRIVER is still loaded"
	load
}

run_tests
