#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Data that was written is read back bit for bit: every kind of page through every algorithm, overwritten by every
# other kind, discarded, zeroed, by several tasks and on several devices.
#
# Proves that data survives, that the counters of mm_stat are exact after every step, and that no memory leaks: none
# remains after a discard or a reset, and no zsmalloc pool.
#
# Guest: uml-debug group=basic quick
# Guest: stock group=basic memory=2G
# Guest: stock-7.2 group=basic memory=2G
# Guest: arm64 group=basic memory=2G
# Guest: arm64-16k group=basic memory=2G
# Guest: arm64-64k-debug group=basic memory=2G seconds=1200

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

# The expected state of the slots: the kind of each page, and its compressed size; and the size of text, by slot and
# seed.
declare -A kind_of size_of text_size
since=0

# check_counters STEP: each counter of mm_stat must be the sum over the slots above.
check_counters() {
	local slot want_orig=0 want_compr=0 want_same=0 want_huge=0
	for slot in "${!kind_of[@]}"; do
		case ${kind_of[$slot]} in
		empty) continue ;;
		zero | same) want_same=$((want_same + 1)) ;;
		random) want_huge=$((want_huge + 1)) ;;
		esac
		want_orig=$((want_orig + PAGE))
		want_compr=$((want_compr + size_of[$slot]))
	done
	mm_stat
	is "orig_data_size $1" "$orig" $want_orig
	is "compr_data_size $1" "$compr" $want_compr
	is "same_pages $1" "$same" $want_same
	is "huge_pages $1" "$huge" $want_huge
	is "huge_pages_since $1" "$huge_since" $since
	[ "$used" -ge "$compr" ] || fail "mem_used_total $1 is $used, for $compr bytes of compressed data"
	[ "$used" -le $((compr + 64 * PAGE)) ] || fail "mem_used_total $1 is $used, for $compr bytes"
}

# write_slot SLOT KIND SEED: writes a page of this kind, and notes it in the table.
write_slot() {
	local slot=$1 kind=$2 seed=$3
	case $kind in
	empty) does discard $((slot * PAGE)) $PAGE ;;
	*) does write "$slot" 1 "$kind" "$seed" ;;
	esac
	kind_of[$slot]=$kind
	case $kind in
	random)
		size_of[$slot]=$PAGE
		since=$((since + 1))
		;;
	text) size_of[$slot]=${text_size[$slot.$seed]} ;;
	*) size_of[$slot]=0 ;;
	esac
}

# measure_text SLOT SEED: finds the compressed size of a page of text: writes it to an empty slot, reads mm_stat,
# discards it.
measure_text() {
	local slot=$1 seed=$2 before
	mm_stat
	before=$compr
	does write "$slot" 1 text "$seed"
	mm_stat
	text_size[$slot.$seed]=$((compr - before))
	at_least "what a page of text takes" $((compr - before)) 1
	at_least "what a page of text saves" $((PAGE - compr + before)) $saves
	does discard $((slot * PAGE)) $PAGE
}

check_slot() {
	case $2 in
	empty) does check "$1" 1 zero 0 ;;
	*) does check "$1" 1 "$2" "$3" ;;
	esac
}

overwrite_every_kind_by_every_other() {
	local from to slot=0 saves=$((PAGE * 3 / 4))
	# 842 only finds copies of up to eight bytes.
	[ "$1" != 842 ] || saves=$((PAGE * 11 / 15))
	disk 4M "$1"
	does open "$dev" direct
	for from in empty zero same text random; do
		for to in empty zero same text random; do
			measure_text $slot 1
			measure_text $slot 2
			write_slot $slot "$from" 1
			check_slot $slot "$from" 1
			check_counters "after writing $from to slot $slot"
			write_slot $slot "$to" 2
			check_slot $slot "$to" 2
			check_counters "after overwriting $from by $to in slot $slot"
			slot=$((slot + 1))
		done
	done
	# No other slot has changed.
	slot=0
	for from in empty zero same text random; do
		for to in empty zero same text random; do
			check_slot $slot "$to" 2
			slot=$((slot + 1))
		done
	done
	does check $slot 10 zero 0
	does discard 0 $((1024 * PAGE))
	for slot in "${!kind_of[@]}"; do
		kind_of[$slot]=empty
	done
	eventually 5 pool_is_empty || fail "$used bytes are in use after everything was discarded"
	check_counters "after discarding everything"
}

test_overwrite_with_lzo_rle() {
	overwrite_every_kind_by_every_other lzo-rle
}

test_overwrite_with_lzo() {
	overwrite_every_kind_by_every_other lzo
}

test_overwrite_with_lz4() {
	overwrite_every_kind_by_every_other lz4
}

test_overwrite_with_lz4hc() {
	overwrite_every_kind_by_every_other lz4hc
}

test_overwrite_with_zstd() {
	overwrite_every_kind_by_every_other zstd
}

test_overwrite_with_deflate() {
	overwrite_every_kind_by_every_other deflate
}

test_overwrite_with_842() {
	overwrite_every_kind_by_every_other 842
}

test_page_by_page_and_in_bulk() {
	local algorithm fewer pages
	fewer 512 64
	pages=$fewer
	algorithms
	for algorithm in $ALGORITHMS; do
		disk 8M "$algorithm"
		does open "$dev" direct
		does write 0 $pages mixed 1
		does bulk $pages $pages mixed 1
		does check $pages $pages mixed 1
		does bulkcheck 0 $pages mixed 1
		# Overwrite the pages, so that every kind replaces every other.
		does bulk 0 $pages mixed 2
		does write $pages $pages mixed 3
		does check 0 $pages mixed 2
		does bulkcheck $pages $pages mixed 3
		does bulkcheck $((2 * pages)) $pages zero 0
		does close
		remove
	done
}

test_buffered_and_direct_agree() {
	local fewer pages
	fewer 512 64
	pages=$fewer
	disk 4M
	does open "$dev"
	does bulk 0 $pages mixed 1
	does sync
	does close
	does open "$dev" direct
	does bulkcheck 0 $pages mixed 1
	does bulk 0 $pages mixed 2
	does close
	does open "$dev"
	does bulkcheck 0 $pages mixed 2
	# Parts of a page, through the page cache.
	does put $((PAGE + 3)) 17
	does sync
	does read $((PAGE + 3)) 17
	does check 2 10 mixed 2
	does check 0 1 mixed 2
}

# Direct I/O only needs memory that is aligned to 512 bytes, so that a block can lie in two pages.
test_buffers_across_pages() {
	[ "$DRIVER" != zram ] || skip "C zram writes outside of such a buffer: it takes every bio_vec for a page"
	local shift
	disk 4M
	does open "$dev" direct
	for shift in 512 1024 3584; do
		does shift 0
		does write 0 64 mixed $shift
		does shift $shift
		does check 0 64 mixed $shift
		does bulkcheck 0 64 mixed $shift
		does write 64 64 mixed $shift
		does bulk 128 64 mixed $shift
		does shift 0
		does bulkcheck 0 192 mixed $shift
	done
}

test_blocks_are_4096_bytes() {
	disk 1M
	does open "$dev" direct
	does bulk 0 256 mixed 1
	refuses EINVAL read 0 512
	refuses EINVAL read 512 4096
	refuses EINVAL read 0 4608
	refuses EINVAL read 0 4096 256
	refuses EINVAL put 0 512
	refuses EINVAL put 512 4096
	refuses EINVAL put 4096 2048
	refuses EINVAL discard 512 4096
	refuses EINVAL discard 0 512
	refuses EINVAL discard 0 $((512 * PAGE))
	refuses EINVAL zeroout 512 4096
	refuses EINVAL zeroout 0 2048
	does bulkcheck 0 256 mixed 1
}

# frees HOW: succeeds if the disk frees its pages so. Where pages are larger than blocks, the block layer writes zeros.
frees() {
	[ "$1" = discard ] || [ $PAGE = 4096 ]
}

test_discard_and_zeroout() {
	local how fewer
	fewer 1024 256
	for how in discard zeroout; do
		disk 4M
		does open "$dev" direct
		does bulk 0 $fewer random 1
		does $how $((100 * PAGE)) $((50 * PAGE))
		mm_stat
		! frees $how || is "orig_data_size after $how of 50 pages" "$orig" $(((fewer - 50) * PAGE))
		is "huge_pages after $how of 50 pages" "$huge" $((fewer - 50))
		io_stat
		! frees $how || is "notify_free after $how of 50 pages" "$notify_free" 50
		does bulkcheck 0 100 random 1
		does bulkcheck 100 50 zero 0
		does bulkcheck 150 $((fewer - 150)) random 1
		# A range that contains empty pages and others.
		does $how $((90 * PAGE)) $((80 * PAGE))
		does bulkcheck 0 90 random 1
		does bulkcheck 90 80 zero 0
		does bulkcheck 170 $((fewer - 170)) random 1
		does $how 0 $((1024 * PAGE))
		eventually 5 pool_is_empty || fail "$used bytes are in use after $how of all"
		! frees $how || is "orig_data_size after $how of all" "$orig" 0
		is "huge_pages after $how of all" "$huge" 0
		is "compr_data_size after $how of all" "$compr" 0
		does close
		remove
	done
}

test_blkdiscard() {
	local flag fewer part
	fewer 1024 256
	part=$((fewer / 4))
	disk 4M
	for flag in '' -z; do
		does open "$dev" direct
		does bulk 0 $fewer mixed 1
		does close
		# shellcheck disable=SC2086 # an option, or none
		ok blkdiscard $flag --offset $((part * PAGE)) --length $((part * PAGE)) "$dev"
		does open "$dev" direct
		does bulkcheck 0 $part mixed 1
		does bulkcheck $part $part zero 0
		does bulkcheck $((2 * part)) $((2 * part)) mixed 1
		does close
		# shellcheck disable=SC2086 # an option, or none
		ok blkdiscard $flag "$dev"
		does open "$dev" direct
		does bulkcheck 0 1024 zero 0
		does close
		mm_stat
		! frees "${flag:-discard}" || is "orig_data_size after blkdiscard $flag" "$orig" 0
	done
}

# Each task has its own disk and its own algorithm.
test_several_devices_at_once() {
	local n algorithm pids=() count=0 fewer
	fewer 1024 128
	algorithms
	for algorithm in $ALGORITHMS; do
		disk 8M "$algorithm"
		count=$((count + 1))
	done
	for ((n = 0; n < count; n++)); do
		(
			use $n
			for round in 1 2 3; do
				does open "$dev" direct
				does bulk 0 $fewer mixed $((10 * n + round))
				does discard 0 $((64 * PAGE))
				does bulkcheck 64 $((fewer - 64)) mixed $((10 * n + round))
				does bulkcheck 0 64 zero 0
				does close
			done
			exit $failed
		) &
		pids+=($!)
	done
	wait_all "${pids[@]}"
}

# Four tasks write, read and discard the same pages. At the end, each page has the data of one of them or is empty, and
# the counters are right.
test_many_tasks_on_the_same_pages() {
	local n round page pages=32 pids=() found fewer
	fewer 40 10
	disk 1M lz4
	for n in 1 2 3 4; do
		(
			does open "$dev" direct
			for ((round = 1; round <= fewer; round++)); do
				does write 0 $pages mixed "$n"
				does read 0 $((pages * PAGE))
				does discard $((round % pages * PAGE)) $((4 * PAGE))
			done
			exit $failed
		) &
		pids+=($!)
	done
	wait_all "${pids[@]}"
	does open "$dev" direct
	for ((page = 0; page < pages; page++)); do
		found=
		for n in 1 2 3 4; do
			io check $page 1 mixed "$n"
			[ "$reply" != ok ] || found=$n
		done
		io check $page 1 zero 0
		[ "$reply" != ok ] || found+=zero
		[ -n "$found" ] || fail "page $page is nothing that was ever written"
	done
	mm_stat
	[ "$orig" -le $((pages * PAGE)) ] || fail "orig_data_size is $orig after all"
	does discard 0 $((256 * PAGE))
	eventually 5 pool_is_empty || fail "$used bytes are in use after discard"
	is "orig_data_size" "$orig" 0
	is "compr_data_size" "$compr" 0
	is "same_pages" "$same" 0
	is "huge_pages" "$huge" 0
}

# count_zspages: sets $zspages to the number of pages in all zsmalloc pools.
count_zspages() {
	local name value
	while read -r name value; do
		[ "$name" != nr_zspages ] || zspages=$value
	done </proc/vmstat
}

no_zspages() {
	count_zspages
	[ "$zspages" = 0 ]
}

# Reset, hot_remove and rmmod destroy the pool of a disk, which has its name. (Some kernels lack zsmalloc's statistics.)
test_nothing_is_left() {
	local n pools=/sys/kernel/debug/zsmalloc zspages=unknown fewer
	fewer 1024 64
	eventually 5 no_zspages || fail "nr_zspages is $zspages before the test"
	for n in 0 1 2; do
		disk 4M
		[ ! -d $pools ] || [ -d $pools/zram$n ] || fail "there is no pool of zram$n"
		does open "$dev" direct
		does bulk 0 $fewer mixed 1
		does close
	done
	count_zspages
	[ "$zspages" != 0 ] || fail "nr_zspages is 0 with three devices in use"
	# The three ways.
	use 0
	stores "$sys/reset" 1
	use 1
	remove
	for n in 0 1; do
		[ ! -d $pools/zram$n ] || fail "the pool of zram$n is still there"
	done
	unload
	[ ! -d $pools/zram2 ] || fail "the pool of zram2 is still there"
	eventually 5 no_zspages || fail "nr_zspages is $zspages after rmmod"
}

run_tests
