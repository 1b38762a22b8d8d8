#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The file backing_dev: the devices that it accepts, the errors for other files, its output, and the exclusive use of
# the device until it is replaced, or the disk is reset or removed. An initialised disk can get a device, once.
#
# Guest: uml-debug group=writeback

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

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

	# refused: tries all of these; then the backing device must still be $1.
	refused() {
		stores "$sys/backing_dev" /dev/nosuch ENOENT
		stores "$sys/backing_dev" '' EISDIR
		stores "$sys/backing_dev" none ENOENT
		stores "$sys/backing_dev" "$TMP/file" ENOTBLK
		stores "$sys/backing_dev" "$TMP/dir" EISDIR
		stores "$sys/backing_dev" /dev/null ENOTBLK
		stores "$sys/backing_dev" "/dev/${long:1:300}" ENAMETOOLONG
		stores "$sys/backing_dev" "$long" ENAMETOOLONG
		# Devices without a size, like this disk and another uninitialised one, and one that is too small.
		stores "$sys/backing_dev" "$self" EINVAL
		stores "$sys/backing_dev" "$other" EINVAL
		stores "$sys/backing_dev" /dev/mapper/wb2 EINVAL
		is "backing_dev after errors" "$(<"$sys/backing_dev")" "$1"
	}

	use 0
	refused none
	is "zram0 after that" "$(wbtool exclusive "$self")" OK
	is "zram1 after that" "$(wbtool exclusive "$other")" OK
	stores "$sys/backing_dev" /dev/mapper/wb0
	refused /dev/mapper/wb0
	is "the backing device after that" "$(wbtool exclusive /dev/mapper/wb0)" EBUSY
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

# C zram accepts the device, and then each writeback fails.
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
	# A device that was set to read-only, and then to read-write.
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
	# In use by another disk.
	add
	stores "$sys/backing_dev" "$nullb" EBUSY
	# In use by this disk: the driver releases the old device only after it has opened the new one.
	use 0
	stores "$sys/backing_dev" "$nullb" EBUSY
	is "backing_dev" "$(<"$sys/backing_dev")" "$nullb"
}

# held DEVICE: the device must be open exclusively. free DEVICE: it must not.
held() {
	is "opening $1 exclusively" "$(wbtool exclusive "$1")" EBUSY
}

free() {
	is "opening $1 exclusively" "$(wbtool exclusive "$1")" OK
}

test_backing_dev_is_held_and_released() {
	local path
	nullb wb0 1
	nullb wb1 1
	add
	free /dev/wb0
	stores "$sys/backing_dev" /dev/wb0
	held /dev/wb0
	# Replaced by another device before the disk has a size.
	stores "$sys/backing_dev" /dev/wb1
	is "backing_dev" "$(<"$sys/backing_dev")" /dev/wb1
	free /dev/wb0
	held /dev/wb1
	# Reset of a disk without a size.
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
	# hot_remove of a disk without a size, and with one.
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
	# Another file of the device, with blanks in its name.
	ok mknod '/dev/wb a b' b $((0x$(stat -c %t /dev/wb0))) $((0x$(stat -c %T /dev/wb0)))
	stores "$sys/backing_dev" '/dev/wb a b'
	reads backing_dev $'/dev/wb a b\n'
	rm '/dev/wb a b'
	reads backing_dev $'/dev/wb a b (deleted)\n'
	stores "$sys/reset" 1
	# A file whose name is not ASCII.
	ok mknod '/dev/wb ß' b $((0x$(stat -c %t /dev/wb0))) $((0x$(stat -c %T /dev/wb0)))
	stores "$sys/backing_dev" '/dev/wb ß'
	reads backing_dev $'/dev/wb ß\n'
	rm '/dev/wb ß'
}

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
		check_both_ways 0 512 mixed 1
		does close
		remove
		sys=$below
		mm_stat
		is "orig_data_size of the lower disk" "$orig" $((count * PAGE))
		put $CONTROL/hot_remove "${below##*zram}"
	done
}

test_a_backing_device_that_comes_later() {
	[ "$DRIVER" != zram ] || skip "C zram takes none later"
	local form self other path pages
	nullb wb0 2
	nullb wb1 2
	disk 1M
	other=$dev
	echo content >"$TMP/file"
	for form in $FORMS; do
		add
		self=$dev
		stores "$sys/comp_algorithm" lz4
		set_form "$form"
		stores "$sys/disksize" 2M
		does open "$dev" direct
		does bulk 0 256 mixed 1
		writes_back huge ENODEV
		# Nothing of this changes anything.
		stores "$sys/backing_dev" /dev/nosuch ENOENT
		stores "$sys/backing_dev" "$TMP/file" ENOTBLK
		stores "$sys/backing_dev" /dev/null ENOTBLK
		does close
		kernel_log "refused: begin"
		stores "$sys/backing_dev" "$self" EINVAL
		stores "$sys/backing_dev" "$other" EINVAL
		[ "$(dmesg | sed '1,/refused: begin/d' | grep -c 'it is a zram device')" -ge 2 ] ||
			fail "the log does not say why a zram device is refused"
		stores "$sys/backing_dev" /dev/wb1
		stores "$sys/backing_dev" /dev/wb0 EBUSY
		is "backing_dev" "$(<"$sys/backing_dev")" /dev/wb1
		held /dev/wb1
		free /dev/wb0
		stores "$sys/reset" 1
		is "backing_dev after a reset" "$(<"$sys/backing_dev")" none
		free /dev/wb1
		stores "$sys/comp_algorithm" lz4
		stores "$sys/disksize" 2M
		does open "$dev" direct
		does bulk 0 256 mixed 1
		writes_back huge ENODEV
		ok mke2fs -q /dev/wb0
		mkdir -p "$TMP/mnt"
		ok mount /dev/wb0 "$TMP/mnt"
		stores "$sys/backing_dev" /dev/wb0 EBUSY
		ok umount "$TMP/mnt"
		is "backing_dev after errors" "$(<"$sys/backing_dev")" none
		stores "$sys/backing_dev" /dev/wb0
		for path in /dev/wb0 /dev/wb1 /dev/nosuch; do
			stores "$sys/backing_dev" $path EBUSY
		done
		is "packed_writeback" "$(<"$sys/packed_writeback")" "$([ "$form" = packed ] && echo 1 || echo 0)"
		mm_stat
		pages=$((orig / PAGE - same))
		writes_back page_indexes=0-255
		on_device "in the form $form" $pages
		mm_stat
		is "compr_data_size after writeback" "$compr" 0
		check_both_ways 0 256 mixed 1
		[ "$form" != packed ] || [ "$bd_count" -lt $pages ] || fail "$pages pages take $bd_count blocks"
		does bulk 0 128 mixed 2
		does bulkcheck 0 128 mixed 2
		does bulkcheck 128 128 mixed 1
		does discard 0 $((2 << 20))
		nothing_is_left
		does close
		remove
		free /dev/wb0
	done
}

# The disk gets its size and its device while others read, write back, and reset it.
test_a_backing_device_that_comes_later_under_fire() {
	[ "$DRIVER" != zram ] || skip "C zram takes none later"
	local until=$((SECONDS + 8)) pids=() file taken=0
	nullb wb0 2
	add
	(
		while [ $SECONDS -lt $until ]; do
			put "$sys/reset" 1
			put "$sys/packed_writeback" $((RANDOM % 2))
			put "$sys/disksize" 1M
		done
	) &
	pids+=($!)
	(
		while [ $SECONDS -lt $until ]; do
			put "$sys/idle" all
			put "$sys/writeback" idle
			put "$sys/writeback" compact
			for file in bd_stat bd_pack_stat mm_stat backing_dev; do
				{ text=$(<"$sys/$file"); } 2>/dev/null
			done
		done
	) &
	pids+=($!)
	(
		does open "$dev" direct
		while [ $SECONDS -lt $until ]; do
			io bulk 0 64 mixed 1
			io close
			io open "$dev" direct
		done
	) &
	pids+=($!)
	while [ $SECONDS -lt $until ]; do
		put "$sys/backing_dev" /dev/wb0
		case $errno in
		OK) taken=$((taken + 1)) ;;
		EBUSY) ;;
		*) fail "backing_dev returned $errno" ;;
		esac
	done
	wait_all "${pids[@]}"
	note "the device was taken $taken times"
	at_least "how often the device was taken" $taken 3
	remove
	free /dev/wb0
}

run_tests
