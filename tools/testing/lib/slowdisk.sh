# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Backing devices that are slow. Sourced, after lib.sh.

# slow_disk MIB READ WRITE: a disk in memory whose reads and writes take that many milliseconds; its
# path is in $slow.
slow_disk() {
	no_slow_disks
	ok modprobe brd rd_nr=1 rd_size=$(($1 * 1024)) || exit 1
	ok modprobe -q dm-delay
	ok dmsetup create zram-test-slow --noudevsync --table \
		"0 $(($1 * 2048)) delay /dev/ram0 0 $2 /dev/ram0 0 $3" || exit 1
	find_slow_disk && return
	fail "there is no slow disk"
	exit 1
}

# There is no udev here to make links in /dev/mapper.
find_slow_disk() {
	local name
	for name in /sys/block/dm-*; do
		[ -e "$name/dm/name" ] && [ "$(<"$name/dm/name")" = zram-test-slow ] || continue
		slow=/dev/${name##*/}
		[ ! -b "$slow" ] || return 0
	done
	return 1
}

# What a test that ended early left behind goes as well.
no_slow_disks() {
	! find_slow_disk || ok dmsetup remove --noudevsync --retry zram-test-slow
	! loaded brd || ok rmmod brd
}

# null_disk NUMBER MIB NANOSECONDS: /dev/nullb<NUMBER> keeps what is written to it, and answers from a timer
# interrupt after that long.
null_disk() {
	local config=/sys/kernel/config/nullb/nullb$1
	loaded null_blk || ok modprobe null_blk nr_devices=0 || exit 1
	[ -d /sys/kernel/config/nullb ] || ok mount -t configfs none /sys/kernel/config
	ok mkdir "$config" || exit 1
	stores "$config/size" "$2"
	stores "$config/memory_backed" 1
	stores "$config/queue_mode" 2
	stores "$config/irqmode" 2
	stores "$config/completion_nsec" "$3"
	stores "$config/power" 1
	eventually 5 [ -b "/dev/nullb$1" ] || exit 1
}

no_null_disks() {
	local config
	for config in /sys/kernel/config/nullb/nullb*; do
		[ ! -d "$config" ] || rmdir "$config"
	done
	! loaded null_blk || ok rmmod null_blk
}
