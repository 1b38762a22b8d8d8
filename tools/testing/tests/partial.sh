#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Several tasks write parts of pages that are written back, at once, while the pages move to other blocks. On machines
# with pages of 4 KiB no bio is smaller than a page, except with a build of the driver for this test: its disks have
# blocks of 512 bytes, the reserve for reading back has one bio, and each CPU has one worker for it
# (tools/build uml-debug --small-blocks). The script makes all other allocations of bios fail, so that the driver
# has only that reserve.
#
# Guest: uml-debug build=small-blocks seconds=540
# Guest: arm64-64k-debug build=small-blocks memory=2G seconds=1800

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

FAILSLAB=/sys/kernel/debug/failslab

# The number of pages, of tasks that write to each page, and of moves of the pages. A read of the backing device takes
# read_ms milliseconds.
pages=4 tasks=3 moves=10 read_ms=500
# The blocks of a page.
parts=$((PAGE / 512))

need_small_blocks() {
	local size
	disk 1M
	size=$(<"$sys/queue/logical_block_size")
	remove
	[ "$size" = 512 ] || skip "blocks have $size bytes (tools/build uml-debug --small-blocks)"
	[ -d $FAILSLAB ] || skip "this kernel does not inject faults"
}

# no_bios 1|0: makes all allocations of bios fail, of all sizes that the driver uses, except from the reserve; or not.
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

# read_pages FILE: saves the pages of the disk.
read_pages() {
	ok dd if="$dev" of="$1" bs=$PAGE count=$pages iflag=direct status=none
}

# check_blocks SEED [KIND]: each block must have the data of its page; if a task writes to it, it may have that of the task.
check_blocks() {
	local wrong
	read_pages "$TMP/is"
	does bulk 0 $pages "${2:-hex}" "$1"
	read_pages "$TMP/was"
	wrong=$(perl -e 'local $/; my ($tasks, $parts, @text) = (shift, shift, map { open(my $f, "<", $_) or die; <$f> } @ARGV);
		for my $block (0 .. length($text[1]) / 512 - 1) {
			my ($is, $was) = map { substr($_, $block * 512, 512) } @text;
			my $of_task = $block % $parts >= 1 && $block % $parts <= $tasks;
			print "$block " unless $is eq $was || $of_task && $is eq "x" x 512;
		}' $tasks $parts "$TMP/is" "$TMP/was" 2>&1)
	is "the list of wrong blocks" "$wrong" ""
}

# write_to_moving_pages FORM: each task writes one block to each page, for which the driver reads the page. Meanwhile, the
# test overwrites the pages and writes them back to other blocks, so that the driver has to read them again, in workers
# that could wait for each other's bios.
write_to_moving_pages() {
	local round page task move before writers=() algorithm=lz4
	need_small_blocks
	delayed wb1 16 $read_ms 0
	# So that the pages fit into one block.
	[ "$1" != packed ] || algorithm=zstd
	backed "$mapped" 1M $algorithm "$1"
	head -c 512 /dev/zero | tr '\0' x >"$TMP/x"
	does open "$dev" direct
	does bulk 0 $pages hex 1
	writes_back page_indexes=0-$((pages - 1))
	no_bios 1
	for round in 1 2 3; do
		writers=()
		for ((task = 1; task <= tasks; task++)); do
			for ((page = 0; page < pages; page++)); do
				dd if="$TMP/x" of="$dev" bs=512 seek=$((page * parts + task)) count=1 oflag=direct conv=notrunc status=none &
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
		check_blocks $round
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
	# Without pages that were read again, the test shows nothing.
	at_least "pages that were read" "$bd_reads" $((3 * pages * tasks + 3))
	remove
}

test_pages_that_move_raw() {
	write_to_moving_pages 0
}

test_pages_that_move_compressed() {
	write_to_moving_pages 1
}

# Several of the pages are in one block.
test_pages_that_move_packed() {
	write_to_moving_pages packed
}

# A block has as many reads as it can count, from writers of parts of one page, and the page moves to that block: the
# worker that finds the page there cannot pin the block, and must not wait for the reads, which need this worker.
test_more_reads_than_can_be_counted() {
	local inflight reads count writers=()
	need_small_blocks
	holdable wb1 64
	backed "$mapped" 1M lz4
	head -c 512 /dev/zero | tr '\0' x >"$TMP/x"
	does open "$dev" direct
	does bulk 0 1 random 1
	writes_back page_index=0
	hold_reads wb1
	# One write reads the block that the page has first, the others the one that it has then.
	write_block 1
	eventually 30 reads_in_flight 1 || fail "there is no read"
	does bulk 0 1 random 2
	writes_back page_index=0
	for ((count = 0; count < 20; count++)); do
		write_block $((2 + count % 6))
	done
	eventually 30 reads_in_flight 15 || fail "$reads reads are under way"
	sleep 1
	reads_in_flight 1
	is "the number of reads under way" "$reads" 15
	release_reads wb1
	if ! eventually 60 ended "${writers[@]}"; then
		# The guest could not end with a worker that waits for itself.
		fail "writers wait for each other"
		echo b >/proc/sysrq-trigger
	fi
	wait "${writers[@]}"
	does close
	io_stat
	is "failed_writes" "$failed_writes" 0
	remove
}

# The same with pages that share a block: each reads the same block.
test_more_reads_of_a_shared_block_than_can_be_counted() {
	local inflight reads count writers=() pages=14 tasks=2
	need_small_blocks
	holdable wb1 64
	backed "$mapped" 1M lz4 packed
	head -c 512 /dev/zero | tr '\0' x >"$TMP/x"
	does open "$dev" direct
	does bulk 0 $pages text 1
	writes_back page_indexes=0-$((pages - 1))
	bd_stat
	is "blocks" "$bd_count" 1
	hold_reads wb1
	for ((count = 0; count < 2 * pages; count++)); do
		write_block $((count % pages * parts + 1 + count / pages))
	done
	eventually 30 reads_in_flight 14 || fail "$reads reads are under way"
	sleep 1
	reads_in_flight 1
	is "the number of reads under way" "$reads" 14
	release_reads wb1
	if ! eventually 60 ended "${writers[@]}"; then
		# As above.
		fail "writers wait for each other"
		echo b >/proc/sysrq-trigger
	fi
	wait "${writers[@]}"
	check_blocks 1 text
	does close
	no_failed_io
	remove
}

# no_pages 1|0: makes all allocations of pages fail that cannot wait, such as those of bounce pages, in tasks that ask for
# it and in workers of high priority; or not.
no_pages() {
	local inject=/sys/kernel/debug/fail_page_alloc path name
	for path in /proc/[0-9]*; do
		{ name=$(<"$path/comm"); } 2>/dev/null
		[[ $name != kworker/*H* ]] || put "$path/make-it-fail" "$1"
	done
	stores $inject/verbose 0
	stores $inject/task-filter Y
	stores $inject/ignore-gfp-wait Y
	stores $inject/min-order 0
	stores $inject/times -1
	stores $inject/probability $((100 * $1))
}

# A task reads many packed blocks with one bio, and has the only bounce page: the worker that waits for it has the only
# bio of those that find blocks, so the task must not wait for that one before its reads begin.
test_many_packed_blocks_without_memory() {
	local pages=64 reader readers=()
	need_small_blocks
	[ -d /sys/kernel/debug/fail_page_alloc ] || skip "this kernel does not inject faults"
	delayed wb1 16 1 0
	backed "$mapped" 1M zstd packed
	does open "$dev" direct
	does bulk 0 $pages hex 1
	writes_back page_indexes=0-$((pages - 1))
	read_pages "$TMP/was"
	no_bios 1
	no_pages 1
	for reader in 1 2; do
		(
			put /proc/self/make-it-fail 1
			exec dd if="$dev" of="$TMP/is.$reader" bs=$((pages * PAGE)) count=1 iflag=direct status=none
		) &
		readers+=($!)
	done
	eventually 60 ended "${readers[@]}" || fail "readers wait for each other"
	no_pages 0
	no_bios 0
	wait_all "${readers[@]}"
	for reader in 1 2; do
		ok cmp "$TMP/was" "$TMP/is.$reader"
	done
	does close
	no_failed_io
	remove
}

# write_block BLOCK: starts a task that writes this block of 512 bytes.
write_block() {
	dd if="$TMP/x" of="$dev" bs=512 seek="$1" count=1 oflag=direct conv=notrunc status=none &
	writers+=($!)
}

# A write of a part that fails is no access of the page.
test_failed_write_of_a_part_leaves_the_page_idle() {
	local line
	need_small_blocks
	disk 1M lz4
	head -c 512 /dev/zero | tr '\0' x >"$TMP/x"
	does open "$dev" direct
	does bulk 0 1 random 1
	stores "$sys/idle" all
	stores "$sys/mem_limit" $PAGE
	not_ok dd if="$TMP/x" of="$dev" bs=512 count=1 oflag=direct conv=notrunc status=none
	read -r line </sys/kernel/debug/zram/zram$id/block_state
	[[ $line == *hi* ]] || fail "block_state of the page is '$line', should have h and i"
	stores "$sys/mem_limit" 0
	ok dd if="$TMP/x" of="$dev" bs=512 count=1 oflag=direct conv=notrunc status=none
	read -r line </sys/kernel/debug/zram/zram$id/block_state
	[[ $line != *i* ]] || fail "block_state of the page is '$line', should not have i"
	does close
	remove
}

run_tests
