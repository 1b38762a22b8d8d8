#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Several tasks write parts of pages that are written back, at once, while the pages move to other blocks. On machines
# with pages of 4 KiB no bio is smaller than a page, except with a build of the driver for this test: its disks have
# blocks of 512 bytes, the reserve for reading back has one bio, and each CPU has one worker for it
# (tools/build uml-debug --small-blocks). The script makes all other allocations of bios fail, so that the driver
# has only that reserve.
#
# Guest: uml-debug build=small-blocks seconds=600

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

FAILSLAB=/sys/kernel/debug/failslab

# How many pages, how many tasks write to each, and how often they move meanwhile. A read of the backing device takes so
# many milliseconds.
pages=4 tasks=3 moves=10 read_ms=500

small_blocks() {
	local size
	disk 1M
	size=$(<"$sys/queue/logical_block_size")
	remove
	[ "$size" = 512 ] || skip "blocks have $size bytes (tools/build uml-debug --small-blocks)"
	[ -d $FAILSLAB ] || skip "this kernel does not inject faults"
}

# no_bios YES: with 1, none but those in reserve, for all sizes of bios that the driver has brought.
no_bios() {
	local path
	for path in /sys/kernel/slab/bio-*; do
		[ ! -w "$path/failslab" ] || echo "$1" >"$path/failslab"
	done
	stores $FAILSLAB/verbose 0
	stores $FAILSLAB/task-filter N
	stores $FAILSLAB/cache-filter Y
	stores $FAILSLAB/ignore-gfp-wait N
	stores $FAILSLAB/times -1
	stores $FAILSLAB/probability $((100 * $1))
}

# contents FILE: what is on the disk.
contents() {
	ok dd if="$dev" of="$1" bs=$PAGE count=$pages iflag=direct status=none
}

# right SEED: all blocks are those of these pages, but for those of the tasks, which may be theirs.
right() {
	local wrong
	contents "$TMP/is"
	does bulk 0 $pages hex "$1"
	contents "$TMP/was"
	wrong=$(perl -e 'local $/; my ($tasks, @text) = (shift, map { open(my $f, "<", $_) or die; <$f> } @ARGV);
		for my $block (0 .. length($text[1]) / 512 - 1) {
			my ($is, $was) = map { substr($_, $block * 512, 512) } @text;
			my $of_task = $block % 8 >= 1 && $block % 8 <= $tasks;
			print "$block " unless $is eq $was || $of_task && $is eq "x" x 512;
		}' $tasks "$TMP/is" "$TMP/was" 2>&1)
	is "the list of wrong blocks" "$wrong" ""
}

# Each task writes a block of its own to each page, while the pages are being read for that, they are written anew and
# go to other blocks; so what was read has to be read again, by workers who would wait for each other's bios.
moving() {
	local compressed=$1 round page task move before writers=()
	small_blocks
	delayed wb1 16 $read_ms 0
	backed "$mapped" 1M lz4 "$compressed"
	head -c 512 /dev/zero | tr '\0' x >"$TMP/x"
	does open "$dev" direct
	does bulk 0 $pages hex 1
	writes_back page_indexes=0-$((pages - 1))
	no_bios 1
	for round in 1 2 3; do
		writers=()
		for ((task = 1; task <= tasks; task++)); do
			for ((page = 0; page < pages; page++)); do
				dd if="$TMP/x" of="$dev" bs=512 seek=$((page * 8 + task)) count=1 oflag=direct conv=notrunc status=none &
				writers+=($!)
			done
		done
		for ((move = 0; move < moves; move++)); do
			does bulk 0 $pages hex $round
			writes_back page_indexes=0-$((pages - 1))
			sleep 0.2
		done
		eventually 60 ended "${writers[@]}" || {
			fail "writers wait for each other in round $round"
			break
		}
		right $round
		writes_back page_indexes=0-$((pages - 1))
	done
	no_bios 0
	wait "${writers[@]}"
	does bulk 0 $pages hex 7
	writes_back page_indexes=0-$((pages - 1))
	does bulkcheck 0 $pages hex 7
	does close
	no_failed_io
	bd_stat
	note "$bd_reads pages were read for $((3 * pages * tasks)) writes"
	# Otherwise this shows nothing.
	at_least "pages that were read" "$bd_reads" $((3 * pages * tasks + 3))
	remove
}

test_pages_that_move_raw() {
	moving 0
}

test_pages_that_move_compressed() {
	moving 1
}

# As many writers of parts of one page as a block can have reads, while the page moves to that block: the worker that
# finds the page there cannot pin the block, and must not wait for reads that need this worker.
test_more_reads_than_can_be_counted() {
	local inflight reads count writers=()
	small_blocks
	holdable wb1 64
	backed "$mapped" 1M lz4
	head -c 512 /dev/zero | tr '\0' x >"$TMP/x"
	does open "$dev" direct
	does bulk 0 1 random 1
	writes_back page_index=0
	hold_reads wb1
	# One write reads the first block of the page, the others the second one.
	part 1
	eventually 30 reads_in_flight 1 || fail "there is no read"
	does bulk 0 1 random 2
	writes_back page_index=0
	for ((count = 0; count < 20; count++)); do
		part $((2 + count % 6))
	done
	eventually 30 reads_in_flight 15 || fail "$reads reads are under way"
	sleep 1
	reads_in_flight 1
	is "the number of reads under way" "$reads" 15
	release_reads wb1
	if ! eventually 60 ended "${writers[@]}"; then
		# A worker that waits for itself would keep the guest from ending.
		fail "writers wait for each other"
		echo b >/proc/sysrq-trigger
	fi
	wait "${writers[@]}"
	does close
	io_stat
	is "failed_writes" "$failed_writes" 0
	remove
}

# part BLOCK: a task that writes this block of 512 bytes.
part() {
	dd if="$TMP/x" of="$dev" bs=512 seek="$1" count=1 oflag=direct conv=notrunc status=none &
	writers+=($!)
}

run_tests
