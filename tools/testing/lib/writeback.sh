# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Shared by the tests of writeback: backing devices (null_blk, loop, device mapper), long operations, and the places
# of pages. Sourced after test.sh.
#
# shellcheck disable=SC2034,SC2154 # variables for the tests, and from test.sh

NULLB=/sys/kernel/config/nullb
# Guests have no udev that dmsetup could wait for.
export DM_DISABLE_UDEV=1

wbtool() {
	perl "$HERE/wbtool.pl" "$@"
}

# tidy: removes what a test left behind: disks, and the devices below them.
tidy() {
	local path
	# A disk cannot be removed while reads of it are held.
	for path in /dev/mapper/wb*held; do
		[ ! -e "$path" ] || dmsetup resume "${path##*/}"
	done
	remove_disks
	[ ! -e /dev/mapper/control ] || dmsetup remove_all --force >/dev/null
	for path in /sys/block/loop*/loop; do
		[ ! -d "$path" ] || losetup --detach "/dev/$(basename "${path%/loop}")"
	done
	for path in "$NULLB"/wb*; do
		[ ! -d "$path" ] || { echo 0 >"$path/power" && rmdir "$path"; }
	done
}

# --- Backing devices ------------------------------------------------------------------------------

# nullb NAME MEGABYTES [ATTRIBUTE VALUE]...: makes a null_blk device that stores data; sets $nullb to its file. NAME
# must begin with wb. The device grows with the pages of the machine (see grow), as disks do.
nullb() {
	local path=$NULLB/$1 size=$(($2 * UNITS))
	[ -d $NULLB ] || {
		modprobe null_blk nr_devices=0 2>/dev/null || skip "this kernel has no null_blk"
		[ -d $NULLB ] || ok mount -t configfs configfs /sys/kernel/config
	}
	nullb=/dev/$1
	shift 2
	mkdir "$path" || exit 1
	set -- memory_backed 1 size "$size" "$@" power 1
	while [ $# -gt 0 ]; do
		echo "$2" >"$path/$1" || fail "null_blk does not take $2 for $1"
		shift 2
	done
	eventually 5 [ -b "$nullb" ] || fail "$nullb did not appear"
}

# slow_nullb NAME MEGABYTES NANOSECONDS [ATTRIBUTE VALUE]...: like nullb; each request takes so long.
slow_nullb() {
	nullb "$1" "$2" irqmode 2 completion_nsec "$3" "${@:4}"
}

# bad_sectors NAME FIRST LAST: makes reads and writes of these sectors of a null_blk device fail: of the same pages,
# whatever the size of a page.
bad_sectors() {
	echo "+$(($2 * UNITS))-$((($3 + 1) * UNITS - 1))" >"$NULLB/$1/badblocks"
}

# good_sectors NAME FIRST LAST: makes them succeed again.
good_sectors() {
	echo "-$(($2 * UNITS))-$((($3 + 1) * UNITS - 1))" >"$NULLB/$1/badblocks"
}

# loop [OPTION]...: makes a loop device of 1 MiB with these options of losetup; sets $loop to its file. Fails if the
# kernel does not support it.
loop() {
	[ -e /dev/loop-control ] || modprobe loop 2>/dev/null || return
	[ -e "$TMP/loop" ] || truncate --size 1M "$TMP/loop"
	loop=$(losetup --find --show "$@" "$TMP/loop" 2>"$TMP/out") || {
		note "losetup $*: $(<"$TMP/out")"
		return 1
	}
}

# refuses_backing DEVICE ERRNO REASON: backing_dev must refuse the device, and the kernel log must have the reason.
refuses_backing() {
	local line
	stores "$sys/backing_dev" "$1" "$2"
	is "backing_dev after that" "$(<"$sys/backing_dev")" none
	line=$(dmesg | tail -n 1)
	[[ $line == *"cannot use $1 as backing device: $3" ]] || fail "the last line of the log is '$line'"
	is "opening $1 exclusively after that" "$(wbtool exclusive "$1")" OK
}

# mapped NAME TABLE: makes a device-mapper device; sets $mapped to its file. NAME must begin with wb.
mapped() {
	ok dmsetup create "$1" --table "$2" || exit 1
	mapped=/dev/mapper/$1
}

# remap NAME TABLE: replaces the table of a device-mapper device.
remap() {
	ok dmsetup suspend --noflush --nolockfs "$1"
	ok dmsetup load "$1" --table "$2"
	ok dmsetup resume "$1"
}

# delayed NAME MEGABYTES READ WRITE: makes a device whose reads and writes take so many milliseconds; sets $mapped.
delayed() {
	nullb "$1n" "$2"
	ok modprobe -q dm-delay
	mapped "$1" "0 $(($2 * UNITS * 2048)) delay $nullb 0 $3 $nullb 0 $4"
}

# holdable NAME BLOCKS: makes a device of so many blocks, whose reads can be held; sets $mapped. Its reads, but not its
# writes, go through another device, NAMEheld. Sets $inflight to the file with the numbers of its requests in flight.
holdable() {
	local sectors=$(($2 * PAGE / 512)) held
	nullb "$1n" $(($2 / 256 + 1))
	mapped "$1held" "0 $sectors linear $nullb 0"
	held=$mapped
	ok modprobe -q dm-delay
	mapped "$1" "0 $sectors delay $held 0 0 $nullb 0 0"
	inflight=/sys/block/dm-$(dmsetup info -c --noheadings -o minor "$1")/inflight
}

hold_reads() {
	ok dmsetup suspend --noflush --nolockfs "$1held"
}

release_reads() {
	ok dmsetup resume "$1held"
}

# reads_in_flight COUNT: succeeds if at least so many reads are in flight. Sets $reads to their number.
reads_in_flight() {
	read -r reads _ <"$inflight"
	[ "$reads" -ge "$1" ]
}

# blocks NAME COUNT: makes a device of exactly so many blocks; sets $mapped to its file.
blocks() {
	nullb "$1n" $(($2 / 256 + 1))
	mapped "$1" "0 $(($2 * PAGE / 512)) linear $nullb 0"
}

# The forms in which pages are written back: 0 (raw), 1 (compressed), packed (compressed, and several in a block).
FORMS='0 1 packed'
[ "$DRIVER" = zram_rs ] || FORMS='0 1'

# set_form FORM: sets the form in which the disk writes pages back.
set_form() {
	case $1 in
	packed)
		[ "$DRIVER" = zram_rs ] || skip "only zram_rs packs pages"
		stores "$sys/packed_writeback" 1
		;;
	*) stores "$sys/compressed_writeback" "$1" ;;
	esac
}

# backed DEVICE SIZE [ALGORITHM [FORM]]: adds a disk with this backing device.
backed() {
	add
	[ -z "${3:-}" ] || stores "$sys/comp_algorithm" "$3"
	set_form "${4:-0}"
	stores "$sys/backing_dev" "$1"
	stores "$sys/disksize" "$2"
}

# --- Long operations ------------------------------------------------------------------------------

# store_in_background NAME FILE VALUE: starts a process, $pid, that writes VALUE to FILE with one write(2), which SIGINT
# interrupts. Returns when the process has opened the file. $TMP/NAME will contain the name of the error, or OK.
store_in_background() {
	: >"$TMP/$1"
	{ exec perl "$HERE/wbtool.pl" store "$2" "$3" >"$TMP/$1"; } &
	pid=$!
	wait_for_open "$2"
}

# wait_for_open FILE: waits until the process $pid has opened FILE, or has ended. (On a busy machine, a program takes
# long to start.)
wait_for_open() {
	local fd
	until ended "$pid"; do
		for fd in "/proc/$pid/fd/"*; do
			[ ! "$fd" -ef "$1" ] || return 0
		done
		sleep 0.02
	done
}

# --- No free memory --------------------------------------------------------------------------------

INJECT=/sys/kernel/debug/fail_page_alloc

# no_free_memory PERCENT: makes so many percent of the allocations of pages fail, of those that may not wait, in tasks
# with a 1 in make-it-fail. (Slab allocations succeed: without them, ODEBUG disables itself.)
no_free_memory() {
	[ -d $INJECT ] || skip "this kernel does not inject faults"
	stores $INJECT/verbose 0
	stores $INJECT/task-filter Y
	stores $INJECT/ignore-gfp-wait Y
	stores $INJECT/ignore-gfp-highmem N
	stores $INJECT/min-order 0
	stores $INJECT/times 1000000000
	stores $INJECT/probability "$1"
}

# count_injected: sets $injected to the number of allocations that have failed since.
count_injected() {
	injected=$((1000000000 - $(<$INJECT/times)))
}

# --- Results --------------------------------------------------------------------------------------

# counts WHAT COUNT READS WRITES: bd_stat must have these values.
counts() {
	bd_stat
	is "bd_stat $1" "$bd_count $bd_reads $bd_writes" "$2 $3 $4"
}

# pack_stat: sets $packed_pages, $packed_bytes, $packed_blocks and $sparse to the columns of bd_pack_stat, with pages
# and blocks of the size of a page.
pack_stat() {
	read -r packed_pages packed_bytes packed_blocks sparse <"$sys/bd_pack_stat"
	packed_pages=$((packed_pages / UNITS)) packed_blocks=$((packed_blocks / UNITS)) sparse=$((sparse / UNITS))
}

# device_pages: sets $device_pages to the number of pages on the backing device.
device_pages() {
	local packed=0
	[ "$DRIVER" != zram_rs ] || read -r packed <"$sys/packed_writeback"
	bd_stat
	device_pages=$bd_count
	[ $packed = 0 ] || {
		pack_stat
		device_pages=$packed_pages
		is "blocks in bd_pack_stat" "$packed_blocks" "$bd_count"
	}
}

# on_device WHAT COUNT: so many pages must be on the backing device.
on_device() {
	device_pages
	is "pages on the backing device $1" "$device_pages" "$2"
}

# nothing_is_left: no page and no block of the backing device may be in use.
nothing_is_left() {
	reads bd_pack_stat $'       0        0        0        0\n'
	bd_stat
	is "blocks in use" "$bd_count" 0
}

# writes_back WHAT [ERRNO]: a write of WHAT to the file writeback must return ERRNO (default OK).
writes_back() {
	stores "$sys/writeback" "$1" "${2:-OK}"
}

# find_places INDEX COUNT: reads these pages, and sets $places to a letter for each: d for a page that was on the
# backing device, m for others.
find_places() {
	local index before
	places=
	bd_stat
	for ((index = $1; index < $1 + $2; index++)); do
		before=$bd_reads
		does read $((index * PAGE)) "$PAGE"
		bd_stat
		case $((bd_reads - before)) in
		0) places+=m ;;
		1) places+=d ;;
		*) places+='?' ;;
		esac
	done
}

# repeat_letter LETTER COUNT: sets $times to so many of the letter.
repeat_letter() {
	printf -v times '%*s' "$2" ''
	times=${times// /$1}
}

# check_both_ways INDEX COUNT KIND SEED: checks the pages by direct reads, and by reads through an empty page cache.
check_both_ways() {
	does open "$dev" direct
	does bulkcheck "$@"
	does close
	echo 3 >/proc/sys/vm/drop_caches
	does open "$dev"
	does bulkcheck "$@"
	does open "$dev" direct
}

# stat_of NAME: sets $value to a number of the file stats.
stat_of() {
	local name
	# The file is read at once: its numbers may change while the shell reads line by line.
	cat "$sys/stats" >"$TMP/stats"
	while read -r name value; do
		[ "$name" != "$1" ] || return 0
	done <"$TMP/stats"
	fail "stats has no $1"
	value=0
}
