#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Pages larger than the blocks of a disk: parts of pages are written, read and discarded, also while the pages are
# written back.
#
# Guest: arm64-16k group=basic memory=2G
# Guest: arm64-64k-debug group=basic memory=2G seconds=1200

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

large=$(getconf PAGESIZE)

need_large_pages() {
	[ "$large" -gt 4096 ] || skip "pages have 4096 bytes"
}

# parts FORM: fio writes and verifies blocks at random, while all pages are written back again and again.
parts() {
	local pid status=0 rounds=0
	need_large_pages
	nullb wb1n 128
	backed "$nullb" 32M lz4 "$1"
	fio --name=parts --filename="$dev" --rw=randwrite --bsrange=4k-64k --blockalign=4k --size=16M \
		--offset_increment=16M --numjobs=2 --direct=1 --verify=crc32c --do_verify=1 --verify_fatal=1 \
		--refill_buffers --buffer_compress_percentage=60 --loops=3 --aux-path="$TMP" >"$TMP/fio" 2>&1 &
	pid=$!
	while kill -0 $pid 2>/dev/null; do
		put "$sys/idle" all
		writes_back idle
		rounds=$((rounds + 1))
	done
	wait $pid || status=$?
	[ $status = 0 ] || fail "fio failed ($status): $(tail -n 5 "$TMP/fio")"
	! grep -iE 'verify.*(fail|bad)|bad (magic|header)|err= *[1-9]' "$TMP/fio" || fail "fio found wrong data"
	io_stat
	is "failed_reads" "$failed_reads" 0
	is "failed_writes" "$failed_writes" 0
	bd_stat
	note "$rounds writebacks wrote $bd_writes blocks, and fio read $bd_reads"
	at_least "the number of writebacks" $rounds 3
	at_least "bd_reads" "$bd_reads" 100
	remove
}

test_parts_of_pages_that_are_written_back_raw() {
	parts 0
}

test_parts_of_pages_that_are_written_back_compressed() {
	parts 1
}

test_parts_of_pages_that_are_written_back_packed() {
	parts packed
}

# same_pages: the first pages of the disk are those of the file want.
same_pages() {
	ok dd if="$dev" of="$TMP/got" bs="$large" count=$pages iflag=direct status=none
	cmp "$TMP/want" "$TMP/got" >"$TMP/out" 2>&1 || fail "$1: $(<"$TMP/out")"
}

# Three pages fill a block, and a compaction gathers those that are left when each third has gone.
test_packed_pages_share_blocks() {
	local pages=60 index size
	need_large_pages
	nullb wb1n 16
	backed "$nullb" 4M zstd packed
	for ((index = 0; index < pages; index++)); do
		head -c 5000 /dev/urandom
		head -c $((large - 5000)) /dev/zero
	done >"$TMP/want"
	ok dd if="$TMP/want" of="$dev" bs="$large" oflag=direct conv=notrunc status=none
	mm_stat
	size=$compr
	at_least "bytes of the pages" "$size" $((pages * 5000))
	writes_back page_indexes=0-$((pages - 1))
	pack_stat
	bd_stat
	is "pages" "$packed_pages" $pages
	is "bytes" "$packed_bytes" "$size"
	# Each batch of slots may end with a block that is not full.
	at_least "blocks" "$packed_blocks" $((pages / 3))
	[ "$packed_blocks" -le $((pages / 3 + 2)) ] || fail "$packed_blocks blocks for $pages pages"
	is "blocks in bd_stat" "$bd_count" "$packed_blocks"
	same_pages "packed"
	for ((index = 0; index < pages; index += 3)); do
		ok blkdiscard -o $((index * large)) -l "$large" "$dev"
		ok dd if=/dev/zero of="$TMP/want" bs="$large" seek=$index count=1 conv=notrunc status=none
	done
	same_pages "after the discards"
	writes_back compact
	pack_stat
	is "pages after the discards" "$packed_pages" $((pages * 2 / 3))
	# 40 pages, three in a block.
	is "blocks after compaction" "$packed_blocks" 14
	same_pages "after compaction"
	no_failed_io
	ok blkdiscard "$dev"
	nothing_is_left
	remove
}

# fill FILE BYTES LETTER
fill() {
	head -c "$2" /dev/zero | tr '\0' "$3" >"$1"
}

# A part of a page goes into the page, and the rest stays, wherever the page was.
test_a_part_replaces_its_bytes_only() {
	local state page=0
	need_large_pages
	nullb wb1n 16
	backed "$nullb" 4M lz4
	fill "$TMP/x" 4096 x
	fill "$TMP/same" "$large" a
	head -c "$large" /dev/urandom >"$TMP/huge"
	{
		head -c 4096 "$TMP/huge"
		head -c $((large - 4096)) "$TMP/same"
	} >"$TMP/mixed"
	for state in same huge mixed huge_back mixed_back; do
		ok dd if="$TMP/${state%_back}" of="$dev" bs="$large" seek=$page count=1 oflag=direct conv=notrunc status=none
		[[ $state != *_back ]] || writes_back page_index=$page
		ok dd if="$TMP/x" of="$dev" bs=4096 seek=$((page * large / 4096 + 1)) count=1 oflag=direct conv=notrunc status=none
		cp "$TMP/${state%_back}" "$TMP/want"
		ok dd if="$TMP/x" of="$TMP/want" bs=4096 seek=1 conv=notrunc status=none
		ok dd if="$dev" of="$TMP/got" bs="$large" skip=$page count=1 iflag=direct status=none
		cmp "$TMP/want" "$TMP/got" >"$TMP/out" 2>&1 || fail "$state: $(<"$TMP/out")"
		page=$((page + 1))
	done
	remove
}

# A discard frees the pages that it covers whole, and leaves the others.
test_discard_of_parts_keeps_them() {
	need_large_pages
	disk 4M lz4
	fill "$TMP/x" $((4 * large)) x
	ok dd if="$TMP/x" of="$dev" bs=$((4 * large)) count=1 oflag=direct conv=notrunc status=none
	mm_stat
	is "orig_data_size" "$orig" $((4 * large))
	ok blkdiscard -o 4096 -l $((3 * large - 4096)) "$dev"
	mm_stat
	is "orig_data_size after the discard" "$orig" $((2 * large))
	ok dd if="$dev" of="$TMP/got" bs="$large" count=4 iflag=direct status=none
	fill "$TMP/want" "$large" x
	head -c $((2 * large)) /dev/zero >>"$TMP/want"
	fill "$TMP/last" "$large" x
	cat "$TMP/last" >>"$TMP/want"
	cmp "$TMP/want" "$TMP/got" >"$TMP/out" 2>&1 || fail "$(<"$TMP/out")"
	remove
}

run_tests
