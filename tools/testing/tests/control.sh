#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The lifetime of the module and of its devices: loading and unloading with devices in all states, the parameter,
# /sys/class/zram-control with its modes and errors, and loading while C zram is loaded.
#
# Proves that ids, modes and errno are those of C zram, that a device in use pins the module and cannot be removed,
# and that a removal leaves nothing behind, also when several tasks add and remove devices at once.
#
# Guest: uml-debug group=basic quick
# Guest: stock group=basic memory=2G
# Guest: stock-7.2 group=basic memory=2G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

# mode FILE MODE
mode() {
	is "the mode of $1" "$(stat -c %a "$1")" "$2"
}

# in_use: rmmod, hot_remove and reset must fail.
in_use() {
	not_ok rmmod "$DRIVER"
	is "what rmmod said" "$(<"$TMP/out")" "rmmod: ERROR: Module $DRIVER is in use"
	loaded "$DRIVER" || fail "$DRIVER is gone"
	stores "$CONTROL/hot_remove" "$id" EBUSY
	stores "$sys/reset" 1 EBUSY
}

test_loads_with_one_device() {
	load
	[ -b /dev/zram0 ] || fail "there is no /dev/zram0"
	[ ! -e /sys/block/zram1 ] || fail "there is a second device"
	is "disksize of a new device" "$(</sys/block/zram0/disksize)" 0
	is "size of a new device" "$(</sys/block/zram0/size)" 0
	unload
	[ ! -e /dev/zram0 ] || fail "/dev/zram0 is there after rmmod"
	[ ! -e /sys/block/zram0 ] || fail "/sys/block/zram0 is there after rmmod"
	[ ! -e $CONTROL ] || fail "$CONTROL is there after rmmod"
}

test_parameter_num_devices() {
	local n count
	for n in 0 3 17; do
		load num_devices=$n
		count=0
		for dev in /dev/zram*; do
			[ ! -b "$dev" ] || count=$((count + 1))
		done
		is "the number of devices of num_devices=$n" $count $n
		[ -e $CONTROL/hot_add ] || fail "num_devices=$n: there is no hot_add"
	done
	unload
	# modprobe also passes the parameters in modprobe.d; the last one counts.
	load num_devices=5 num_devices=2
	is "the number of devices of num_devices=5 num_devices=2" "$(echo /sys/block/zram*)" '/sys/block/zram0 /sys/block/zram1'
	unload
	not_ok modprobe "$DRIVER" num_devices=many
	not_ok modprobe "$DRIVER" num_devices=-1
	! loaded "$DRIVER" || fail "$DRIVER loaded with a bad parameter"
	[ ! -e "/sys/module/$DRIVER/parameters/num_devices" ] || fail "num_devices is in sysfs; its mode is 0"
}

test_modes_of_zram_control() {
	mode $CONTROL/hot_add 400
	mode $CONTROL/hot_remove 200
	put $CONTROL/hot_add 1
	is "the result of writing to hot_add" "$errno" EACCES
	{ text=$(<$CONTROL/hot_remove); } 2>"$TMP/errno"
	errno_of "$(<"$TMP/errno")"
	is "the result of reading hot_remove" "$errno" EACCES
}

test_hot_add_gives_the_lowest_free_id() {
	local want
	for want in 0 1 2 3; do
		add
		is "the new id" "$id" "$want"
		is "capacity of zram$id" "$(<"$sys/size")" 0
	done
	stores $CONTROL/hot_remove 1
	[ ! -e /dev/zram1 ] || fail "/dev/zram1 is still there"
	stores $CONTROL/hot_remove 2
	add
	is "the new id" "$id" 1
	add
	is "the new id" "$id" 2
	add
	is "the new id" "$id" 4
}

test_hot_add_is_one_line() {
	local text
	IFS= read -rd '' text <$CONTROL/hot_add
	is "what hot_add says" "$text" $'0\n'
}

test_hot_remove_errors() {
	local value
	add
	for value in garbage '' -1 -2147483648 0x0 '0 0' 0,0 1.0 "$id garbage"; do
		stores $CONTROL/hot_remove "$value" EINVAL
	done
	for value in 1 99 2147483647; do
		stores $CONTROL/hot_remove "$value" ENODEV
	done
	for value in 2147483648 -2147483649 99999999999999999999; do
		stores $CONTROL/hot_remove "$value" ERANGE
	done
	[ -e "$sys" ] || fail "zram$id was removed"
	put_bare $CONTROL/hot_remove "$id"
	is "hot_remove without a newline" "$errno" OK
	stores $CONTROL/hot_remove "$id" ENODEV
}

test_hot_remove_of_a_used_disk() {
	disk 4M
	does open "$dev" direct
	does bulk 0 1024 mixed 1
	does close
	remove
	[ ! -e "$sys" ] || fail "$sys is still there"
	add
	is "disksize of the next device" "$(<"$sys/disksize")" 0
	stores "$sys/disksize" 4M
	mm_stat
	is "what the next device of the same number holds" "$orig" 0
	does open "$dev" direct
	does bulkcheck 0 1024 zero 0
}

test_an_open_device_is_busy() {
	disk 1M
	exec 7<"$dev"
	in_use
	exec 7<&-
	exec 7<>"$dev"
	in_use
	exec 7<&-
	stores "$sys/reset" 1
	remove
}

test_an_open_device_without_a_size_is_busy() {
	add
	exec 7<"$dev"
	in_use
	exec 7<&-
	remove
}

test_a_mounted_device_is_busy() {
	disk 16M
	ok mke2fs -q -t ext4 -O ^has_journal "$dev"
	mkdir -p "$TMP/mnt"
	ok mount "$dev" "$TMP/mnt" || return
	echo content >"$TMP/mnt/file"
	in_use
	is "the file on the mounted device" "$(<"$TMP/mnt/file")" content
	ok umount "$TMP/mnt"
	remove
}

test_a_device_that_is_swapped_on_is_busy() {
	disk 4M
	ok mkswap "$dev"
	ok swapon "$dev" || return
	in_use
	ok swapoff "$dev"
	remove
}

test_files_of_a_removed_device_say_enodev() {
	disk 1M
	exec 7<"$sys/mm_stat" 8>"$sys/mem_limit" 9>"$sys/reset"
	remove
	{ read -r _ <&7; } 2>"$TMP/errno" && fail "mm_stat of a removed device can be read"
	{ printf '0\n' >&8; } 2>"$TMP/errno"
	errno_of "$(<"$TMP/errno")"
	is "the result of writing to mem_limit of a removed device" "$errno" ENODEV
	{ printf '1\n' >&9; } 2>"$TMP/errno"
	errno_of "$(<"$TMP/errno")"
	is "the result of writing to reset of a removed device" "$errno" ENODEV
}

test_unload_with_several_devices_in_all_states() {
	local n
	load num_devices=6
	for n in 1 2 3; do
		use $n
		stores "$sys/disksize" 2M
		does open "$dev" direct
		does bulk 0 512 mixed $n
		does close
	done
	use 2
	stores "$sys/reset" 1
	use 4
	stores "$sys/comp_algorithm" zstd
	stores "$sys/mem_limit" 1M
	stores $CONTROL/hot_remove 5
	unload
	! loaded "$DRIVER" || fail "$DRIVER is still loaded"
	for n in /sys/block/zram* /dev/zram*; do
		[ ! -e "$n" ] || fail "$n is still there"
	done
}

test_load_and_unload_again_and_again() {
	local n
	for n in 1 2 3 4 5; do
		load num_devices=2
		use 1
		stores "$sys/disksize" 1M
		unload
	done
}

# Three loops add, use and remove disks; another one opens, resets, initialises and reads any disk that exists.
test_many_tasks_at_once() {
	local until=$((SECONDS + 6)) pids=() path
	for _ in 1 2 3; do
		(
			while [ $SECONDS -lt $until ]; do
				add
				# The other loop may have initialised or reset it, or may have it open.
				put "$sys/disksize" 1M
				{ printf '%04096d' 1 >"$dev"; } 2>/dev/null
				mm_stat
				eventually 10 removed "$id" || fail "zram$id cannot be removed: $errno"
			done
			exit $failed
		) &
		pids+=($!)
	done
	(
		while [ $SECONDS -lt $until ]; do
			for path in /sys/block/zram*; do
				{ read -rn 1 _ <"/dev/${path##*/}"; } 2>/dev/null
				put "$path/reset" 1
				put "$path/comp_algorithm" lz4
				put "$path/disksize" 64K
				{ text=$(<"$path/mm_stat")$(<"$path/io_stat"); } 2>/dev/null
			done
		done
	) 2>/dev/null &
	wait_all "${pids[@]}"
	wait
	hot_remove_all
	add
	is "the first id after all that" "$id" 0
}

# A read of hot_add adds a disk, also if the driver reads it as a dictionary for a disk that is being removed. The
# removal waits for the task that writes to algorithm_params, so this task must not wait for the removal.
test_a_disk_goes_whose_dictionary_adds_disks() {
	[ "$DRIVER" != zram ] || skip "C zram waits for ever"
	local n pid before added=0 round
	for round in 1 2 3 4 5 6; do
		add
		before=$(echo /sys/block/zram*)
		(
			for n in {1..20}; do
				[ ! -e "$sys/algorithm_params" ] || put "$sys/algorithm_params" "dict=$CONTROL/hot_add"
			done
		) 2>/dev/null &
		pid=$!
		# The removal starts when disks appear.
		eventually 10 others_than "$before" || fail "round $round: hot_add is not read as a dictionary"
		removed "$id" &
		eventually 30 ended "$pid" $! || {
			fail "round $round: removal and dictionary still wait for each other"
			return
		}
		wait $! || fail "round $round: zram$id was not removed"
		for n in /sys/block/zram*; do
			[ ! -e "$n" ] || added=$((added + 1))
		done
		hot_remove_all
	done
	note "$added disks were added by that"
}

# others_than DISKS: succeeds if there are other disks by now.
others_than() {
	[ "$(echo /sys/block/zram*)" != "$1" ]
}

test_beside_c_zram() {
	[ "$DRIVER" != zram ] || skip "the driver under test is C zram"
	local log
	unload
	ok modprobe zram || return
	kernel_log "beside C zram: begin"
	not_ok modprobe "$DRIVER"
	! loaded "$DRIVER" || fail "$DRIVER is loaded beside C zram"
	log=$(dmesg)
	log=${log##*beside C zram: begin}
	[[ $log == *zram_rs:* ]] || fail "$DRIVER did not say in the kernel log why it does not load"
	[[ $log != *"Call Trace"* ]] || fail "the refusal comes with a backtrace: $log"
	[[ $log != *"duplicate filename"* ]] || fail "the refusal comes with a complaint of sysfs: $log"
	is "the number of lines in the log" "$(grep -c . <<<"${log#*$'\n'}")" 1
	# C zram must still work.
	use 0
	stores "$sys/disksize" 1M
	does open "$dev" direct
	does bulk 0 256 mixed 1
	does bulkcheck 0 256 mixed 1
	does close
	ok rmmod zram
	load
	[ -b /dev/zram0 ] || fail "$DRIVER does not work after C zram has gone"
}

run_tests
