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

# Nothing is to be killed, so nothing here may be. What is free is to be free for all: little is kept as a reserve, or
# on the lists of processors. DAMON, which Debian's kernel starts, allocates now and then.
echo -1000 >/proc/self/oom_score_adj
stores /proc/sys/vm/min_free_kbytes 512
stores /proc/sys/vm/watermark_boost_factor 0
stores /proc/sys/vm/lowmem_reserve_ratio '65536 65536 65536 65536 65536'
stores /proc/sys/vm/percpu_pagelist_high_fraction 100000
[ ! -w /sys/module/damon_stat/parameters/enabled ] || stores /sys/module/damon_stat/parameters/enabled N

# What is left, be it free or by dropping pages of files, in KiB, and how many incompressible pages are in memory.
left=2048 pages=$((160 * 256))

# How long the first page may take, and the end of it, in microseconds: ten times what is to be expected, and more,
# as the machine may have other things to do.
limit=5000000

# killed: how many processes the OOM killer has ended.
killed() {
	local name value
	while read -r name value; do
		[ "$name" != oom_kill ] || echo "$value"
	done </proc/vmstat
}

# full DEVICE: a disk with nothing but incompressible pages, to be written back there.
full() {
	backed "$1" $((pages * PAGE)) lz4
	does open "$dev" direct
	does bulk 0 $pages random 1
	does close
}

locked='' first='' end='' result='' signal='' more=''

# squeezed ACTION [MS]: its figures are variables.
squeezed() {
	local before report word
	before=$(killed)
	sync
	echo 3 >/proc/sys/vm/drop_caches
	ok "$(program lowmemory)" "$id" "${disk##*/}" $left "$@" || exit 1
	note "$(<"$TMP/out")"
	report=$(tail -n 1 "$TMP/out")
	for word in ${report#lowmemory: }; do
		declare -g "${word%%=*}=${word#*=}"
	done
	at_least "MiB that were locked" "$locked" 16
	is "processes that were killed for memory" $(($(killed) - before)) 0
}

# soon WHAT US
soon() {
	if [ "$2" = -1 ]; then
		fail "$1 did not happen before the memory was given back"
	else
		at_least "the limit in microseconds for $1" $limit "$2"
	fi
}

test_first_page_and_the_rest() {
	full "$disk"
	squeezed end
	soon "the first page" "$first"
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

# slow: a device $mapped on the disk whose writes take 50 ms, so that it is not over before that is asked for.
slow() {
	mapped wbslow "0 $(($(<"/sys/block/${disk##*/}/size"))) delay $disk 0 0 $disk 0 50"
}

# ends ACTION MS: after so long, whatever it is doing by then.
ends() {
	slow
	full "$mapped"
	squeezed "$@"
	# C zram goes on to the end.
	[ "$DRIVER" = zram ] || soon "the end of it" "$end"
	[ "$end" = -1 ] || note "it was over $((end / 1000)) ms after that"
}

test_kill_at_once() {
	ends kill 0
	is "the signal" "$signal" 9
	remove
}

test_kill_soon() {
	ends kill 200
	is "the signal" "$signal" 9
	remove
}

test_reset_soon() {
	ends reset 200
	[ "$DRIVER" = zram ] || is "the result of writeback" "$result" 4
	mm_stat
	is "mm_stat" "$orig $compr $used" "0 0 0"
	remove
}

run_tests
