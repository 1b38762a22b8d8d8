#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Swap of large folios: each size is swapped out and in with checked data, some of its pages zero or same-filled, with
# and without a backing device in all forms, under memory pressure, with bad blocks, and while a processor goes offline.
#
# Guest: stock memory=512M disk=512M seconds=600

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"
# shellcheck source=tools/testing/lib/helpers.sh
. "${0%/*}/../lib/helpers.sh"

THP=/sys/kernel/mm/transparent_hugepage
CPU=/sys/devices/system/cpu/cpu1/online
read -r disk _ <<<"${ZR_DISKS:-}"
[ -d $THP ] || {
	echo "1..0 # SKIP this kernel has no large folios"
	exit "$KSFT_SKIP"
}

# The swap code allocates memory to swap out, see swappressure.sh.
stores /proc/sys/vm/min_free_kbytes 16384

# only_folios KIB: has anonymous memory come in folios of this size, as far as there are any.
only_folios() {
	small_folios_only
	put "$THP/hugepages-$1kB/enabled" always
	is "enabling folios of $1 KiB" "$errno" OK
}

# small_folios_only: has anonymous memory come in pages. Not all sizes are for anonymous memory.
small_folios_only() {
	local path
	for path in $THP/hugepages-*kB/enabled; do
		{ echo never >"$path"; } 2>/dev/null
	done
}

trap small_folios_only EXIT

# swapped_out KIB: sets $swapped_out to the number of folios of this size that were swapped out whole.
swapped_out() {
	swapped_out=$(<"$THP/hugepages-$1kB/stats/swpout")
}

# sizes: sets $sizes to the sizes of folios, in KiB.
sizes() {
	local path
	sizes=
	for path in $THP/hugepages-*kB; do
		# Not all sizes are for anonymous memory.
		[ -w "$path/enabled" ] || continue
		path=${path##*-}
		sizes+=" ${path%kB}"
	done
}

# right FILE: the last line of swapcheck's report must be that no page was wrong.
right() {
	local report
	report=$(tail -n 1 "$1")
	[[ $report =~ out=([0-9]+)\ in=([0-9]+)\ mismatches=0\  ]] || fail "swapcheck reports '$report'"
	at_least "pages swapped out" "${BASH_REMATCH[1]:-0}" 4000
}

swap_on() {
	ok mkswap "$dev"
	ok swapon "$dev" || exit 1
}

swap_off() {
	ok swapoff "$dev"
	no_failed_io
	mm_stat
	[ "$orig" -le $((2 * PAGE)) ] || fail "$orig bytes are stored after swapoff"
}

# each_size ALGORITHM KIB...
each_size() {
	local size before
	for size in "${@:2}"; do
		only_folios "$size"
		disk 256M "$1"
		swap_on
		swapped_out "$size"
		before=$swapped_out
		"$(program swapcheck)" -m 24 -s "$size" >"$TMP/report" || fail "swapcheck failed with folios of $size KiB"
		right "$TMP/report"
		swapped_out "$size"
		note "$((swapped_out - before)) folios of $size KiB were swapped out"
		# 2 MiB in a row are not always free.
		[ "$size" = 2048 ] || at_least "folios of $size KiB" $((swapped_out - before)) $((8 * 1024 / size))
		swap_off
		remove
	done
}

test_each_size_lz4() {
	sizes
	# shellcheck disable=SC2086 # words
	each_size lz4 $sizes
}

test_two_sizes_zstd() {
	each_size zstd 64 2048
}

test_helpers_take_part() {
	[ "$DRIVER" = zram_rs ] || skip "C zram has no helpers"
	trace_helpers || skip "this kernel does not trace works"
	only_folios 64
	disk 256M zstd
	swap_on
	"$(program swapcheck)" -m 24 -p 1 >"$TMP/report" || fail "swapcheck failed"
	right "$TMP/report"
	helped
	stop_tracing
	note "helpers began $helped times"
	at_least "the number of times that a helper began" "$helped" 10
	swap_off
}

said() {
	grep -q "$1" "$TMP/report"
}

# with_backing KIB FORM: half of the pages go on to the backing device, and are swapped in from there.
with_backing() {
	local pid
	[ -b "$disk" ] || skip "there is no disk to write back to"
	only_folios "$1"
	backed "$disk" 512M lz4 "$2"
	swap_on
	rm -f "$TMP/go"
	: >"$TMP/report"
	"$(program swapcheck)" -m 48 -w "$TMP/go" >"$TMP/report" &
	pid=$!
	eventually 200 said 'waiting for' || fail "the memory was not filled"
	stores "$sys/idle" all
	: >"$TMP/go"
	eventually 200 said 'one half is in use' || fail "one half was not used"
	stores "$sys/writeback" idle
	bd_stat
	at_least "blocks of the backing device" "$bd_count" 1000
	rm "$TMP/go"
	wait $pid || fail "swapcheck ended with $?"
	right "$TMP/report"
	bd_stat
	at_least "pages read from the backing device" "$bd_reads" 3000
	swap_off
}

test_backing_device_64k() {
	local form
	for form in $FORMS; do
		with_backing 64 "$form"
		remove
	done
}

test_backing_device_2m() {
	with_backing 2048 1
}

# More than fits into memory, and another process with folios of another size.
test_under_pressure() {
	local mib other
	mib=$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
	only_folios 64
	stores $THP/hugepages-1024kB/enabled always
	disk 2G lz4
	swap_on
	"$(program swapcheck)" -m $((mib / 4)) -p 2 -s 2 >"$TMP/other" &
	other=$!
	"$(program swapcheck)" -m $((mib * 9 / 10)) -j 2 >"$TMP/report" || fail "swapcheck failed"
	wait $other || fail "swapcheck of the others ended with $?"
	right "$TMP/report"
	right "$TMP/other"
	swap_off
}

test_processors_go_and_come() {
	local pid cycles=0
	[ -w $CPU ] || skip "this kernel cannot take processor 1 offline"
	trap 'put $CPU 1; small_folios_only' EXIT
	only_folios 256
	disk 256M zstd
	swap_on
	"$(program swapcheck)" -m 24 -p 2 >"$TMP/report" &
	pid=$!
	while [ $cycles -lt 20 ] && ! ended $pid; do
		stores $CPU 0
		stores $CPU 1
		cycles=$((cycles + 1))
	done
	wait $pid || fail "swapcheck ended with $?"
	right "$TMP/report"
	note "the processor went and came $cycles times"
	at_least "the number of times that the processor went and came" $cycles 2
	swap_off
}

run_tests
