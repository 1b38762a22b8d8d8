#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Packed writeback: the files packed_writeback and bd_pack_stat, how pages share blocks, what becomes of a block when its
# pages go one by one, and compaction.
#
# Guest: uml-debug group=packed seconds=600
# Guest: arm64-64k-debug group=packed memory=2G seconds=1800

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

[ "$DRIVER" = zram_rs ] || {
	echo "1..0 # SKIP only zram_rs packs pages"
	exit "$KSFT_SKIP"
}

# packed DEVICE SIZE [ALGORITHM]: adds a disk that packs pages, with this backing device, and opens it.
packed() {
	backed "$1" "$2" "${3:-lz4}" packed
	does open "$dev" direct
}

test_modes() {
	add
	is "modes" "$(cd "$sys" && stat -c '%a %n' packed_writeback bd_pack_stat)" '644 packed_writeback
444 bd_pack_stat'
}

test_packed_writeback() {
	local value want
	add
	reads packed_writeback $'0\n'
	reads bd_pack_stat $'       0        0        0        0\n'
	while read -r value want; do
		stores "$sys/packed_writeback" "$value"
		reads packed_writeback "$want"$'\n'
	done <<-END
		1 1
		0 0
		y 1
		off 0
		on 1
	END
	for value in garbage '' 2 -1; do
		stores "$sys/packed_writeback" "$value" EINVAL
		reads packed_writeback $'1\n'
	done
	stores "$sys/disksize" 1M
	for value in 0 1; do
		stores "$sys/packed_writeback" $value EBUSY
	done
	stores "$sys/packed_writeback" garbage EINVAL
	# Without a backing device, as with any writeback.
	writes_back compact ENODEV
	stores "$sys/reset" 1
	reads packed_writeback $'1\n'
}

test_compact_needs_packing() {
	nullb wb0 1
	add
	writes_back compact EINVAL
	stores "$sys/backing_dev" "$nullb"
	writes_back compact EINVAL
	stores "$sys/disksize" 256K
	writes_back compact EINVAL
	# Without a backing device, as with any text.
	remove
	disk 256K
	writes_back compact ENODEV
}

# Pages of all kinds are read as they were written, and take as many blocks as their bytes need.
test_pages_share_blocks() {
	local algorithm size
	algorithms
	for algorithm in $ALGORITHMS; do
		nullb "wb$algorithm" 2
		packed "$nullb" 1M "$algorithm"
		does bulk 0 64 text 1
		does bulk 64 64 hex 1
		does bulk 128 32 random 1
		does bulk 160 32 same 1
		mm_stat
		size=$compr
		stores "$sys/idle" all
		writes_back idle
		mm_stat
		is "bytes in memory" "$compr" 0
		pack_stat
		bd_stat
		is "pages on the device" "$packed_pages" 160
		is "bytes on the device" "$packed_bytes" "$size"
		is "blocks in bd_stat" "$bd_count" "$packed_blocks"
		is "blocks written" "$bd_writes" "$packed_blocks"
		at_least "blocks" "$packed_blocks" $(((size + PAGE - 1) / PAGE))
		# The pages of text fit into what others leave. Writeback and its helper may each end with a block of a few.
		[ "$packed_blocks" -le 98 ] || fail "$algorithm: $packed_blocks blocks for $size bytes"
		does bulkcheck 0 64 text 1
		does bulkcheck 64 64 hex 1
		does bulkcheck 128 32 random 1
		does bulkcheck 160 32 same 1
		no_failed_io
		does discard 0 $((256 * PAGE))
		nothing_is_left
		does close
	done
}

# What follows the last page of a block are zeros, although the memory of the request held other pages before.
test_no_stale_memory_on_the_device() {
	local algorithm tails sizes sum
	for algorithm in lz4 zstd; do
		nullb "wb$algorithm" 1
		packed "$nullb" 256K $algorithm
		# One request, which no helper has.
		stores "$sys/writeback_batch_size" 1
		stores "$sys/writeback_limit" $((1000 * UNITS))
		stores "$sys/writeback_limit_enable" 1
		does bulk 0 32 random 1
		does bulk 32 20 text 1
		mm_stat
		sizes=$((compr - 32 * PAGE))
		writes_back page_indexes=0-51
		bd_stat
		is "blocks" "$bd_count" 34
		read -ra tails <<<"$(wbtool tails "$nullb" 34)"
		sum=$((tails[32] + tails[33]))
		# An object may end with zeros of its own.
		[ $sum -le "$sizes" ] && [ $sum -ge $((sizes - 16)) ] ||
			fail "$algorithm: blocks end after ${tails[32]} and ${tails[33]} bytes, and have $sizes bytes of pages"
		does bulkcheck 0 32 random 1
		does bulkcheck 32 20 text 1
		does close
	done
}

# A block is free when its last page is gone, in any order.
test_blocks_end_with_their_last_page() {
	local index
	nullb wb0 1
	packed "$nullb" 1M zstd
	does bulk 0 60 hex 7
	writes_back page_indexes=0-59
	pack_stat
	is "pages" "$packed_pages" 60
	for ((index = 0; index < 60; index++)); do
		does discard $((index * 37 % 60 * PAGE)) $PAGE
	done
	nothing_is_left
	# They can be used again, all of them.
	does bulk 0 200 random 1
	writes_back huge
	pack_stat
	is "pages" "$packed_pages" 200
	is "blocks" "$packed_blocks" 200
	does bulkcheck 0 200 random 1
}

# The limit is charged by the block.
test_the_limit_counts_blocks() {
	nullb wb0 1
	packed "$nullb" 1M zstd
	does bulk 0 128 hex 3
	stores "$sys/writeback_limit_enable" 1
	stores "$sys/writeback_limit" $((10 * UNITS))
	writes_back page_indexes=0-127 EIO
	pack_stat
	bd_stat
	is "blocks written" "$bd_writes" 10
	at_least "pages in 10 blocks" "$packed_pages" 15
	reads writeback_limit $'0\n'
	does bulkcheck 0 128 hex 3
}

# A full device ends writeback with ENOSPC, after what fits.
test_a_full_device() {
	blocks wb0 8
	packed "$mapped" 1M zstd
	does bulk 0 128 hex 5
	writes_back page_indexes=0-127 ENOSPC
	pack_stat
	is "blocks" "$packed_blocks" 8
	at_least "pages in 8 blocks" "$packed_pages" 12
	does bulkcheck 0 128 hex 5
}

# A block that fails costs the pages that are in it, which stay in memory.
test_a_bad_block() {
	nullb wb0 1
	bad_sectors wb0 24 31
	packed "$nullb" 1M zstd
	does bulk 0 128 hex 9
	writes_back page_indexes=0-127 EIO
	pack_stat
	[ "$packed_pages" -ge 100 ] && [ "$packed_pages" -lt 127 ] || fail "$packed_pages of 128 pages are on the device"
	does bulkcheck 0 128 hex 9
	good_sectors wb0 24 31
	writes_back page_indexes=0-127
	pack_stat
	is "pages" "$packed_pages" 128
	does bulkcheck 0 128 hex 9
}

# Compaction gathers the pages of sparse blocks, whose data stays as it was.
test_compaction() {
	local index before
	nullb wb0 2
	packed "$nullb" 2M zstd
	does bulk 0 256 hex 11
	does bulk 256 256 text 11
	writes_back page_indexes=0-511
	for ((index = 0; index < 512; index++)); do
		[ $((index % 5)) = 0 ] || does discard $((index * PAGE)) $PAGE
	done
	pack_stat
	before=$packed_blocks
	at_least "sparse blocks" "$sparse" 10
	mm_stat
	is "bytes in memory" "$compr" 0
	writes_back compact
	pack_stat
	is "pages" "$packed_pages" 103
	[ $((packed_blocks * PAGE * 100)) -le $((packed_bytes * 125 + PAGE * 200)) ] ||
		fail "$packed_blocks blocks for $packed_bytes bytes"
	[ "$packed_blocks" -lt "$before" ] || fail "$packed_blocks blocks after compaction, $before before"
	for ((index = 0; index < 256; index += 5)); do
		does check "$index" 1 hex 11
	done
	for ((index = 260; index < 512; index += 5)); do
		does check "$index" 1 text 11
	done
	mm_stat
	is "bytes in memory" "$compr" 0
	# Nothing is left to do.
	bd_stat
	before=$bd_writes
	writes_back compact
	bd_stat
	[ $((bd_writes - before)) -le 2 ] || fail "$((bd_writes - before)) blocks are written by a second compaction"
	no_failed_io
	does discard 0 $((512 * PAGE))
	nothing_is_left
}

# Compaction gathers the pages of blocks of which two thirds are live, too, and then leaves them alone.
test_compaction_of_blocks_that_are_not_sparse() {
	local index before
	nullb wb0 2
	packed "$nullb" 2M zstd
	# One request, which has the pages in their order: three of them fill a block.
	stores "$sys/writeback_batch_size" 1
	does bulk 0 240 hex 19
	writes_back page_indexes=0-239
	for ((index = 0; index < 240; index += 3)); do
		does discard $((index * PAGE)) $PAGE
	done
	pack_stat
	before=$packed_blocks
	[ $((before * PAGE * 100)) -gt $((packed_bytes * 135)) ] || fail "$before blocks for $packed_bytes bytes before"
	[ "$sparse" -lt 20 ] || fail "$sparse of $before blocks are sparse"
	writes_back compact
	pack_stat
	is "pages" "$packed_pages" 160
	[ "$packed_blocks" -le 57 ] || fail "$packed_blocks blocks for $packed_bytes bytes, $before before"
	for ((index = 0; index < 240; index++)); do
		[ $((index % 3)) = 0 ] || does check "$index" 1 hex 19
	done
	bd_stat
	before=$bd_writes
	writes_back compact
	bd_stat
	[ $((bd_writes - before)) -le 3 ] || fail "$((bd_writes - before)) blocks are written by a second compaction"
	no_failed_io
}

# Compaction leaves blocks alone whose pages do not go along with others: with LZ4, these have more than half a block.
test_compaction_that_gains_nothing() {
	nullb wb0 1
	packed "$nullb" 1M
	does bulk 0 64 hex 23
	writes_back page_indexes=0-63
	pack_stat
	is "blocks" "$packed_blocks" 64
	[ "$packed_bytes" -lt $((64 * PAGE * 3 / 4)) ] || fail "$packed_bytes bytes are in 64 blocks"
	writes_back compact
	bd_stat
	is "blocks written" "$bd_writes" 64
	is "blocks read" "$bd_reads" 0
}

# Compaction keeps the mark of pages that recompression did not make smaller. With LZ4 after Zstandard, these are all
# pages.
test_compaction_keeps_marks() {
	local index state left
	nullb wb0 2
	add
	stores "$sys/comp_algorithm" zstd
	stores "$sys/recomp_algorithm" 'algo=lz4 priority=1'
	set_form packed
	stores "$sys/backing_dev" "$nullb"
	stores "$sys/disksize" 1M
	does open "$dev" direct
	does bulk 0 256 hex 17
	stores "$sys/recompress" priority=1
	writes_back page_indexes=0-255
	for ((index = 0; index < 256; index++)); do
		[ $((index % 5)) = 0 ] || does discard $((index * PAGE)) $PAGE
	done
	pack_stat
	at_least "sparse blocks" "$sparse" 10
	index=$packed_blocks
	writes_back compact
	pack_stat
	[ "$packed_blocks" -lt "$index" ] || fail "$packed_blocks blocks after compaction, $index before"
	state=$(<"/sys/kernel/debug/zram/zram$id/block_state")
	left=$(grep -c ' [^ ]*w[^ ]*n[^ ]*$' <<<"$state")
	is "pages on the device that are marked as incompressible" "$left" 52
}

# make_sparse: writes 2048 pages back, fewer if they are large, and frees three of each four. Those that are left, $live
# pages, are in blocks of which less than half is in use, and are more than a group.
make_sparse() {
	local index fewer
	fewer 2048 1280
	live=$((fewer / 4))
	for ((index = 0; index < fewer; index += 256)); do
		does bulk $index 256 hex 13
	done
	writes_back page_indexes=0-$((fewer - 1))
	for ((index = 0; index < fewer; index++)); do
		[ $((index % 4)) = 0 ] || does discard $((index * PAGE)) $PAGE
	done
	mm_stat
	is "bytes in memory" "$compr" 0
}

check_sparse() {
	local index
	for ((index = 0; index < 4 * live; index += 4)); do
		does check $index 1 hex 13
	done
	no_failed_io
}

# Compaction moves no more pages than it can write: it ends with the limit.
test_compaction_within_the_limit() {
	local live
	nullb wb0 8
	packed "$nullb" 8M zstd
	make_sparse
	stores "$sys/writeback_limit_enable" 1
	stores "$sys/writeback_limit" $((3 * UNITS))
	writes_back compact EIO
	reads writeback_limit $'0\n'
	pack_stat
	is "pages on the device" "$packed_pages" $live
	writes_back compact EIO
	pack_stat
	is "pages on the device" "$packed_pages" $live
	check_sparse
}

# A block that cannot be written ends a compaction, which leaves the pages of one group at most in memory.
test_compaction_to_a_bad_device() {
	local live
	nullb wb0 8
	packed "$nullb" 8M zstd
	# One request, which no helper has: the blocks in use are at the start of the device. They can be read.
	stores "$sys/writeback_batch_size" 1
	make_sparse
	stores "$sys/writeback_batch_size" 32
	bd_stat
	bad_sectors wb0 $((bd_writes * 8)) 16383
	writes_back compact EIO
	pack_stat
	at_least "pages on the device" "$packed_pages" $((live - 256))
	check_sparse
	good_sectors wb0 $((bd_writes * 8)) 16383
	writes_back compact
	check_sparse
}

# A writeback to a device that is nearly full compacts it first.
test_compaction_by_itself() {
	local index before
	blocks wb0 124
	packed "$mapped" 2M zstd
	# Three of them fill a block.
	does bulk 0 180 hex 17
	does bulk 180 180 hex 17
	writes_back page_indexes=0-359
	for ((index = 1; index < 360; index += 2)); do
		does discard $((index * PAGE)) $PAGE
	done
	pack_stat
	before=$packed_blocks
	# Fewer than 15 are free.
	at_least "blocks" "$before" 110
	at_least "sparse blocks" "$sparse" 10
	does bulk 500 1 random 17
	writes_back page_index=500
	pack_stat
	is "pages" "$packed_pages" 181
	[ "$packed_blocks" -lt $((before - 20)) ] || fail "$packed_blocks blocks are in use after a writeback, $before before"
	for ((index = 0; index < 360; index += 2)); do
		does check $index 1 hex 17
	done
	does check 500 1 random 17
	no_failed_io
}

# Partial writes and reads of packed pages; also by buffers that do not begin with a page.
test_parts_of_pages() {
	nullb wb0 1
	packed "$nullb" 256K zstd
	does bulk 0 32 hex 2
	writes_back page_indexes=0-31
	check_both_ways 0 32 hex 2
	does shift 512
	does check 0 32 hex 2
	does shift 0
}

# check_model: all pages must be as the array model says.
check_model() {
	local index
	for index in "${!model[@]}"; do
		does check "$index" 1 ${model[index]}
	done
}

# writes_back_some WHAT: a writeback, which may find the device full.
writes_back_some() {
	put "$sys/writeback" "$1"
	case $errno in
	OK) ;;
	ENOSPC) full=$((full + 1)) ;;
	*) fail "the result of writing $1 to writeback is $errno" ;;
	esac
}

# Pages of all sizes are written, discarded and written back at random, for 200 rounds, or for at least 20 on a slow
# machine, on a small device.
test_churn() {
	local model=() kinds=(text hex random) total=192 round index n most full=0 worst=0 until=$((SECONDS + 15))
	local -A count
	blocks wb0 160
	packed "$mapped" $((total * PAGE)) zstd
	for ((index = 0; index < total; index++)); do
		model[index]="zero 0"
	done
	for ((round = 1; round <= 20 || round <= 200 && SECONDS < until; round++)); do
		for n in {1..16}; do
			index=$((RANDOM % total))
			if [ $((RANDOM % 4)) = 0 ]; then
				does discard $((index * PAGE)) $PAGE
				model[index]="zero 0"
			else
				# A third of the pages each: the device has room for all pages only if they share blocks.
				model[index]="${kinds[index % 3]} $round"
				does write "$index" 1 ${model[index]}
			fi
		done
		index=$((RANDOM % total))
		writes_back_some page_indexes=$index-$((index + RANDOM % (total - index)))
		[ $((round % 8)) = 0 ] || continue
		writes_back_some compact
		count=([text]=0 [hex]=0 [random]=0 [zero]=0)
		for n in "${model[@]}"; do
			n=${n% *}
			count[$n]=$((count[$n] + 1))
		done
		# A block has a page that fills it, or two others at least, but for a few.
		most=$((count[random] + (count[hex] + count[text]) / 2 + 4))
		device_pages
		[ "$packed_blocks" -le $most ] ||
			fail "round $round: $packed_blocks blocks for $packed_pages pages, not at most $most"
		[ $((packed_blocks * 100 / most)) -le $worst ] || worst=$((packed_blocks * 100 / most))
		[ $((round % 40)) != 0 ] || check_model
	done
	note "$((round - 1)) rounds, the device was full $full times, blocks up to $worst percent of the bound"
	check_model
	stores "$sys/writeback" page_indexes=0-$((total - 1))
	mm_stat
	is "bytes in memory" "$compr" 0
	check_model
	no_failed_io
	does discard 0 $((total * PAGE))
	nothing_is_left
	eventually 5 pool_is_empty || fail "$used bytes are in use in the end"
	# No block was lost.
	does bulk 0 160 random 1
	writes_back huge
	on_device "in the end" 160
}

run_tests
