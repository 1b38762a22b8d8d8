#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Writeback and readback on a backing device that works: every form of a request, every error, the data of each page in
# all of its states, and the use of blocks. Attributes with a test script of their own are backing_dev, bd_stat,
# compressed_writeback, idle, writeback_batch_size and writeback_limit.
#
# Proves that a tool written for C zram cannot tell the difference, that memory is freed and blocks are reused, and that
# an invalid request writes nothing.
#
# Guest: uml-debug seconds=600
# Guest: arm64-64k-debug memory=2G seconds=3000

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

# --- The attributes -------------------------------------------------------------------------------

test_modes() {
	add
	is "modes" "$(cd "$sys" && stat -c '%a %n' backing_dev writeback writeback_limit writeback_limit_enable \
		writeback_batch_size compressed_writeback bd_stat idle)" '644 backing_dev
200 writeback
644 writeback_limit
644 writeback_limit_enable
644 writeback_batch_size
644 compressed_writeback
444 bd_stat
200 idle'
}

test_values_of_a_new_device() {
	add
	reads backing_dev $'none\n'
	reads writeback_limit $'0\n'
	reads writeback_limit_enable $'0\n'
	reads writeback_batch_size $'32\n'
	reads compressed_writeback $'0\n'
	reads bd_stat $'       0        0        0\n'
}

test_what_a_reset_keeps() {
	blocks wb0 64
	backed "$mapped" 256K lz4 1
	stores "$sys/writeback_limit" $((7 * UNITS))
	stores "$sys/writeback_limit_enable" 1
	stores "$sys/writeback_batch_size" 5
	does open "$dev" direct
	does bulk 0 4 random 1
	does close
	writes_back huge
	counts "before the reset" 4 0 4
	reads writeback_limit $((3 * UNITS))$'\n'
	stores "$sys/reset" 1
	reads backing_dev $'none\n'
	reads bd_stat $'       0        0        0\n'
	reads writeback_limit $((3 * UNITS))$'\n'
	reads writeback_limit_enable $'1\n'
	reads writeback_batch_size $'5\n'
	reads compressed_writeback $'1\n'
}

# --- Requests -------------------------------------------------------------------------------------

# prepare_pages: writes 16 pages of text, 16 incompressible, 8 same-filled and 8 zero ones, and leaves 16 empty. The
# first four pages of text and the first four incompressible pages are idle.
prepare_pages() {
	does bulk 0 16 text 1
	does bulk 16 16 random 1
	does bulk 32 8 same 1
	does bulk 40 8 zero 1
	does discard $((48 * PAGE)) $((16 * PAGE))
	stores "$sys/idle" all
	does read $((4 * PAGE)) $((12 * PAGE))
	does read $((20 * PAGE)) $((12 * PAGE))
}

check_pages() {
	does bulkcheck 0 16 text 1
	does bulkcheck 16 16 random 1
	does bulkcheck 32 8 same 1
	does bulkcheck 40 24 zero 0
}

# writes_exactly WHAT [PAGE|FROM-TO]...: a write of WHAT to the file writeback must write back exactly these pages.
writes_exactly() {
	local what=$1 want=() i range count=0 text
	shift
	for ((i = 0; i < 64; i++)); do
		want[i]=m
	done
	for range in "$@"; do
		for ((i = ${range%-*}; i <= ${range#*-}; i++)); do
			want[i]=d
			count=$((count + 1))
		done
	done
	printf -v text %s "${want[@]}"
	prepare_pages
	bd_stat
	is "bd_count before '$what'" "$bd_count" 0
	i=$bd_writes
	writes_back "$what"
	bd_stat
	is "bd_count after '$what'" "$bd_count" $count
	is "bd_writes after '$what'" $((bd_writes - i)) $count
	find_places 0 64
	is "pages after '$what'" "$places" "$text"
	check_pages
}

# write_all_forms COMPRESSED: all forms of a request.
write_all_forms() {
	nullb wb0 1
	backed "$nullb" 256K lz4 "$1"
	does open "$dev" direct
	writes_exactly idle 0-3 16-19
	writes_exactly huge 16-31
	writes_exactly huge_idle 16-19
	writes_exactly incompressible
	writes_exactly type=idle 0-3 16-19
	writes_exactly type=huge 16-31
	writes_exactly type=huge_idle 16-19
	writes_exactly type=incompressible
	writes_exactly '  idle' 0-3 16-19
	writes_exactly 'huge ' 16-31
	writes_exactly 'type="huge"' 16-31
	writes_exactly page_index=0 0
	writes_exactly page_index=31 31
	writes_exactly page_index=+5 5
	writes_exactly page_index=007 7
	writes_exactly 'page_index="9"' 9
	writes_exactly page_index=32
	writes_exactly page_index=47
	writes_exactly page_index=63
	writes_exactly 'page_index=17 page_index=5 page_index=7' 5 7 17
	writes_exactly page_indexes=3-6 3-6
	writes_exactly page_indexes=6-6 6
	writes_exactly page_indexes=0-63 0-31
	writes_exactly page_indexes=30-40 30-31
	writes_exactly 'page_indexes=20-22 page_index=1 page_indexes=10-17' 1 10-17 20-22
	# A type ends the list, and has no effect after pages.
	writes_exactly 'type=huge page_index=1' 16-31
	writes_exactly 'idle garbage' 0-3 16-19
	writes_exactly 'type=idle page_index=100' 0-3 16-19
	writes_exactly 'page_index=5 type=idle' 5
	writes_exactly 'page_index=5 huge' 5
	writes_exactly 'page_indexes=5-17 type=incompressible' 5-17
	# Unknown parameters have no effect.
	writes_exactly foo=bar
	writes_exactly 'foo=bar page_index=1' 1
	writes_exactly 'algo=lz4 type=huge_idle' 16-19
	writes_exactly ''
}

test_all_forms() {
	write_all_forms 0
}

test_all_forms_compressed() {
	write_all_forms 1
}

# C zram writes a page twice that the request names twice, and frees one of the two blocks.
test_pages_that_are_named_twice() {
	[ "$DRIVER" != zram ] || skip "C zram writes them twice"
	nullb wb0 1
	backed "$nullb" 256K
	does open "$dev" direct
	writes_exactly 'page_index=5 page_index=5' 5
	writes_exactly 'page_indexes=0-5 page_indexes=4-9' 0-9
	writes_exactly 'page_indexes=0-31 page_indexes=4-9 page_index=31 page_indexes=0-0' 0-31
	# With no more free blocks than pages.
	blocks wb1 10
	backed "$mapped" 256K
	does open "$dev" direct
	writes_exactly 'page_indexes=4-9 page_indexes=0-5' 0-9
}

test_bad_requests_write_nothing() {
	local what want before
	nullb wb0 1
	backed "$nullb" 256K
	does open "$dev" direct
	does bulk 0 64 random 1
	stores "$sys/idle" all
	mm_stat
	before="$orig $compr $used $huge"
	while IFS=: read -r want what; do
		writes_back "$what" "$want"
		counts "after '$what'" 0 0 0
		mm_stat
		is "mm_stat after '$what'" "$orig $compr $used $huge" "$before"
	done <<-END
		EINVAL:garbage
		EINVAL:Idle
		EINVAL:all
		EINVAL:1
		EINVAL:type
		EINVAL:type=
		EINVAL:type=garbage
		EINVAL:type=all
		EINVAL:type=idle,huge
		EINVAL:page_index
		EINVAL:page_index=
		EINVAL:page_index= 5
		EINVAL:page_index=x
		EINVAL:page_index=-1
		EINVAL:page_index=0x5
		EINVAL:page_index=5k
		EINVAL:page_index=1,2
		EINVAL:page_index=1-2
		ERANGE:page_index=64
		ERANGE:page_index=18446744073709551615
		ERANGE:page_index=18446744073709551616
		EINVAL:page_indexes
		EINVAL:page_indexes=
		EINVAL:page_indexes=5
		EINVAL:page_indexes=-
		EINVAL:page_indexes=5-
		EINVAL:page_indexes=-5
		EINVAL:page_indexes=x-5
		EINVAL:page_indexes=5-x
		EINVAL:page_indexes=1-2-3
		EINVAL:page_indexes=0-0x3
		ERANGE:page_indexes=6-5
		ERANGE:page_indexes=0-64
		ERANGE:page_indexes=64-64
		ERANGE:page_indexes=64-x
		ERANGE:page_indexes=0-18446744073709551615
		ERANGE:page_indexes=0-18446744073709551616
		EINVAL:page_index=1 garbage
		EINVAL:page_indexes=0-3 type=garbage
		ERANGE:page_index=1 page_index=64
		ERANGE:page_index=1 page_indexes=2-3 page_indexes=4-64
		EINVAL:page_index=1 page_index=
	END
	does bulkcheck 0 64 random 1
}

test_nothing_to_write_back_to_or_from() {
	add
	writes_back idle EINVAL
	writes_back garbage EINVAL
	stores "$sys/idle" all EINVAL
	stores "$sys/idle" 0 EINVAL
	stores "$sys/disksize" 256K
	does open "$dev" direct
	does bulk 0 64 random 1
	stores "$sys/idle" all
	writes_back idle ENODEV
	writes_back garbage ENODEV
	writes_back page_index=0 ENODEV
	counts "without a backing device" 0 0 0
	does bulkcheck 0 64 random 1
	# An empty disk.
	nullb wb0 1
	backed "$nullb" 256K
	stores "$sys/idle" all
	writes_back idle
	writes_back huge
	writes_back page_indexes=0-63
	counts "of an empty disk" 0 0 0
}

# --- Data and blocks ------------------------------------------------------------------------------

# write_back_in_batches ALGORITHM: writes back and reads pages, in all forms, with several batch sizes.
write_back_in_batches() {
	local form batch seed=0 count reads writes batches='1 2 32 1000 4294967295' fewer from to
	fewer 512 128
	from=$((fewer * 100 / 512))
	to=$((fewer * 250 / 512))
	[ "$DRIVER" != zram ] || batches='1 2 32 1000'
	for form in $FORMS; do
		nullb "wb$form" 2
		backed "$nullb" 2M "$1" "$form"
		[ "$form" != packed ] || batches='1 32'
		does open "$dev" direct
		reads=0
		writes=0
		for batch in $batches; do
			stores "$sys/writeback_batch_size" "$batch"
			seed=$((seed + 1))
			does bulk 0 $fewer mixed $seed
			mm_stat
			count=$((orig / PAGE - same))
			at_least "the number of pages that can be written back" $count $((fewer / 4))
			stores "$sys/idle" all
			writes_back idle
			writes=$((writes + count))
			# How many blocks packed pages take is for packed.sh.
			on_device "of $1, batch $batch, $form" $count
			[ "$form" = packed ] || counts "of $1, batch $batch" $count "$reads" $writes
			mm_stat
			is "compr_data_size of $1, batch $batch" "$compr" 0
			eventually 5 pool_is_empty || fail "$used bytes are in use"
			check_both_ways 0 $fewer mixed $seed
			reads=$((reads + 2 * count))
			on_device "of $1, batch $batch, $form, after reads" $count
			[ "$form" = packed ] || counts "of $1, batch $batch, after reads" $count $reads $writes
			# Overwrites some of the pages.
			does bulk $from $((to - from)) mixed $((seed + 100))
			check_both_ways $from $((to - from)) mixed $((seed + 100))
			check_both_ways 0 $from mixed $seed
			check_both_ways $to $((fewer - to)) mixed $seed
			bd_stat
			reads=$bd_reads
		done
		does close
		remove
	done
}

test_lzo_rle() {
	write_back_in_batches lzo-rle
}

test_lzo() {
	write_back_in_batches lzo
}

test_lz4() {
	write_back_in_batches lz4
}

test_zstd() {
	write_back_in_batches zstd
}

# One read of adjacent pages that are in memory, same-filled, zero, empty, huge, and written back.
test_mixed_reads() {
	local form step
	for form in $FORMS; do
		nullb "wb$form" 1
		backed "$nullb" 1M zstd "$form"
		does open "$dev" direct
		for step in 2 3 7; do
			does discard 0 $((256 * PAGE))
			does bulk 0 200 mixed $step
			index=0
			what=
			while [ $index -lt 200 ]; do
				what+=" page_index=$index"
				index=$((index + step))
			done
			writes_back "$what"
			device_pages
			at_least "pages on the device" "$device_pages" $((200 / step / 4))
			check_both_ways 0 200 mixed $step
			check_both_ways 200 56 zero 0
			does bulkcheck 0 199 mixed $step
			does bulkcheck 1 199 mixed $step
		done
		does close
	done
}

# Direct I/O only needs memory that is aligned to 512 bytes, so that a block can lie in two pages.
test_buffers_across_pages() {
	[ "$DRIVER" != zram ] || skip "C zram writes outside of such a buffer: it takes every bio_vec for a page"
	local form shift
	for form in $FORMS; do
		nullb "wb$form" 2
		backed "$nullb" 2M lzo-rle "$form"
		does open "$dev" direct
		for shift in 512 1536 3584; do
			does shift 0
			does write 0 128 mixed $shift
			writes_back page_indexes=0-63
			device_pages
			at_least "pages on the device" "$device_pages" 16
			does shift $shift
			does check 0 128 mixed $shift
			does bulkcheck 0 128 mixed $shift
			# Overwrites pages on the backing device and in memory, and writes others.
			does write 32 64 mixed $((shift + 1))
			does bulk 256 128 mixed $((shift + 1))
			writes_back page_indexes=0-511
			does bulkcheck 0 32 mixed $shift
			does check 32 64 mixed $((shift + 1))
			does shift 0
			does bulkcheck 32 64 mixed $((shift + 1))
			does bulkcheck 96 32 mixed $shift
			does check 256 128 mixed $((shift + 1))
		done
		does close
	done
}

test_blocks_are_used_again() {
	local form round
	for form in $FORMS; do
		blocks "wb$form" 64
		backed "$mapped" 256K lz4 "$form"
		does open "$dev" direct
		does bulk 0 64 random 1
		writes_back huge
		counts "of a full device" 64 0 64
		for round in 1 2 3; do
			does bulk 0 10 text $round
			bd_stat
			is "bd_count after overwriting" "$bd_count" 54
			does discard $((10 * PAGE)) $((10 * PAGE))
			bd_stat
			is "bd_count after discard" "$bd_count" 44
			does zeroout $((20 * PAGE)) $((10 * PAGE))
			bd_stat
			is "bd_count after zeroout" "$bd_count" 34
			does bulk 30 10 same $round
			bd_stat
			is "bd_count after writing what is same-filled" "$bd_count" 24
			does bulkcheck 0 10 text $round
			does bulkcheck 10 20 zero 0
			does bulkcheck 30 10 same $round
			does bulkcheck 40 24 random 1
			# Writes as many pages as there are free blocks, with other numbers.
			does bulk 0 40 random $((round + 1))
			bd_stat
			is "bd_count after writing again" "$bd_count" 24
			writes_back huge
			bd_stat
			is "bd_count after writing back again" "$bd_count" 64
			check_both_ways 0 40 random $((round + 1))
			check_both_ways 40 24 random 1
			mm_stat
			is "compr_data_size" "$compr" 0
		done
		does close
	done
}

# Writeback reuses blocks that it has used before: a sparse file as a backing device does not grow to its full size.
test_used_blocks_come_before_unused_ones() {
	local part=$((4096 * PAGE)) written=0 round number
	[ $PAGE = 4096 ] || skip "this would write $((6 * part >> 20)) MiB"
	nullb wbn 128
	backed "$nullb" $((part / 2)) lz4
	does open "$dev" direct
	for round in {1..12}; do
		does bulk 0 2048 random "$round"
		writes_back huge
	done
	counts "of twelve times half a part" 2048 0 $((12 * 2048))
	for number in {0..7}; do
		dd if="$nullb" bs="$part" skip="$number" count=1 status=none | cmp -s -n "$part" - /dev/zero ||
			written=$((written + 1))
	done
	at_least "parts of eight that were written to" "$written" 1
	at_least "parts of eight that were not" $((8 - written)) 5
	does bulkcheck 0 2048 random 12
	does close
}

# --- Few blocks -----------------------------------------------------------------------------------

test_full_device() {
	local compressed letters
	for compressed in 0 1; do
		blocks wb$compressed 40
		backed "$mapped" 256K lz4 $compressed
		does open "$dev" direct
		does bulk 0 64 random 1
		writes_back huge ENOSPC
		counts "of a full device" 40 0 40
		mm_stat
		is "huge_pages" "$huge" 24
		is "compr_data_size" "$compr" $((24 * PAGE))
		does bulkcheck 0 64 random 1
		counts "of a full device, after reads" 40 40 40
		writes_back huge ENOSPC
		counts "of a full device, tried again" 40 40 40
		find_places 0 64
		letters=${places//m/}
		is "the number of pages on the device" ${#letters} 40
		# Frees eight blocks.
		index=0
		freed=0
		while [ $freed -lt 8 ]; do
			if [ "${places:index:1}" = d ]; then
				does write $index 1 random 1
				freed=$((freed + 1))
			fi
			index=$((index + 3))
		done
		bd_stat
		is "bd_count after freeing eight" "$bd_count" 32
		writes_back huge ENOSPC
		bd_stat
		is "bd_count of a full device" "$bd_count $bd_writes" "40 48"
		does bulkcheck 0 64 random 1
		# A full device is no error if there is no page to write.
		does bulk 0 64 same 1
		does bulk 0 40 random 2
		writes_back huge
		writes_back huge
		bd_stat
		is "bd_count of a device that is just full" "$bd_count" 40
		does bulkcheck 0 40 random 2
		does close
	done
}

test_the_largest_go_first() {
	local half
	blocks wb0 16
	backed "$mapped" 256K
	does open "$dev" direct
	does bulk 0 24 text 1
	does bulk 24 16 random 1
	does bulk 40 24 text 1
	stores "$sys/idle" all
	writes_back idle ENOSPC
	repeat_letter m 24
	half=$times
	repeat_letter d 16
	find_places 0 64
	is "pages" "$places" "$half$times$half"
}

# --- File systems, several disks ------------------------------------------------------------------

test_ext4() {
	local compressed want
	mkdir -p "$TMP/mnt"
	for compressed in 0 1; do
		nullb wb$compressed 32
		backed "$nullb" 32M lzo-rle $compressed
		ok mke2fs -q -t ext4 "$dev"
		ok mount "$dev" "$TMP/mnt"
		cp /usr/bin/[a-m]* "$TMP/mnt/" 2>/dev/null
		sync
		want=$(cd "$TMP/mnt" && find . -type f -exec sha256sum {} + | sort | sha256sum)
		stores "$sys/idle" all
		writes_back idle
		bd_stat
		at_least "bd_count" "$bd_count" $((1000 / UNITS))
		echo 3 >/proc/sys/vm/drop_caches
		is "hash of all files" "$(cd "$TMP/mnt" && find . -type f -exec sha256sum {} + | sort | sha256sum)" "$want"
		bd_stat
		at_least "bd_reads" "$bd_reads" $((1000 / UNITS))
		# Changes some of the files, and writes these back, too.
		rm "$TMP"/mnt/[a-c]*
		cp /usr/bin/[n-p]* "$TMP/mnt/" 2>/dev/null
		sync
		want=$(cd "$TMP/mnt" && find . -type f -exec sha256sum {} + | sort | sha256sum)
		stores "$sys/idle" all
		writes_back idle
		ok umount "$TMP/mnt"
		ok e2fsck -fn "$dev"
		ok mount "$dev" "$TMP/mnt"
		is "hash of all files" "$(cd "$TMP/mnt" && find . -type f -exec sha256sum {} + | sort | sha256sum)" "$want"
		ok umount "$TMP/mnt"
	done
}

test_several_disks_at_once() {
	local n pids=() forms=(0 1 0) fewer
	fewer 512 128
	[ "$DRIVER" = zram ] || forms[2]=packed
	for n in 0 1 2; do
		nullb wb$n 2
		backed "$nullb" 2M lz4 "${forms[n]}"
	done
	for n in 0 1 2; do
		(
			use $n
			does open "$dev" direct
			for round in 1 2 3 4; do
				does bulk 0 $fewer mixed $((10 * n + round))
				mm_stat
				count=$((orig / PAGE - same))
				writes_back page_indexes=0-$((fewer - 1))
				on_device "of zram$n" $count
				does bulkcheck 0 $fewer mixed $((10 * n + round))
			done
			exit $failed
		) &
		pids+=($!)
	done
	wait_all "${pids[@]}"
}

run_tests
