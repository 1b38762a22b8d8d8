#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Writeback when nearly all memory is locked: it begins at once, frees memory, and can be interrupted. It writes to the
# first of --disk.
#
# Guest: stock memory=512M disk=1G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

read -r disk _ <<<"${ZR_DISKS:-}"
[ -b "$disk" ] || {
	echo "1..0 # SKIP there is no disk to write back to (--disk)"
	exit "$KSFT_SKIP"
}

# No process may be killed. All free memory is for all tasks: the reserve and the lists of the processors are small.
# DAMON, which Debian's kernel starts, allocates at times.
echo -1000 >/proc/self/oom_score_adj
stores /proc/sys/vm/min_free_kbytes 512
stores /proc/sys/vm/watermark_boost_factor 0
stores /proc/sys/vm/lowmem_reserve_ratio '65536 65536 65536 65536 65536'
stores /proc/sys/vm/percpu_pagelist_high_fraction 100000
[ ! -w /sys/module/damon_stat/parameters/enabled ] || stores /sys/module/damon_stat/parameters/enabled N

# The memory that is left, free or in clean pages of files, in KiB, and the number of incompressible pages on the disk.
left=2048 pages=$((160 * 256))

# The limit for the first page and for the end, in microseconds: more than ten times the expected time, as the machine
# may be busy.
limit=5000000

# oom_kills: prints the number of processes that the OOM killer has ended.
oom_kills() {
	local name value
	while read -r name value; do
		[ "$name" != oom_kill ] || echo "$value"
	done </proc/vmstat
}

# full_disk DEVICE [FORM]: adds a disk with incompressible pages and this backing device.
full_disk() {
	backed "$1" $((pages * PAGE)) lz4 "${2:-0}"
	does open "$dev" direct
	does bulk 0 $pages random 1
	does close
}

locked='' first='' end='' result='' signal='' more=''

# run_lowmemory ACTION [MS]: runs lowmemory, and sets variables to the numbers of its report.
run_lowmemory() {
	local before report word
	before=$(oom_kills)
	sync
	echo 3 >/proc/sys/vm/drop_caches
	ok "$(program lowmemory)" "$id" "${disk##*/}" $left "$@" || exit 1
	note "$(<"$TMP/out")"
	report=$(tail -n 1 "$TMP/out")
	for word in ${report#lowmemory: }; do
		declare -g "${word%%=*}=${word#*=}"
	done
	at_least "MiB that were locked" "$locked" 16
	is "processes that were killed for memory" $(($(oom_kills) - before)) 0
}

# within_limit WHAT US: the event must have happened, within the limit.
within_limit() {
	if [ "$2" = -1 ]; then
		fail "$1 did not happen before the memory was given back"
	else
		at_least "the limit in microseconds for $1" $limit "$2"
	fi
}

first_page_and_the_rest() {
	full_disk "$disk" "$1"
	run_lowmemory end
	within_limit "the first page" "$first"
	note "the first page was written $((first / 1000)) ms after the request"
	is "the result of writeback" "$result" 0
	bd_stat
	is "pages on the backing device" "$bd_count" $pages
	at_least "KiB that became free" "$more" $((pages * 4 / 2))
	does open "$dev" direct
	does bulkcheck 0 $pages random 1
	does close
	remove
}

test_first_page_and_the_rest() {
	first_page_and_the_rest 0
}

test_first_page_and_the_rest_packed() {
	first_page_and_the_rest packed
}

# slow_device: makes a device on the disk whose writes take 50 ms, so that the writeback takes longer than MS; sets
# $mapped.
slow_device() {
	mapped wbslow "0 $(($(<"/sys/block/${disk##*/}/size"))) delay $disk 0 0 $disk 0 50"
}

# end_writeback ACTION MS: kills the process or resets the disk after MS.
end_writeback() {
	slow_device
	full_disk "$mapped"
	run_lowmemory "$@"
	# C zram writes all pages.
	[ "$DRIVER" = zram ] || within_limit "the end of it" "$end"
	[ "$end" = -1 ] || note "it was over $((end / 1000)) ms after that"
}

test_kill_at_once() {
	end_writeback kill 0
	is "the signal" "$signal" 9
	remove
}

test_kill_soon() {
	end_writeback kill 200
	is "the signal" "$signal" 9
	remove
}

test_reset_soon() {
	end_writeback reset 200
	[ "$DRIVER" = zram ] || is "the result of writeback" "$result" 4
	mm_stat
	is "mm_stat" "$orig $compr $used" "0 0 0"
	remove
}

run_tests
