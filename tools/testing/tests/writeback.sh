#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Writeback and readback on a backing device that works: every attribute, every form of a request, every error, all
# counters, and the data of each page in all of its states.
#
# Proves that a tool written for C zram cannot tell the difference, that counters and limits are exact, that memory is
# freed and blocks are reused, and that an invalid request writes nothing.
#
# Guest: uml-debug seconds=600

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

# reads FILE TEXT: the file of the device must hold TEXT, to the byte.
reads() {
	local text=
	IFS= read -rd '' text <"$sys/$1"
	is "$1" "$text" "$2"
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

test_writeback_limit() {
	local value
	add
	for value in 1 0 7 +5 18446744073709551615; do
		stores "$sys/writeback_limit" "$value"
		is "writeback_limit after '$value'" "$(<"$sys/writeback_limit")" "${value#+}"
	done
	for value in garbage '' -1 0x10 1k 18446744073709551616 '1 2'; do
		stores "$sys/writeback_limit" "$value" EINVAL
		is "writeback_limit after '$value'" "$(<"$sys/writeback_limit")" 18446744073709551615
	done
	put_bare "$sys/writeback_limit" 5
	reads writeback_limit $'5\n'
	# The same when there is something to be limited.
	stores "$sys/disksize" 1M
	stores "$sys/writeback_limit" 9
	reads writeback_limit $'9\n'
}

test_writeback_limit_enable() {
	local value
	add
	for value in 1 2 4294967296 18446744073709551615 +1; do
		stores "$sys/writeback_limit_enable" 0
		reads writeback_limit_enable $'0\n'
		stores "$sys/writeback_limit_enable" "$value"
		reads writeback_limit_enable $'1\n'
	done
	for value in garbage '' -1 y on 0x1 18446744073709551616; do
		stores "$sys/writeback_limit_enable" "$value" EINVAL
		reads writeback_limit_enable $'1\n'
	done
}

test_writeback_batch_size() {
	local value
	add
	for value in 1 2 1000 4294967295 32; do
		stores "$sys/writeback_batch_size" "$value"
		reads writeback_batch_size "$value"$'\n'
	done
	for value in 0 garbage '' -1 0x10 4294967296 18446744073709551616; do
		stores "$sys/writeback_batch_size" "$value" EINVAL
		reads writeback_batch_size $'32\n'
	done
	stores "$sys/disksize" 1M
	stores "$sys/writeback_batch_size" 8
	reads writeback_batch_size $'8\n'
}

test_compressed_writeback() {
	local value want
	add
	while read -r value want; do
		stores "$sys/compressed_writeback" "$value"
		reads compressed_writeback "$want"$'\n'
	done <<-END
		1 1
		0 0
		y 1
		n 0
		on 1
		off 0
		Y 1
		No 0
		true 1
		F 0
		1junk 1
	END
	for value in garbage '' 2 -1; do
		stores "$sys/compressed_writeback" "$value" EINVAL
		reads compressed_writeback $'1\n'
	done
	stores "$sys/disksize" 1M
	for value in 0 1; do
		stores "$sys/compressed_writeback" $value EBUSY
	done
	stores "$sys/compressed_writeback" garbage EINVAL
	reads compressed_writeback $'1\n'
}

test_what_a_reset_keeps() {
	blocks wb0 64
	backed "$mapped" 256K lz4 1
	stores "$sys/writeback_limit" 7
	stores "$sys/writeback_limit_enable" 1
	stores "$sys/writeback_batch_size" 5
	does open "$dev" direct
	does bulk 0 4 random 1
	does close
	writes_back huge
	counts "before the reset" 4 0 4
	reads writeback_limit $'3\n'
	stores "$sys/reset" 1
	reads backing_dev $'none\n'
	reads bd_stat $'       0        0        0\n'
	reads writeback_limit $'3\n'
	reads writeback_limit_enable $'1\n'
	reads writeback_batch_size $'5\n'
	reads compressed_writeback $'1\n'
}

# --- The backing device ---------------------------------------------------------------------------

test_backing_dev_errors() {
	local long other self
	blocks wb0 64
	add
	self=$dev
	add
	other=$dev
	echo content >"$TMP/file"
	mkdir -p "$TMP/dir"
	printf -v long '/%*s' 4000 ''
	long=${long// /x}
	nullb wb1 1
	mapped wb2 "0 7 linear $nullb 0"
	is "half a page" "$(blockdev --getsz "$mapped")" 7

	# refused: each of them, and then the backing device is still $1.
	refused() {
		stores_with "$sys/backing_dev" /dev/nosuch ENOENT
		stores_with "$sys/backing_dev" '' EISDIR
		stores_with "$sys/backing_dev" none ENOENT
		stores_with "$sys/backing_dev" "$TMP/file" ENOTBLK
		stores_with "$sys/backing_dev" "$TMP/dir" EISDIR
		stores_with "$sys/backing_dev" /dev/null ENOTBLK
		stores_with "$sys/backing_dev" "/dev/${long:1:300}" ENAMETOOLONG
		stores_with "$sys/backing_dev" "$long" ENAMETOOLONG
		# Of no size, like this very disk and another that is uninitialised; or too small.
		stores_with "$sys/backing_dev" "$self" EINVAL
		stores_with "$sys/backing_dev" "$other" EINVAL
		stores_with "$sys/backing_dev" /dev/mapper/wb2 EINVAL
		is "backing_dev after errors" "$(<"$sys/backing_dev")" "$1"
	}

	use 0
	refused none
	is "zram0 after that" "$(tool exclusive "$self")" OK
	is "zram1 after that" "$(tool exclusive "$other")" OK
	stores "$sys/backing_dev" /dev/mapper/wb0
	refused /dev/mapper/wb0
	is "the backing device after that" "$(tool exclusive /dev/mapper/wb0)" EBUSY
	stores "$sys/disksize" 256K
	for other in "$nullb" /dev/nosuch /dev/mapper/wb0 garbage; do
		stores "$sys/backing_dev" "$other" EBUSY
	done
	is "backing_dev after that" "$(<"$sys/backing_dev")" /dev/mapper/wb0
	does open "$dev" direct
	does bulk 0 64 random 1
	writes_back huge
	does bulkcheck 0 64 random 1
	counts "after all that" 64 64 64
}

# C zram takes it, and then each writeback fails.
test_backing_dev_that_can_only_be_read() {
	[ "$DRIVER" != zram ] || skip "C zram takes a device that can only be read"
	add
	loop --read-only || skip "there are no loop devices here"
	refuses_backing "$loop" EROFS "it is read-only"
	ok losetup --detach "$loop"
	loop || exit 1
	stores "$sys/backing_dev" "$loop"
	is "backing_dev" "$(<"$sys/backing_dev")" "$loop"
	stores "$sys/reset" 1
	# A device that is read-only just for now.
	nullb wb0 1
	ok blockdev --setro "$nullb"
	refuses_backing "$nullb" EROFS "it is read-only"
	ok blockdev --setrw "$nullb"
	stores "$sys/backing_dev" "$nullb"
	stores "$sys/disksize" 1M
	does open "$dev" direct
	does bulk 0 64 random 1
	writes_back huge
	counts "of the device that can be written to" 64 0 64
	does bulkcheck 0 64 random 1
}

test_backing_dev_in_use() {
	nullb wb0 32
	ok mke2fs -q -t ext4 -O ^has_journal "$nullb"
	mkdir -p "$TMP/mnt"
	ok mount "$nullb" "$TMP/mnt"
	add
	stores "$sys/backing_dev" "$nullb" EBUSY
	ok umount "$TMP/mnt"
	stores "$sys/backing_dev" "$nullb"
	# By another disk.
	add
	stores "$sys/backing_dev" "$nullb" EBUSY
	# By this one: the old one is given back only after the new one was opened.
	use 0
	stores "$sys/backing_dev" "$nullb" EBUSY
	is "backing_dev" "$(<"$sys/backing_dev")" "$nullb"
}

# held and free DEVICE: whether it is open exclusively.
held() {
	is "opening $1 exclusively" "$(tool exclusive "$1")" EBUSY
}

free() {
	is "opening $1 exclusively" "$(tool exclusive "$1")" OK
}

test_backing_dev_is_held_and_released() {
	local path
	nullb wb0 1
	nullb wb1 1
	add
	free /dev/wb0
	stores "$sys/backing_dev" /dev/wb0
	held /dev/wb0
	# Replaced by another, before there is a size.
	stores "$sys/backing_dev" /dev/wb1
	is "backing_dev" "$(<"$sys/backing_dev")" /dev/wb1
	free /dev/wb0
	held /dev/wb1
	# Reset of a disk that has no size.
	stores "$sys/reset" 1
	is "backing_dev after a reset" "$(<"$sys/backing_dev")" none
	free /dev/wb1
	# Reset of a disk with pages on it.
	for path in /dev/wb0 /dev/wb1; do
		stores "$sys/backing_dev" $path
		stores "$sys/disksize" 1M
		held $path
		does open "$dev" direct
		does bulk 0 64 random 1
		writes_back huge
		does close
		stores "$sys/reset" 1
		free $path
	done
	# hot_remove, of either.
	stores "$sys/backing_dev" /dev/wb0
	remove
	free /dev/wb0
	add
	backed /dev/wb0 1M
	held /dev/wb0
	remove
	free /dev/wb0
	# rmmod.
	backed /dev/wb0 1M
	add
	stores "$sys/backing_dev" /dev/wb1
	does open "$dev"
	does close
	held /dev/wb1
	unload
	free /dev/wb0
	free /dev/wb1
}

test_backing_dev_shows_the_file() {
	nullb wb0 1
	ln -sf /dev/wb0 "$TMP/link"
	add
	put_bare "$sys/backing_dev" "$TMP/link"
	is "the result of setting it without a newline" "$errno" OK
	reads backing_dev $'/dev/wb0\n'
	stores "$sys/reset" 1
	# Another file for the same device, with a name that is not a plain one.
	ok mknod '/dev/wb a b' b $((0x$(stat -c %t /dev/wb0))) $((0x$(stat -c %T /dev/wb0)))
	stores "$sys/backing_dev" '/dev/wb a b'
	reads backing_dev $'/dev/wb a b\n'
	rm '/dev/wb a b'
	reads backing_dev $'/dev/wb a b (deleted)\n'
	stores "$sys/reset" 1
	# Nor need it be ASCII.
	ok mknod '/dev/wb ß' b $((0x$(stat -c %t /dev/wb0))) $((0x$(stat -c %T /dev/wb0)))
	stores "$sys/backing_dev" '/dev/wb ß'
	reads backing_dev $'/dev/wb ß\n'
	rm '/dev/wb ß'
}

# --- What is written back -------------------------------------------------------------------------

# scene: 16 pages of text, 16 that do not compress, 8 same-filled, 8 of zeros, 16 empty ones. Of the first two
# kinds the first four each are idle.
scene() {
	does bulk 0 16 text 1
	does bulk 16 16 random 1
	does bulk 32 8 same 1
	does bulk 40 8 zero 1
	does discard $((48 * PAGE)) $((16 * PAGE))
	stores "$sys/idle" all
	does read $((4 * PAGE)) $((12 * PAGE))
	does read $((20 * PAGE)) $((12 * PAGE))
}

scene_is_right() {
	does bulkcheck 0 16 text 1
	does bulkcheck 16 16 random 1
	does bulkcheck 32 8 same 1
	does bulkcheck 40 24 zero 0
}

# moves WHAT [PAGE|FROM-TO]...: writing WHAT moves exactly these pages.
moves() {
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
	scene
	bd_stat
	is "bd_count before '$what'" "$bd_count" 0
	i=$bd_writes
	writes_back "$what"
	bd_stat
	is "bd_count after '$what'" "$bd_count" $count
	is "bd_writes after '$what'" $((bd_writes - i)) $count
	places 0 64
	is "pages after '$what'" "$places" "$text"
	scene_is_right
}

# forms COMPRESSED
forms() {
	nullb wb0 1
	backed "$nullb" 256K lz4 "$1"
	does open "$dev" direct
	moves idle 0-3 16-19
	moves huge 16-31
	moves huge_idle 16-19
	moves incompressible
	moves type=idle 0-3 16-19
	moves type=huge 16-31
	moves type=huge_idle 16-19
	moves type=incompressible
	moves '  idle' 0-3 16-19
	moves 'huge ' 16-31
	moves 'type="huge"' 16-31
	moves page_index=0 0
	moves page_index=31 31
	moves page_index=+5 5
	moves page_index=007 7
	moves 'page_index="9"' 9
	moves page_index=32
	moves page_index=47
	moves page_index=63
	moves 'page_index=17 page_index=5 page_index=7' 5 7 17
	moves page_indexes=3-6 3-6
	moves page_indexes=6-6 6
	moves page_indexes=0-63 0-31
	moves page_indexes=30-40 30-31
	moves 'page_indexes=20-22 page_index=1 page_indexes=10-17' 1 10-17 20-22
	# A kind ends the list, and adds nothing to pages.
	moves 'type=huge page_index=1' 16-31
	moves 'idle garbage' 0-3 16-19
	moves 'type=idle page_index=100' 0-3 16-19
	moves 'page_index=5 type=idle' 5
	moves 'page_index=5 huge' 5
	moves 'page_indexes=5-17 type=incompressible' 5-17
	# What is not known is not looked at.
	moves foo=bar
	moves 'foo=bar page_index=1' 1
	moves 'algo=lz4 type=huge_idle' 16-19
	moves ''
}

test_all_forms() {
	forms 0
}

test_all_forms_compressed() {
	forms 1
}

# C zram writes a page twice that is named twice: one of the two blocks is freed again.
test_pages_that_are_named_twice() {
	[ "$DRIVER" != zram ] || skip "C zram writes them twice"
	nullb wb0 1
	backed "$nullb" 256K
	does open "$dev" direct
	moves 'page_index=5 page_index=5' 5
	moves 'page_indexes=0-5 page_indexes=4-9' 0-9
	moves 'page_indexes=0-31 page_indexes=4-9 page_index=31 page_indexes=0-0' 0-31
	# To the last free block.
	blocks wb1 10
	backed "$mapped" 256K
	does open "$dev" direct
	moves 'page_indexes=4-9 page_indexes=0-5' 0-9
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
	# A disk with nothing on it.
	nullb wb0 1
	backed "$nullb" 256K
	stores "$sys/idle" all
	writes_back idle
	writes_back huge
	writes_back page_indexes=0-63
	counts "of an empty disk" 0 0 0
}

test_idle() {
	local value uptime
	nullb wb0 1
	backed "$nullb" 256K
	does open "$dev" direct
	for value in garbage '' -1 all1 ALL '1 2' 4294967296; do
		stores "$sys/idle" "$value" EINVAL
	done
	does bulk 0 64 text 1
	writes_back idle
	counts "with nothing idle" 0 0 0
	sleep 3.1
	does read $((8 * PAGE)) $((4 * PAGE))
	does bulk 16 4 text 1
	# Of all but these.
	stores "$sys/idle" 2
	# Older than the machine: changes nothing.
	stores "$sys/idle" 4294967295
	# What is read or written is not idle any more.
	does read 0 $PAGE
	does bulk 1 1 text 1
	does discard $((2 * PAGE)) $PAGE
	writes_back idle
	places 0 64
	times d 34
	is "pages after writing back what was idle for 2 seconds" "$places" \
		"mmmdddddmmmmddddmmmmdddddddddd$times"
	counts "after that" 53 53 53
	# In other bases; and marks are taken away again, which needs a machine that is older than that.
	until read -r uptime _ </proc/uptime && [ "${uptime%.*}" -gt 17 ]; do
		sleep 0.2
	done
	stores "$sys/idle" all
	stores "$sys/idle" 0x10
	writes_back idle
	bd_stat
	is "bd_count after marking as idle what was not used for 16 seconds" "$bd_count" 53
	put_bare "$sys/idle" all
	writes_back idle
	bd_stat
	is "bd_count after marking all as idle" "$bd_count" 63
	does bulkcheck 3 61 text 1
	does bulkcheck 0 2 text 1
}

# --- What is counted, and what is freed -----------------------------------------------------------

test_counters_and_memory() {
	local compressed before
	for compressed in 0 1; do
		nullb wb$compressed 4
		backed "$nullb" 4M lz4 $compressed
		does open "$dev" direct
		does bulk 0 256 text 1
		mm_stat
		before=$compr
		does bulk 256 256 random 1
		does bulk 512 256 same 1
		mm_stat
		is "compr_data_size" "$compr" $((before + 256 * PAGE))
		at_least "mem_used_total" "$used" $((256 * PAGE))
		writes_back huge
		counts "after huge" 256 0 256
		mm_stat
		is "orig_data_size after huge" "$orig" $((768 * PAGE))
		is "compr_data_size after huge" "$compr" "$before"
		is "huge_pages after huge" "$huge" 0
		is "huge_pages_since after huge" "$huge_since" 256
		is "same_pages after huge" "$same" 256
		[ "$used" -le $((before + 64 * PAGE)) ] || fail "mem_used_total is $used after huge"
		# Once more: there is nothing left to be done.
		writes_back huge
		counts "after huge twice" 256 0 256
		writes_back page_indexes=0-1023
		counts "after everything" 512 0 512
		mm_stat
		is "orig_data_size after everything" "$orig" $((768 * PAGE))
		is "compr_data_size after everything" "$compr" 0
		is "same_pages after everything" "$same" 256
		eventually 5 pool_is_empty || fail "$used bytes are in use after everything was written back"
		# Reads are counted by page, and leave the page where it is.
		does bulkcheck 0 256 text 1
		counts "after 256 reads" 512 256 512
		does bulkcheck 256 256 random 1
		counts "after 512 reads" 512 512 512
		does bulkcheck 512 256 same 1
		does bulkcheck 768 256 zero 0
		counts "after reads of what is not there" 512 512 512
		mm_stat
		is "compr_data_size after reads" "$compr" 0
		pool_is_empty || fail "$used bytes are in use after reads"
		io_stat
		is "failed_reads" "$failed_reads" 0
		is "failed_writes" "$failed_writes" 0
		does discard 0 $((4 << 20))
		bd_stat
		is "bd_count after discard" "$bd_count" 0
		mm_stat
		is "orig_data_size after discard" "$orig" 0
		does close
	done
}

# through ALGORITHM: in both settings, with every size of a batch.
through() {
	local compressed batch seed=0 count reads writes batches='1 2 32 1000 4294967295'
	[ "$DRIVER" != zram ] || batches='1 2 32 1000'
	for compressed in 0 1; do
		nullb wb$compressed 2
		backed "$nullb" 2M "$1" $compressed
		does open "$dev" direct
		reads=0
		writes=0
		for batch in $batches; do
			stores "$sys/writeback_batch_size" "$batch"
			seed=$((seed + 1))
			does bulk 0 512 mixed $seed
			mm_stat
			count=$((orig / PAGE - same))
			at_least "the number of pages that can be written back" $count 128
			stores "$sys/idle" all
			writes_back idle
			writes=$((writes + count))
			counts "of $1, batch $batch" $count "$reads" $writes
			mm_stat
			is "compr_data_size of $1, batch $batch" "$compr" 0
			eventually 5 pool_is_empty || fail "$used bytes are in use"
			both_ways 0 512 mixed $seed
			reads=$((reads + 2 * count))
			counts "of $1, batch $batch, after reads" $count $reads $writes
			# A part of it again, in memory.
			does bulk 100 150 mixed $((seed + 100))
			both_ways 100 150 mixed $((seed + 100))
			both_ways 0 100 mixed $seed
			both_ways 250 262 mixed $seed
			bd_stat
			reads=$bd_reads
		done
		does close
		remove
	done
}

test_lzo_rle() {
	through lzo-rle
}

test_lzo() {
	through lzo
}

test_lz4() {
	through lz4
}

test_zstd() {
	through zstd
}

# One read of pages that are in memory, same-filled, zero, empty, huge, and written back, side by side.
test_mixed_reads() {
	local compressed step
	for compressed in 0 1; do
		nullb wb$compressed 1
		backed "$nullb" 1M zstd $compressed
		does open "$dev" direct
		for step in 2 3 7; do
			does discard 0 $((1 << 20))
			does bulk 0 200 mixed $step
			index=0
			what=
			while [ $index -lt 200 ]; do
				what+=" page_index=$index"
				index=$((index + step))
			done
			writes_back "$what"
			bd_stat
			at_least "bd_count" "$bd_count" $((200 / step / 4))
			both_ways 0 200 mixed $step
			both_ways 200 56 zero 0
			does bulkcheck 0 199 mixed $step
			does bulkcheck 1 199 mixed $step
		done
		does close
	done
}

# Memory for direct I/O need only be aligned to 512 bytes, so a block may lie across two pages of it.
test_buffers_across_pages() {
	[ "$DRIVER" != zram ] || skip "C zram writes outside of such a buffer: it takes every bio_vec for a page"
	local compressed shift
	for compressed in 0 1; do
		nullb wb$compressed 2
		backed "$nullb" 2M lzo-rle $compressed
		does open "$dev" direct
		for shift in 512 1536 3584; do
			does shift 0
			does write 0 128 mixed $shift
			writes_back page_indexes=0-63
			bd_stat
			at_least "bd_count" "$bd_count" 16
			does shift $shift
			does check 0 128 mixed $shift
			does bulkcheck 0 128 mixed $shift
			# Overwrite pages on the backing device and in memory; and write others.
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
	local compressed round
	for compressed in 0 1; do
		blocks wb$compressed 64
		backed "$mapped" 256K lz4 $compressed
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
			# As many as there are free again, at other places.
			does bulk 0 40 random $((round + 1))
			bd_stat
			is "bd_count after writing again" "$bd_count" 24
			writes_back huge
			bd_stat
			is "bd_count after writing back again" "$bd_count" 64
			both_ways 0 40 random $((round + 1))
			both_ways 40 24 random 1
			mm_stat
			is "compr_data_size" "$compr" 0
		done
		does close
	done
}

# What was written to once is written to again before the rest of the device is: a file that is a disk does not grow
# for ever.
test_as_much_of_the_device_as_it_takes() {
	local part=$((4096 * PAGE)) written=0 round number
	nullb wbn $((8 * part >> 20))
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

# --- What ends it early ---------------------------------------------------------------------------

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
		places 0 64
		letters=${places//m/}
		is "the number of pages on the device" ${#letters} 40
		# Free blocks for eight more.
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
		# A full device is no error when there is nothing to be written.
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
	times m 24
	half=$times
	times d 16
	places 0 64
	is "pages" "$places" "$half$times$half"
}

test_limit() {
	nullb wb0 1
	backed "$nullb" 256K
	does open "$dev" direct
	does bulk 0 64 random 1
	# Not in force: not looked at, and not changed.
	stores "$sys/writeback_limit" 3
	writes_back page_indexes=0-9
	counts "without a limit" 10 0 10
	is "writeback_limit" "$(<"$sys/writeback_limit")" 3
	stores "$sys/writeback_limit_enable" 1
	writes_back huge EIO
	counts "with a limit of 3" 13 0 13
	is "writeback_limit" "$(<"$sys/writeback_limit")" 0
	writes_back huge EIO
	counts "with a limit of 0" 13 0 13
	is "writeback_limit" "$(<"$sys/writeback_limit")" 0
	# Nothing to be done is done within any limit.
	writes_back page_indexes=0-9
	writes_back incompressible
	writes_back ''
	# Just enough, and more than enough.
	does bulk 0 64 text 1
	stores "$sys/writeback_limit" 64
	writes_back page_indexes=0-63
	bd_stat
	is "bd_stat with a limit of 64" "$bd_count $bd_writes" "64 77"
	is "writeback_limit" "$(<"$sys/writeback_limit")" 0
	does bulk 0 32 random 2
	stores "$sys/writeback_limit" 18446744073709551615
	writes_back huge
	is "writeback_limit" "$(<"$sys/writeback_limit")" 18446744073709551583
	# Pages that are not to be written back cost nothing.
	does bulk 0 64 same 1
	does bulk 10 5 text 1
	stores "$sys/writeback_limit" 5
	writes_back page_indexes=0-63
	is "writeback_limit" "$(<"$sys/writeback_limit")" 0
	bd_stat
	is "bd_count" "$bd_count" 5
	# In and out of force.
	does bulk 0 64 random 3
	stores "$sys/writeback_limit" 1
	writes_back huge EIO
	stores "$sys/writeback_limit_enable" 0
	writes_back huge
	bd_stat
	is "bd_count" "$bd_count" 64
	both_ways 0 64 random 3
}

# With every size of a batch, the limit is never overrun, also when the device is full.
test_limit_and_batches() {
	local batch batches='1 2 32 1000 4294967295' limit
	[ "$DRIVER" != zram ] || batches='1 2 32 1000'
	blocks wb0 100
	backed "$mapped" 1M
	does open "$dev" direct
	stores "$sys/writeback_limit_enable" 1
	for batch in $batches; do
		stores "$sys/writeback_batch_size" "$batch"
		for limit in 1 31 33 99; do
			does bulk 0 256 random "$batch"
			bd_stat
			is "bd_count" "$bd_count" 0
			stores "$sys/writeback_limit" $limit
			writes_back huge EIO
			bd_stat
			is "bd_count with batch $batch and limit $limit" "$bd_count" $limit
			is "writeback_limit" "$(<"$sys/writeback_limit")" 0
		done
		does bulk 0 256 random "$batch"
		stores "$sys/writeback_limit" 120
		writes_back huge ENOSPC
		bd_stat
		is "bd_count with batch $batch and limit 120" "$bd_count" 100
		is "writeback_limit" "$(<"$sys/writeback_limit")" 20
	done
	does bulkcheck 0 256 random "$batch"
}

# most_free: into $free, MemFree in KiB, the most of several times. Others take memory for a moment: what frees
# theirs may be late on a busy machine (RCU, the quarantine of KASAN), and so were lows of 90 MiB.
most_free() {
	local name value i
	free=0
	for i in {1..10}; do
		while read -r name value _; do
			[ "$name" = MemFree: ] || continue
			[ "$value" -le "$free" ] || free=$value
			break
		done </proc/meminfo
		sleep 0.2
	done
}

# in_flight LIMIT: are there more pages on their way than there were last time? Each is charged to the limit before
# it is. How many there are is in $flying.
in_flight() {
	local last=$flying
	sleep 1
	flying=$(($1 - $(<"$sys/writeback_limit")))
	[ "$flying" = 0 ] || [ "$flying" != "$last" ]
}

# What a writeback has taken can be seen in peace while its device takes all requests, and answers none.
test_absurd_batch_size() {
	[ "$DRIVER" != zram ] || skip "C zram allocates until the machine dies"
	local compressed before writer pages=8192 free flying share
	share=$(awk '/MemTotal/ { print int($2 / 4 / 256) }' /proc/meminfo)
	for compressed in 0 1; do
		nullb wb${compressed}n 64 memory_backed 0
		mapped wb$compressed "0 131072 linear $nullb 0"
		backed "$mapped" 32M lz4 $compressed
		does open "$dev" direct
		# Once for whatever the machine keeps after the first time.
		does bulk 0 $pages text 1
		writes_back page_indexes=0-$((pages - 1))
		does bulk 0 $pages text 2
		stores "$sys/writeback_batch_size" 4294967295
		stores "$sys/writeback_limit" 1000000
		stores "$sys/writeback_limit_enable" 1
		stores "$sys/idle" all
		ok dmsetup suspend --noflush --nolockfs wb$compressed
		most_free
		before=$free
		(
			writes_back idle
			exit $failed
		) &
		writer=$!
		flying=0
		while in_flight 1000000; do
			kill -0 $writer 2>/dev/null || break
		done
		most_free
		ok dmsetup resume wb$compressed
		wait $writer || failed=1
		counts "of an absurd batch" $pages 0 $((2 * pages))
		note "$flying pages in flight; free memory: $before KiB, then $free KiB"
		at_least "number of pages in flight" $flying 512
		at_least "the share of the memory in pages" "$share" $flying
		at_least "free memory in KiB" "$free" $((before - 16384))
		does discard 0 $((32 << 20))
		does close
		remove
	done
}

# Without free memory, that is, where all allocations fail that would not wait for any: a writeback begins with what it
# must have, a single page, and comes to its end with that.
test_one_page_is_enough() {
	[ "$DRIVER" != zram ] || skip "C zram waits for memory for a whole batch"
	local compressed writer pages=128 flying
	no_free_memory 100
	for compressed in 0 1; do
		nullb wb${compressed}n 64 memory_backed 0
		mapped wb$compressed "0 131072 linear $nullb 0"
		backed "$mapped" 32M lz4 $compressed
		does open "$dev" direct
		does bulk 0 $pages text 1
		stores "$sys/writeback_limit" 1000000
		stores "$sys/writeback_limit_enable" 1
		stores "$sys/idle" all
		ok dmsetup suspend --noflush --nolockfs wb$compressed
		(
			echo 1 >/proc/self/make-it-fail
			writes_back idle
			exit $failed
		) &
		writer=$!
		flying=0
		while in_flight 1000000; do
			kill -0 $writer 2>/dev/null || break
		done
		ok dmsetup resume wb$compressed
		wait $writer || failed=1
		is "the number of pages in flight" $flying 1
		counts "of one page at a time" $pages 0 $pages
		does close
		remove
	done
	no_free_memory 0
}

# --- No stale memory on the backing device --------------------------------------------------------

# What follows an object in its block is zero, though the memory it was written from held other pages before.
test_no_stale_memory_on_the_device() {
	local algorithm tails tail sizes sum count
	algorithms
	for algorithm in $ALGORITHMS; do
		nullb "wb$algorithm" 1
		backed "$nullb" 256K "$algorithm" 1
		stores "$sys/writeback_batch_size" 1
		does open "$dev" direct
		does bulk 0 32 random 1
		does bulk 32 32 text 1
		mm_stat
		sizes=$((compr - 32 * PAGE))
		stores "$sys/idle" all
		writes_back idle
		counts "of 64 pages" 64 0 64
		tails=$(tool tails "$nullb" 64)
		sum=0
		count=0
		for tail in $tails; do
			# A page of random words can end with some zeros, but not with many.
			[ "$tail" -lt $((PAGE - 8)) ] || continue
			sum=$((sum + tail))
			count=$((count + 1))
		done
		is "the number of compressed pages on the device" $count 32
		# An object can end with some zeros itself.
		[ $sum -le $sizes ] || fail "$algorithm: $sum bytes are on the device, of objects of $sizes: $tails"
		[ $sum -ge $((sizes - 32 * 8)) ] || fail "$algorithm: only $sum of $sizes bytes are on the device"
		does bulkcheck 0 32 random 1
		does bulkcheck 32 32 text 1
		does close
	done
}

# --- Larger things --------------------------------------------------------------------------------

test_backed_by_another_zram() {
	local below compressed
	for compressed in 0 1; do
		disk 4M lz4
		below=$sys
		backed "$dev" 2M zstd $compressed
		does open "$dev" direct
		does bulk 0 512 mixed 1
		mm_stat
		count=$((orig / PAGE - same))
		writes_back page_indexes=0-511
		counts "of the upper disk" $count 0 $count
		eventually 5 pool_is_empty || fail "$used bytes are in use"
		both_ways 0 512 mixed 1
		does close
		remove
		sys=$below
		mm_stat
		is "orig_data_size of the lower disk" "$orig" $((count * PAGE))
		put $CONTROL/hot_remove "${below##*zram}"
	done
}

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
		at_least "bd_count" "$bd_count" 1000
		echo 3 >/proc/sys/vm/drop_caches
		is "hash of all files" "$(cd "$TMP/mnt" && find . -type f -exec sha256sum {} + | sort | sha256sum)" "$want"
		bd_stat
		at_least "bd_reads" "$bd_reads" 1000
		# Change a part, write that back, too.
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
	local n pids=()
	for n in 0 1 2; do
		nullb wb$n 2
		backed "$nullb" 2M lz4 $((n % 2))
	done
	for n in 0 1 2; do
		(
			use $n
			does open "$dev" direct
			for round in 1 2 3 4; do
				does bulk 0 512 mixed $((10 * n + round))
				mm_stat
				count=$((orig / PAGE - same))
				writes_back page_indexes=0-511
				bd_stat
				is "bd_count of zram$n" "$bd_count" $count
				does bulkcheck 0 512 mixed $((10 * n + round))
			done
			exit $failed
		) &
		pids+=($!)
	done
	for n in "${pids[@]}"; do
		wait "$n" || failed=1
	done
}

run_tests
