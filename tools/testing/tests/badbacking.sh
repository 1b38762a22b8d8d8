#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Writeback to, and reads from, backing devices that fail: permanently, at times, in single blocks, or by losing writes
# that they report as successful.
#
# Proves that a page whose write failed stays in memory, is readable and can be written back later; that no block and
# no part of the limit is lost; that a failed read returns the device's error and no other page's data; and that all is
# as before when the device works again.
#
# Guest: uml-debug group=writeback
# Guest: stock group=storage disk=1G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

# make_device NAME MEGABYTES: makes a device wbNAME. break_device NAME: its requests fail. repair_device NAME: they do
# not.
make_device() {
	nullb "wb$1n" "$2"
	linear="0 $(($2 * 2048)) linear $nullb 0"
	error="0 $(($2 * 2048)) error"
	mapped "wb$1" "$linear"
}

repair_device() {
	remap "wb$1" "$linear"
}

break_device() {
	remap "wb$1" "$error"
}

# save_pages COUNT: saves the first pages of the disk for scan_pages.
save_pages() {
	ok dd if="$dev" of="$TMP/copy" bs=64K count=$(($1 * PAGE)) iflag=count_bytes,direct status=none
}

# scan_pages INDEX COUNT ERRNO: one direct read of these pages must return ERRNO, and no page of the buffer may have
# other data. Sets $seen to a letter for each page (see wbtool.pl).
scan_pages() {
	local outcome
	wbtool scan "$dev" "$1" "$2" "$TMP/copy" >"$TMP/seen"
	read -r outcome seen <"$TMP/seen"
	is "the result of reading pages $1 to $(($1 + $2 - 1))" "$outcome" "$3"
	is "the length of what was read" ${#seen} "$2"
	[[ $seen != *f* ]] || fail "pages have foreign bytes: $seen"
}

# bad_blocks and good_blocks NAME BLOCK...: reads and writes of these blocks of a nullb fail, or succeed again.
bad_blocks() {
	local block
	for block in "${@:2}"; do
		bad_sectors "$1" $((block * 8)) $((block * 8 + 7))
	done
}

good_blocks() {
	local block
	for block in "${@:2}"; do
		good_sectors "$1" $((block * 8)) $((block * 8 + 7))
	done
}

# --- Devices that no page can be written to ---------------------------------------------------------

# One of the kernels that run this script supports zones; one supports blocks larger than a page.
test_a_device_with_zones_is_refused() {
	[ "$DRIVER" != zram ] || skip "C zram takes a device with zones"
	nullb wb0 1
	mkdir "$NULLB/wb1" || exit 1
	put "$NULLB/wb1/size" 64
	put "$NULLB/wb1/memory_backed" 1
	put "$NULLB/wb1/zoned" 1
	put "$NULLB/wb1/zone_size" 4
	put "$NULLB/wb1/power" 1
	[ "$errno" = OK ] || skip "this kernel has no zoned devices: $errno"
	eventually 5 [ -b /dev/wb1 ] || fail "/dev/wb1 did not appear"
	is "the zones of /dev/wb1" "$(</sys/block/wb1/queue/zoned)" host-managed
	add
	refuses_backing /dev/wb1 EINVAL "it has zones"
	stores "$sys/backing_dev" "$nullb"
}

test_a_device_with_large_blocks_is_refused() {
	[ "$DRIVER" != zram ] || skip "C zram takes a device with large blocks"
	loop --sector-size $((4 * PAGE)) || skip "this kernel has no blocks larger than a page"
	is "the block size of $loop" "$(blockdev --getss "$loop")" $((4 * PAGE))
	add
	refuses_backing "$loop" EINVAL "its logical blocks are larger than a page"
	ok losetup --detach "$loop"
	# Blocks of a page are fine.
	loop --sector-size $PAGE || exit 1
	stores "$sys/backing_dev" "$loop"
}

# --- Writes ---------------------------------------------------------------------------------------

test_no_write_succeeds() {
	local form limit before
	for form in $FORMS; do
		make_device $form 1
		backed "$mapped" 1M lz4 $form
		stores "$sys/writeback_limit_enable" 1
		does open "$dev" direct
		does bulk 0 64 random 1
		does bulk 64 64 text 1
		stores "$sys/idle" all
		mm_stat
		before="$orig $compr $used $huge"
		break_device $form
		for limit in 200 128 10 1; do
			stores "$sys/writeback_limit" $limit
			writes_back idle EIO
			counts "of a dead device" 0 0 0
			is "writeback_limit" "$(<"$sys/writeback_limit")" $limit
			mm_stat
			is "mm_stat" "$orig $compr $used $huge" "$before"
		done
		# Pages in memory can be read, and the others are still idle.
		does bulkcheck 0 32 random 1
		repair_device $form
		stores "$sys/writeback_limit" 200
		writes_back idle
		on_device "that works again" 96
		writes_back huge
		on_device "that works again" 128
		counts "of a device that works again" "$bd_count" 0 "$bd_count"
		is "writeback_limit" "$(<"$sys/writeback_limit")" $((200 - bd_writes))
		mm_stat
		is "compr_data_size" "$compr" 0
		check_both_ways 0 64 random 1
		check_both_ways 64 64 text 1
		no_failed_io
		does close
	done
}

# The disk is as large as its backing device, so that writeback needs each good block.
test_bad_blocks_among_good_ones() {
	local form batch blocks='0 7 31 32 100 255' count=6
	for form in $FORMS; do
		nullb wb$form 1
		# shellcheck disable=SC2086 # words
		bad_blocks wb$form $blocks
		backed "$nullb" 1M lz4 $form
		stores "$sys/writeback_limit_enable" 1
		does open "$dev" direct
		for batch in 1 3 32 1000; do
			stores "$sys/writeback_batch_size" $batch
			does bulk 0 256 random $batch
			bd_stat
			before=$bd_writes
			stores "$sys/writeback_limit" 300
			writes_back huge EIO
			bd_stat
			mm_stat
			is "pages on the device and in memory" $((bd_count + huge)) 256
			is "bd_writes" $((bd_writes - before)) "$bd_count"
			is "compr_data_size" "$compr" $((huge * PAGE))
			is "writeback_limit" "$(<"$sys/writeback_limit")" $((300 - bd_count))
			# C zram tries the bad block again and again, with other pages.
			[ "$DRIVER" = zram ] || is "bd_count with batch $batch" "$bd_count" $((256 - count))
			check_both_ways 0 256 random $batch
			# No free block is left for the others.
			writes_back huge EIO
			[ "$DRIVER" = zram ] || {
				bd_stat
				is "bd_count, tried again" "$bd_count" $((256 - count))
				is "writeback_limit, tried again" "$(<"$sys/writeback_limit")" $((44 + count))
			}
		done
		# Each block has a page.
		# shellcheck disable=SC2086 # words
		good_blocks wb$form $blocks
		writes_back huge
		bd_stat
		is "bd_count when the device has recovered" "$bd_count" 256
		is "writeback_limit" "$(<"$sys/writeback_limit")" 44
		mm_stat
		is "compr_data_size" "$compr" 0
		check_both_ways 0 256 random 1000
		does close
	done
}

# With enough free blocks, the submitter and the helper write at the same time; each retries its own failed pages.
test_bad_blocks_among_many() {
	local form blocks='0 7 31 32 100 255 512 700 900' count=9
	for form in $FORMS; do
		nullb wb$form 8
		# shellcheck disable=SC2086 # words
		bad_blocks wb$form $blocks
		backed "$nullb" 4M lz4 $form
		does open "$dev" direct
		does bulk 0 512 random 1
		does bulk 512 512 text 1
		writes_back page_indexes=0-1023 EIO
		bd_stat
		# C zram tries the bad block again and again, with other pages.
		case $DRIVER$form in
		zram_rspacked)
			# The pages of a bad block, and no other, stay in memory.
			pack_stat
			counts "with bad blocks" "$packed_blocks" 0 "$packed_blocks"
			at_least "pages on the device" "$packed_pages" $((1024 - 14 * count))
			at_least "pages in memory" $((1024 - packed_pages)) 5
			;;
		zram_rs*) counts "with bad blocks" $((1024 - count)) 0 $((1024 - count)) ;;
		esac
		does bulkcheck 0 512 random 1
		does bulkcheck 512 512 text 1
		bd_stat
		before=$((bd_writes - bd_count))
		# There are enough good blocks.
		writes_back page_indexes=0-1023
		bd_stat
		is "bd_writes" "$bd_writes" $((before + bd_count))
		on_device "with enough good blocks" 1024
		mm_stat
		is "compr_data_size" "$compr" 0
		check_both_ways 0 512 random 1
		check_both_ways 512 512 text 1
		does close
	done
}

# The device works and fails for a second each: each attempt makes some progress, and the limit is exact in the end.
test_writes_that_fail_now_and_then() {
	local form tries
	modprobe dm-flakey 2>/dev/null || skip "this kernel has no dm-flakey"
	for form in $FORMS; do
		nullb wb${form}n 4
		mapped wb$form "0 8192 flakey $nullb 0 1 1 1 error_writes"
		backed "$mapped" 4M lz4 $form
		stores "$sys/writeback_limit_enable" 1
		stores "$sys/writeback_limit" 2000
		does open "$dev" direct
		does bulk 0 512 random 1
		does bulk 512 512 text 1
		stores "$sys/idle" all
		tries=0
		until
			put "$sys/writeback" idle
			[ "$errno" != EIO ]
		do
			bd_stat
			is "writeback_limit" "$(<"$sys/writeback_limit")" $((2000 - bd_writes))
			is "bd_count" "$bd_count" "$bd_writes"
			tries=$((tries + 1))
			[ $tries -lt 100 ] || break
			sleep 0.2
		done
		is "the result of the last writeback" "$errno" OK
		on_device "after $tries failures" 1024
		counts "after $tries failures" "$bd_count" 0 "$bd_count"
		is "writeback_limit" "$(<"$sys/writeback_limit")" $((2000 - bd_writes))
		mm_stat
		is "compr_data_size" "$compr" 0
		check_both_ways 0 512 random 1
		check_both_ways 512 512 text 1
		does close
	done
}

# --- Reads ----------------------------------------------------------------------------------------

test_no_read_succeeds() {
	local form
	for form in $FORMS; do
		make_device $form 1
		backed "$mapped" 1M lzo-rle $form
		does open "$dev" direct
		does bulk 0 64 random 1
		does bulk 64 64 text 1
		does bulk 128 64 same 1
		does bulk 192 32 text 1
		save_pages 256
		writes_back page_indexes=0-127
		scan_pages 0 256 OK
		repeat_letter r 256
		is "pages" "$seen" "$times"
		break_device $form
		io_stat
		is "failed_reads" "$failed_reads" 0
		refuses EIO check 0 1 random 1
		refuses EIO check 64 1 text 1
		scan_pages 0 1 EIO
		scan_pages 127 1 EIO
		scan_pages 0 64 EIO
		scan_pages 60 8 EIO
		# Together with pages that can be read.
		scan_pages 120 16 EIO
		scan_pages 100 156 EIO
		scan_pages 0 256 EIO
		# C zram does not count asynchronous failures.
		io_stat
		[ "$DRIVER" = zram ] || at_least "failed_reads" "$failed_reads" 9
		does bulkcheck 128 64 same 1
		does bulkcheck 192 32 text 1
		scan_pages 128 128 OK
		# Through the page cache.
		does close
		echo 3 >/proc/sys/vm/drop_caches
		does open "$dev"
		refuses EIO check 5 1 random 1
		refuses EIO check 70 1 text 1
		does check 200 8 text 1
		does open "$dev" direct
		# Whole pages can still be written and discarded.
		on_device "that cannot be read" 128
		does write 0 1 text 2
		does discard $PAGE $PAGE
		does write 2 1 random 2
		on_device "that cannot be read" 125
		does check 0 1 text 2
		does check 1 1 zero 0
		does check 2 1 random 2
		repair_device $form
		does close
		echo 3 >/proc/sys/vm/drop_caches
		does open "$dev" direct
		check_both_ways 3 61 random 1
		check_both_ways 64 64 text 1
		check_both_ways 128 64 same 1
		check_both_ways 192 32 text 1
		check_both_ways 0 1 text 2
		does close
	done
}

# If pages share blocks, a bad block is all of its pages: the smallest are 14 in a block, from block 64 on.
test_a_bad_block_is_one_bad_page() {
	local form index bad block want
	for form in $FORMS; do
		nullb wb$form 1
		backed "$nullb" 512K zstd $form
		does open "$dev" direct
		does bulk 0 64 random 1
		does bulk 64 64 text 1
		save_pages 128
		# Nothing is written by a helper, so that it is known what is where.
		stores "$sys/writeback_limit" 1000
		stores "$sys/writeback_limit_enable" 1
		writes_back page_indexes=0-127
		block=90 want=2
		[ "$form" != packed ] || block=65 want=15
		bad_sectors wb$form $((17 * 8)) $((17 * 8))
		bad_sectors wb$form $((block * 8 + 7)) $((block * 8 + 7))
		bad=0
		for ((index = 0; index < 128; index++)); do
			if [ $index -lt 64 ]; then
				io check $index 1 random 1
			else
				io check $index 1 text 1
			fi
			case $reply in
			ok) ;;
			EIO) bad=$((bad + 1)) ;;
			*) fail "page $index: $reply" ;;
			esac
		done
		is "the number of bad pages" $bad $want
		scan_pages 0 128 EIO
		seen=${seen//r/}
		is "the number of pages that could not be read" ${#seen} $want
		# A page in a bad block can be overwritten, and then is in memory.
		does bulk 0 64 random 2
		does bulk 64 64 text 2
		bd_stat
		is "bd_count" "$bd_count" 0
		good_sectors wb$form $((17 * 8)) $((17 * 8))
		good_sectors wb$form $((block * 8 + 7)) $((block * 8 + 7))
		writes_back page_indexes=0-127
		check_both_ways 0 64 random 2
		check_both_ways 64 64 text 2
		does close
	done
}

# scsi_disk: sets $scsi to the disk of scsi_debug.
scsi_disk() {
	local path
	for path in /sys/bus/pseudo/drivers/scsi_debug/adapter*/host*/target*/*/block/*; do
		scsi=/dev/${path##*/}
	done
	[ -b "$scsi" ]
}

# A device can return other errors than EIO; the reader gets that error.
test_a_medium_error_is_no_io_error() {
	local form index bad block want
	modprobe sd_mod 2>/dev/null
	for form in $FORMS; do
		# The first blocks of packed pages have 14 each.
		block=17 want=1
		[ "$form" != packed ] || block=1 want=14
		modprobe scsi_debug dev_size_mb=8 opts=2 medium_error_start=$((block * 8)) medium_error_count=8 2>/dev/null ||
			skip "this kernel has no scsi_debug"
		eventually 10 scsi_disk || fail "there is no disk of scsi_debug"
		backed "$scsi" 512K lz4 $form
		does open "$dev" direct
		does bulk 0 128 text 1
		stores "$sys/writeback_limit" 1000
		stores "$sys/writeback_limit_enable" 1
		writes_back page_indexes=0-127
		on_device "that can be written" 128
		bad=0
		for ((index = 0; index < 128; index++)); do
			io check $index 1 text 1
			case $reply in
			ok) ;;
			ENODATA) bad=$((bad + 1)) ;;
			*) fail "page $index: $reply" ;;
			esac
		done
		is "the number of bad pages" $bad $want
		io_stat
		[ "$DRIVER" = zram ] || is "failed_reads" "$failed_reads" $want
		does close
		remove
		ok rmmod scsi_debug
	done
}

test_reads_that_fail_now_and_then() {
	local form index until good bad
	modprobe dm-flakey 2>/dev/null || skip "this kernel has no dm-flakey"
	for form in $FORMS; do
		nullb wb${form}n 1
		mapped wb$form "0 2048 flakey $nullb 0 1 1 1 error_reads"
		backed "$mapped" 1M lz4 $form
		does open "$dev" direct
		does bulk 0 256 text 1
		writes_back page_indexes=0-255
		on_device "that can be written" 256
		until=$((SECONDS + 4))
		good=0
		bad=0
		while [ $SECONDS -lt $until ]; do
			for index in 0 32 64 255; do
				io check $index 1 text 1
				case $reply in
				ok) good=$((good + 1)) ;;
				EIO) bad=$((bad + 1)) ;;
				*) fail "page $index: $reply" ;;
				esac
			done
		done
		note "$good reads succeeded, $bad failed"
		at_least "the number of reads that succeeded" $good 1
		at_least "the number of reads that failed" $bad 1
		remap wb$form "0 2048 linear $nullb 0"
		check_both_ways 0 256 text 1
		io_stat
		[ "$DRIVER" = zram ] || is "failed_reads" "$failed_reads" $bad
		does close
	done
}

# The device loses writes. A read of a compressed page then finds no valid object, and fails; none of the data that the
# device has instead reaches the reader.
test_writes_that_are_lost() {
	local form
	modprobe dm-flakey 2>/dev/null || skip "this kernel has no dm-flakey"
	for form in ${FORMS#0 }; do
		nullb wb${form}n 1
		ok dd if=/dev/urandom of="$nullb" bs=64K count=16 oflag=direct status=none
		mapped wb$form "0 2048 flakey $nullb 0 0 60 1 drop_writes"
		backed "$mapped" 512K zstd $form
		does open "$dev" direct
		does bulk 0 64 text 1
		does bulk 64 64 text 2
		save_pages 128
		writes_back page_indexes=0-63
		on_device "that lies" 64
		refuses EIO check 0 1 text 1
		refuses EIO check 63 1 text 1
		# C zram leaves this data in the reader's page; ALL=1 shows it.
		[ "$DRIVER" = zram ] && [ -z "${ALL:-}" ] || {
			scan_pages 0 64 EIO
			repeat_letter z 64
			is "pages that cannot be decompressed" "${seen//u/z}" "$times"
			scan_pages 0 128 EIO
			repeat_letter r 64
			is "pages beside them" "${seen:64}" "$times"
		}
		does bulkcheck 64 64 text 2
		# The pages can be overwritten.
		does bulk 0 64 text 3
		remap wb$form "0 2048 linear $nullb 0"
		writes_back page_indexes=0-127
		check_both_ways 0 64 text 3
		check_both_ways 64 64 text 2
		does close
	done
}

# --- Reads and writes -----------------------------------------------------------------------------

# The device fails and recovers repeatedly while pages are written, written back and read.
test_a_device_that_fails_and_recovers_repeatedly() {
	local form until round index pid
	for form in $FORMS; do
		make_device $form 2
		backed "$mapped" 2M lz4 $form
		does open "$dev" direct
		does bulk 0 512 mixed 1
		until=$((SECONDS + 6))
		(
			while [ $SECONDS -lt $until ]; do
				break_device $form
				sleep 0.1
				repair_device $form
				sleep 0.1
			done
			exit $failed
		) &
		pid=$!
		round=1
		while [ $SECONDS -lt $until ]; do
			put "$sys/writeback" page_indexes=0-511
			case $errno in
			OK | EIO) ;;
			*) fail "the result of writing back is $errno" ;;
			esac
			for ((index = 0; index < 512; index += 64)); do
				io bulkcheck $index 64 mixed $round
				case $reply in
				ok | EIO) ;;
				*) fail "$reply" ;;
				esac
			done
			round=$((round + 1))
			does bulk 0 512 mixed $round
		done
		wait $pid || failed=1
		repair_device $form
		note "$((round - 1)) rounds"
		check_both_ways 0 512 mixed $round
		writes_back page_indexes=0-511
		mm_stat
		is "compr_data_size" "$compr" 0
		check_both_ways 0 512 mixed $round
		on_device "in the end" $((orig / PAGE - same))
		does close
	done
}

test_a_device_that_goes_for_good() {
	local form
	for form in $FORMS; do
		nullb wb$form 1
		backed "$nullb" 1M lz4 $form
		does open "$dev" direct
		does bulk 0 128 random 1
		does bulk 128 128 text 1
		writes_back page_indexes=0-63
		echo 0 >"$NULLB/wb$form/power"
		writes_back huge EIO
		counts "of a device that has gone" 64 0 64
		refuses EIO check 0 1 random 1
		does bulkcheck 64 64 random 1
		does bulkcheck 128 128 text 1
		does bulk 0 64 text 2
		does bulkcheck 0 64 text 2
		bd_stat
		is "bd_count" "$bd_count" 0
		does close
		stores "$sys/reset" 1
		nullb wb2 1
		stores "$sys/backing_dev" /dev/wb2
		stores "$sys/disksize" 1M
		does open "$dev" direct
		does bulk 0 128 random 1
		writes_back huge
		does bulkcheck 0 128 random 1
		does close
		remove
		echo 0 >"$NULLB/wb2/power"
		rmdir "$NULLB/wb2"
	done
}

run_tests
