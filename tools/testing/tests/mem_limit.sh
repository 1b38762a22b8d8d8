#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The files mem_limit and mem_used_max: the values that they accept, and writes to a disk that has reached its limit.
# Such a write fails, all pages keep their data, and the counters of mm_stat stay exact. A file system reports a lack of
# space, and can be written to when there is some again.
#
# Guest: uml-debug group=basic quick
# Guest: stock group=basic memory=2G
# Guest: arm64-64k-debug group=basic memory=2G seconds=1200

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

# The result of a write beyond the limit.
FULL=ENOSPC
[ "$DRIVER" != zram ] || FULL=EIO

test_mem_limit() {
	local value want hex
	printf -v hex 0x%x $((2 * PAGE))
	add
	for value in garbage '' -1 M; do
		stores "$sys/mem_limit" "$value" EINVAL
	done
	# Before and after initialisation: the driver keeps the limit in pages, rounded up.
	for _ in new ready; do
		while read -r value want; do
			stores "$sys/mem_limit" "$value"
			mm_stat
			is "the limit after '$value'" "$limit" "$want"
		done <<-END
			1 $PAGE
			$((PAGE + 1)) $((2 * PAGE))
			10M 10485760
			1Ggarbage 1073741824
			$hex $((2 * PAGE))
			2T 2199023255552
			0 0
		END
		stores "$sys/mem_limit" 3M
		stores "$sys/disksize" 1M "$([ "$(<"$sys/initstate")" = 0 ] && echo OK || echo EBUSY)"
		mm_stat
		is "the limit after disksize" "$limit" 3145728
	done
	stores "$sys/reset" 1
	mm_stat
	is "the limit after reset" "$limit" 0
}

# A page that does not compress takes exactly one page of memory, so the test knows how many fit.
test_writes_fail_at_mem_limit() {
	local slot
	disk 8M lz4
	stores "$sys/mem_limit" $((256 * PAGE))
	does open "$dev" direct
	does write 0 100 random 1
	does write 100 156 random 1
	mm_stat
	is "mem_used_total at the limit" "$used" $((256 * PAGE))
	# An overwrite allocates a page before it frees one.
	for slot in 0 7 255 256 257; do
		refuses $FULL write $slot 1 random 2
	done
	refuses $FULL write 300 1 text 1
	io_stat
	is "failed_writes" "$failed_writes" 6
	is "failed_reads" "$failed_reads" 0
	mm_stat
	is "orig_data_size after failed writes" "$orig" $((256 * PAGE))
	is "huge_pages after failed writes" "$huge" 256
	does bulkcheck 0 256 random 1
	does bulkcheck 256 100 zero 0
	# The first page of a larger write fails.
	refuses $FULL bulk 0 16 random 3
	does bulkcheck 0 256 random 1
	# Same-filled pages need no memory, and overwriting with them frees some.
	does write 0 1 same 4
	does write 1 1 zero 4
	does write 256 10 same 4
	mm_stat
	is "same_pages at the limit" "$same" 12
	does write 2 1 random 5
	does check 0 1 same 4
	does check 1 1 zero 4
	does check 2 1 random 5
	does bulkcheck 3 253 random 1
	does check 256 10 same 4
	# Writes succeed again after the limit was raised or removed, or after a discard.
	stores "$sys/mem_limit" $((512 * PAGE))
	does write 512 100 random 6
	stores "$sys/mem_limit" $PAGE
	refuses $FULL write 612 1 random 6
	stores "$sys/mem_limit" 0
	does write 612 100 random 6
	does bulkcheck 512 200 random 6
	stores "$sys/mem_limit" $PAGE
	does discard 0 $((2048 * PAGE))
	eventually 5 pool_is_empty || fail "$used bytes are in use after discard"
	does write 0 1 random 7
	refuses $FULL write 1 1 random 7
	does check 0 1 random 7
}

test_mem_used_max() {
	local value
	add
	for value in 1 garbage '' -1 '0 0' 4096; do
		stores "$sys/mem_used_max" "$value" EINVAL
	done
	stores "$sys/mem_used_max" 0
	stores "$sys/disksize" 4M
	does open "$dev" direct
	does bulk 0 512 random 1
	mm_stat
	at_least "mem_used_max with 512 random pages" "$used_max" $((512 * PAGE))
	stores "$sys/mem_used_max" 1 EINVAL
	does discard 0 $((1024 * PAGE))
	eventually 5 pool_is_empty || fail "$used bytes are in use after discard"
	at_least "mem_used_max after discard" "$used_max" $((512 * PAGE))
	stores "$sys/mem_used_max" 0
	mm_stat
	is "mem_used_max, set to what is used" "$used_max" "$used"
	does bulk 0 4 random 1
	mm_stat
	is "mem_used_max of 4 pages" "$used_max" $((4 * PAGE))
}

# writes_file FILE MEGABYTES: sets $errno to the result of writing so much of what does not compress, and of fsync.
writes_file() {
	dd if=/dev/urandom of="$1" bs=1M count="$2" conv=fsync status=none 2>"$TMP/dd"
	errno_of "$(<"$TMP/dd")"
}

# The metadata is there before the limit is reached, so that only data finds no space.
test_a_file_system_at_mem_limit() {
	local mnt=$TMP/mnt
	disk 64M lz4
	ok mke2fs -q -t ext4 -O ^has_journal "$dev"
	mkdir -p "$mnt"
	ok mount -o discard "$dev" "$mnt" || return
	writes_file "$mnt/first" 4
	is "the result of a file with no limit" "$errno" OK
	: >"$mnt/second"
	sync
	mm_stat
	stores "$sys/mem_limit" $((used + (4 << 20)))
	writes_file "$mnt/second" 16
	is "the result of a file beyond the limit" "$errno" $FULL
	io_stat
	at_least "failed_writes" "$failed_writes" 1
	[[ $(findmnt -n -o OPTIONS "$mnt") == rw,* ]] || fail "the file system is $(findmnt -n -o OPTIONS "$mnt")"
	rm "$mnt/second"
	# A file system discards in the background.
	sync
	ok fstrim "$mnt"
	writes_file "$mnt/third" 2
	is "the result of a file after that" "$errno" OK
	[[ $(findmnt -n -o OPTIONS "$mnt") == rw,* ]] || fail "the file system is $(findmnt -n -o OPTIONS "$mnt") then"
	stores "$sys/mem_limit" 0
	ok umount "$mnt"
	ok e2fsck -fn "$dev"
}

run_tests
