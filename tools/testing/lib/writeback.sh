# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Shared by the tests of writeback, on top of lib.sh: sets up backing devices of every kind, and finds out where pages
# are. Sourced, after lib.sh.
#
# shellcheck disable=SC2034,SC2154 # variables for the tests, and from lib.sh

NULLB=/sys/kernel/config/nullb
# There is no udev to wait for.
export DM_DISABLE_UDEV=1

tool() {
	perl "$HERE/wbtool.pl" "$@"
}

# tidy: removes the disks, and the devices below them.
tidy() {
	local path
	remove_disks
	if [ -e /dev/mapper/control ] && [ -n "$(echo /dev/mapper/wb*)" ]; then
		for path in /dev/mapper/wb*held; do
			[ ! -e "$path" ] || dmsetup resume "${path##*/}"
		done
		dmsetup remove_all --force >/dev/null
	fi
	for path in /sys/block/loop*/loop; do
		[ ! -d "$path" ] || losetup --detach "/dev/$(basename "${path%/loop}")"
	done
	for path in "$NULLB"/wb*; do
		[ ! -d "$path" ] || { echo 0 >"$path/power" && rmdir "$path"; }
	done
}

# --- Backing devices ------------------------------------------------------------------------------

# nullb NAME MEGABYTES [ATTRIBUTE VALUE]...: a block device $nullb that keeps what is written to it. NAME must
# begin with wb.
nullb() {
	local path=$NULLB/$1 size=$2
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

# slow_nullb NAME MEGABYTES NANOSECONDS [ATTRIBUTE VALUE]...: the same, whose requests take that long.
slow_nullb() {
	nullb "$1" "$2" irqmode 2 completion_nsec "$3" "${@:4}"
}

# bad_sectors NAME FIRST LAST: reads and writes of these sectors of a nullb fail.
bad_sectors() {
	echo "+$2-$3" >"$NULLB/$1/badblocks"
}

# good_sectors NAME FIRST LAST: they succeed again.
good_sectors() {
	echo "-$2-$3" >"$NULLB/$1/badblocks"
}

# loop [OPTION]...: a loop device $loop of 1 MiB. Fails if there cannot be such a one.
loop() {
	[ -e /dev/loop-control ] || modprobe loop 2>/dev/null || return
	[ -e "$TMP/loop" ] || truncate --size 1M "$TMP/loop"
	loop=$(losetup --find --show "$@" "$TMP/loop" 2>"$TMP/out") || {
		note "losetup $*: $(<"$TMP/out")"
		return 1
	}
}

# refuses_backing DEVICE ERRNO REASON: it must not be taken as backing device, and the log must say why.
refuses_backing() {
	local line
	stores "$sys/backing_dev" "$1" "$2"
	is "backing_dev after that" "$(<"$sys/backing_dev")" none
	line=$(dmesg | tail -n 1)
	[[ $line == *"cannot use $1 as backing device: $3" ]] || fail "the last line of the log is '$line'"
	is "opening $1 exclusively after that" "$(tool exclusive "$1")" OK
}

# mapped NAME TABLE: a device-mapper device; its file is $mapped. NAME must begin with wb.
mapped() {
	ok dmsetup create "$1" --table "$2" || exit 1
	mapped=/dev/mapper/$1
}

# remap NAME TABLE: gives it another table, at once.
remap() {
	ok dmsetup suspend --noflush --nolockfs "$1"
	ok dmsetup load "$1" --table "$2"
	ok dmsetup resume "$1"
}

# delayed NAME MEGABYTES READ WRITE: a device $mapped whose reads and writes take that many milliseconds.
delayed() {
	nullb "$1n" "$2"
	ok modprobe -q dm-delay
	mapped "$1" "0 $(($2 * 2048)) delay $nullb 0 $3 $nullb 0 $4"
}

# holdable NAME BLOCKS: a device $mapped of so many blocks. Its reads, but not its writes, go through another device,
# NAMEheld, so that they can be held. $inflight is the file with the numbers of its requests in flight.
holdable() {
	local sectors=$(($2 * PAGE / 512)) held
	nullb "$1n" $(($2 * PAGE / 1048576 + 1))
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

# reads_in_flight COUNT: are there so many, at least? The number is in $reads.
reads_in_flight() {
	read -r reads _ <"$inflight"
	[ "$reads" -ge "$1" ]
}

# blocks NAME COUNT: makes a device $mapped of exactly so many blocks.
blocks() {
	nullb "$1n" $(($2 / 256 + 1))
	mapped "$1" "0 $(($2 * 8)) linear $nullb 0"
}

# backed DEVICE SIZE [ALGORITHM [COMPRESSED]]: a new disk with this backing device.
backed() {
	add
	[ -z "${3:-}" ] || stores "$sys/comp_algorithm" "$3"
	stores "$sys/compressed_writeback" "${4:-0}"
	stores "$sys/backing_dev" "$1"
	stores "$sys/disksize" "$2"
}

# --- Long operations ------------------------------------------------------------------------------

# store_in_background NAME FILE VALUE: another process, $pid, writes VALUE to FILE, until a SIGINT interrupts the write.
# When this returns, the process has opened the file. The result will be in $TMP/NAME, as the name of the error or OK.
store_in_background() {
	: >"$TMP/$1"
	{ exec perl "$HERE/wbtool.pl" store "$2" "$3" >"$TMP/$1"; } &
	pid=$!
	wait_for_open "$2"
}

# wait_for_open FILE: waits until $pid has opened FILE, or has ended. (On a busy machine, a program takes long to start.)
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

# no_free_memory PERCENT: so many of a hundred pages cannot be had by those who would not wait for them, among tasks
# that have a 1 in make-it-fail. (Objects of slabs can: ODEBUG would give up without them.)
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

# injected: how many could not since, into $injected.
injected() {
	injected=$((1000000000 - $(<$INJECT/times)))
}

# --- What became of it ----------------------------------------------------------------------------

# counts WHAT COUNT READS WRITES
counts() {
	bd_stat
	is "bd_stat $1" "$bd_count $bd_reads $bd_writes" "$2 $3 $4"
}

# writes_back WHAT [ERRNO]
writes_back() {
	stores "$sys/writeback" "$1" "${2:-OK}"
}

# places INDEX COUNT: where each of these pages is, as letters in $places: d on the backing device, m elsewhere.
# Reads them all.
places() {
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

# times LETTER COUNT: into $times
times() {
	printf -v times '%*s' "$2" ''
	times=${times// /$1}
}

# both_ways INDEX COUNT KIND SEED: the pages, read directly, and through a page cache that has nothing of them.
both_ways() {
	does open "$dev" direct
	does bulkcheck "$@"
	does close
	echo 3 >/proc/sys/vm/drop_caches
	does open "$dev"
	does bulkcheck "$@"
	does open "$dev" direct
}
