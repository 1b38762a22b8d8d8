#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Reads of many pages of the backing device with one bio: pages in neighbouring blocks are one request of the device,
# whatever lies between them on the disk, and a bad block costs only the pages that are in it. Other processors decompress
# pages, too.
#
# Guest: uml-debug group=writeback

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"
# shellcheck source=tools/testing/lib/helpers.sh
. "${0%/*}/../lib/helpers.sh"

# requests: sets $requests to the number of reads that the backing device has completed.
requests() {
	read -r requests _ <"/sys/block/${nullb#/dev/}/stat"
}

# save PAGES: saves the first pages of the disk in $TMP/before.
save() {
	ok dd if="$dev" of="$TMP/before" bs=$(($1 * PAGE)) count=1 iflag=direct
}

# reads_back PAGES [SKIP]: reads so many pages with one read(2), from page SKIP of the saved ones on, and compares them.
reads_back() {
	ok dd if="$dev" of="$TMP/after" bs=$(($1 * PAGE)) count=1 iflag=direct,fullblock,skip_bytes \
		skip=$((${2:-0} * PAGE))
	ok cmp -n $(($1 * PAGE)) -i $((${2:-0} * PAGE)):0 "$TMP/before" "$TMP/after"
}

# various_pages: writes to the disk 1024 pages of many compressed sizes, of which neighbours differ.
various_pages() {
	local n size
	for ((n = 0; n < 64; n++)); do
		size=$((100 + n * 37 % 64 * 45))
		head -c $size /dev/urandom
		head -c $((PAGE - size)) /dev/zero
	done >"$TMP/pages"
	for ((n = 0; n < 16; n++)); do
		cat "$TMP/pages"
	done >"$TMP/before"
	ok dd if="$TMP/before" of="$dev" bs=1M oflag=direct
}

# One bio reads pages that are neighbours on the disk. If each has a block of its own, the blocks are neighbours on the
# device, too, and a request reads nearly 128 KiB, which is the limit of null_blk. Two tasks write them, so that there can
# be some requests more. Packed pages share blocks with pages that they fit together with.
test_neighbours_are_one_request() {
	[ "$DRIVER" = zram_rs ] || skip "C zram makes each page a request"
	local form before n most
	for form in $FORMS; do
		most=12
		[ "$form" != packed ] || most=64
		nullb "wb$form" 8
		backed "$nullb" 4M lz4 "$form"
		various_pages
		writes_back page_indexes=0-1023
		on_device "all" 1024
		for n in 0 256 512; do
			requests
			before=$requests
			reads_back 256 $n
			requests
			note "$form: $((requests - before)) requests"
			[ $((requests - before)) -le $most ] || fail "reading 256 pages took $((requests - before)) requests"
			[ $((requests - before)) -ge 8 ] || fail "reading 256 pages took $((requests - before)) requests"
		done
		bd_stat
		[ "$form" = packed ] || is "blocks read" "$bd_reads" $((3 * 256))
		no_failed_io
		remove
	done
}

# Pages of each kind and in each place are in one bio, and their blocks are in no order.
test_mixed_pages() {
	local form range
	for form in $FORMS; do
		nullb "wb$form" 4
		backed "$nullb" 1M lz4 "$form"
		does open "$dev" direct
		does bulk 0 64 random 1
		does bulk 64 96 text 1
		does bulk 160 16 zero 0
		does bulk 192 32 text 3
		does bulk 224 32 random 3
		# The first ones get the last blocks; 176 to 191 are empty, and some of the others stay in memory.
		for range in 240-255 64-99 192-200 120-140 10-63 1-5 202-210 7-7; do
			writes_back "page_indexes=$range"
		done
		# Some blocks in between are free again.
		does discard $((70 * PAGE)) $((3 * PAGE))
		does bulk 20 5 text 7
		save 256
		does close
		reads_back 256
		for range in 1 2 3 17 100 255; do
			reads_back $((256 - range)) "$range"
			reads_back "$range"
		done
		no_failed_io
		remove
	done
}

# elsewhere TEXT COMMAND...: runs the command until works whose trace has TEXT were queued for another processor.
elsewhere() {
	local text=$1
	shift
	once() {
		"$@"
		asked "$text*req_cpu=[01] "
		[ "$asked" -gt 0 ]
	}
	eventually 60 once "$@" || fail "works of $text are for no other processor"
	note "$text: $asked works for another processor"
	put $TRACING/trace 0
}

fill_and_discard() {
	ok dd if=/dev/zero of="$dev" bs=1M count=64 oflag=direct status=none
	ok blkdiscard "$dev"
}

# What is to run beside a task is queued for another processor, not left to where the task is.
test_works_are_for_other_processors() {
	local form
	[ "$DRIVER" = zram_rs ] || skip "C zram has no such works"
	[ "$(nproc)" = 2 ] || skip "the guest has not two processors"
	trace_helpers || skip "this kernel does not trace works"
	for form in 1 packed; do
		nullb "wb$form" 8
		backed "$nullb" 4M lz4 "$form"
		various_pages
		writes_back page_indexes=0-1023
		elsewhere 'workqueue=zram_rs ' reads_back 256 256
		remove
	done
	disk 64M lz4
	elsewhere 10ScopedWork fill_and_discard
	stop_tracing
}

test_bad_blocks_cost_their_pages() {
	local form page block bad good
	for form in $FORMS; do
		nullb "wb$form" 4
		backed "$nullb" 1M lz4 "$form"
		does open "$dev" direct
		does bulk 0 48 random 1
		does bulk 48 16 text 1
		does close
		save 64
		writes_back page_indexes=0-63
		for block in 0 17 18 40; do
			bad_sectors "wb$form" $((block * 8)) $((block * 8 + 7))
		done
		not_ok dd if="$dev" of="$TMP/after" bs=$((64 * PAGE)) count=1 iflag=direct
		io_stat
		bad=$failed_reads
		note "$form: $bad pages could not be read"
		[ "$DRIVER" = zram ] || {
			at_least "pages that could not be read" "$bad" 4
			[ "$bad" -le $((4 * 14)) ] || fail "$bad pages could not be read"
			[ "$form" = packed ] || is "pages that could not be read" "$bad" 4
		}
		# All other pages can be read by themselves.
		good=0
		for ((page = 0; page < 64; page++)); do
			dd if="$dev" of="$TMP/after" bs="$PAGE" count=1 skip=$page iflag=direct status=none 2>/dev/null || continue
			ok cmp -n "$PAGE" -i $((page * PAGE)):0 "$TMP/before" "$TMP/after"
			good=$((good + 1))
		done
		[ "$DRIVER" = zram ] || is "pages that can be read" $good $((64 - bad))
		for block in 0 17 18 40; do
			good_sectors "wb$form" $((block * 8)) $((block * 8 + 7))
		done
		reads_back 64
		remove
	done
}

run_tests
