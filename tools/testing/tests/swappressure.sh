#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# More data than memory, the rest of which is in swap on a disk. All of it is verified when it is swapped in. Then
# swapoff removes the swap while a load runs.
#
# Guest: stock group=pressure memory=512M disk=1G seconds=900

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

while read -r key value _; do
	case $key in
	MemTotal:) total=$((value / 1024)) ;;
	MemAvailable:) available=$((value / 1024)) ;;
	esac
done </proc/meminfo

# The swap code allocates tables of its clusters to swap out, and prints a warning when it cannot. A larger reserve
# prevents that while stress-ng uses all memory.
stores /proc/sys/vm/min_free_kbytes 16384

swap_on() {
	disk $((2 * total))M "$1"
	ok mkswap "$dev"
	ok swapon "$dev" || exit 1
}

no_failures() {
	no_failed_io
	mm_stat
	note "$((orig >> 20)) MiB still stored in $((used >> 20)) MiB, at most $((used_max >> 20)) MiB"
}

swap_more_than_memory() {
	local report
	swap_on "$1"
	report=$("$(program swapcheck)" -m $((available * 13 / 10)) -j 2 -p 2 | tail -n 1) ||
		fail "swapcheck failed"
	note "$1: $report"
	[[ $report == *' mismatches=0 '* ]] || fail "swapcheck reports '$report'"
	read -ra stat <"$sys/stat"
	at_least "MiB written to swap" $((stat[6] / 2048)) $((available * 3 / 10))
	at_least "MiB read from swap" $((stat[2] / 2048)) $((available * 3 / 10))
	no_failures
	ok swapoff "$dev"
	mm_stat
	[ "$orig" -le $((2 * PAGE)) ] || fail "$orig bytes are stored after swapoff"
}

test_more_than_memory_lz4() {
	swap_more_than_memory lz4
}

test_more_than_memory_zstd() {
	swap_more_than_memory zstd
}

test_stress_ng() {
	swap_on lz4
	ok stress-ng --vm 2 --vm-bytes $((available * 12 / 10))M --vm-keep --verify --timeout 40 \
		--temp-path "$TMP"
	! grep 'stress-ng: fail:' "$TMP/out" || fail "stress-ng found wrong data"
	read -ra stat <"$sys/stat"
	at_least "sectors written to swap" "${stat[6]}" 2048
	at_least "sectors read from swap" "${stat[2]}" 2048
	no_failures
	ok swapoff "$dev"
}

# The data of swapcheck fits in memory, so swapoff must succeed, and all data must be right.
test_swapoff_under_load() {
	local pid round
	swap_on lz4
	"$(program swapcheck)" -m $((available / 2)) -j 2 -p 6 >"$TMP/report" &
	pid=$!
	for round in 1 2 3; do
		sleep 3
		kill -0 $pid 2>/dev/null || break
		ok swapoff "$dev"
		ok swapon "$dev"
	done
	at_least "times that swap was taken away under load" "$round" 2
	wait $pid || fail "swapcheck failed: $(tail -n 3 "$TMP/report")"
	[[ $(tail -n 1 "$TMP/report") == *' mismatches=0 '* ]] || fail "swapcheck: $(tail -n 1 "$TMP/report")"
	no_failures
	ok swapoff "$dev"
}

run_tests
