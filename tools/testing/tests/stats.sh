#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The file stats: what it counts, before and after initialisation, with recompression, writeback, errors and events; how
# long requests take, if that is asked for; and reads of it while the disk is reset and removed.
#
# Guest: uml-debug group=writeback
# Guest: stock group=storage disk=1G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

# stats NAME=VALUE...: these lines must be in the file, once, with these values.
stats() {
	local name value pair
	unset seen
	declare -gA seen
	while read -r name value; do
		[ -z "${seen[$name]:-}" ] || fail "stats has two lines $name"
		seen[$name]=$value
	done <"$sys/stats"
	for pair in "$@"; do
		is "${pair%%=*} in stats" "${seen[${pair%%=*}]:-missing}" "${pair#*=}"
	done
}

test_format() {
	local line
	disk 1M lz4
	is "the mode" "$(stat -c %a "$sys/stats")" 600
	while IFS= read -r line; do
		[[ $line =~ ^[a-z0-9_-]+\ [0-9]+$ ]] || fail "a line of stats is '$line'"
	done <"$sys/stats"
}

test_pages() {
	add
	stores "$sys/comp_algorithm" lz4
	stores "$sys/recomp_algorithm" 'algo=zstd priority=1'
	stores "$sys/recomp_algorithm" 'algo=lz4 priority=2'
	stats pages_lz4=0 pages_zstd=0 pages_huge=0 pages_same=0 pages_device=0 pages_age_1m=0 device_bytes=0 latency=0
	is "pages of other algorithms" "${seen[pages_deflate]:-none}" none
	stores "$sys/disksize" 128M
	does open "$dev" direct
	does bulk 0 20 hex 1
	does bulk 20 10 random 1
	does bulk 30 5 same 1
	# Beyond the pages that are counted with one lock.
	does write 32767 1 hex 1
	stats pages_lz4=21 pages_zstd=0 pages_huge=10 pages_same=5 pages_device=0 pages_age_1m=31 pages_age_10m=0 \
		pages_age_1h=0 pages_age_6h=0 pages_age_1d=0 pages_age_more=0
	stores "$sys/recompress" 'threshold=0 priority=1'
	stats pages_same=5 pages_huge=10 pages_age_1m=31
	is "compressed pages" $((seen[pages_lz4] + seen[pages_zstd])) 21
	at_least "pages that zstd compressed" "${seen[pages_zstd]}" 10
	does close
	stores "$sys/reset" 1
	stats pages_huge=0 pages_age_1m=0
}

test_device_and_failures() {
	nullb wbstats 1
	backed "$nullb" 4M lz4
	does open "$dev" direct
	does bulk 0 40 random 1
	writes_back page_indexes=0-9
	stats pages_huge=30 pages_device=10 device_bytes=$((10 * PAGE)) pages_age_1m=30 \
		failed_reads=0 failed_writes=0 failed_device_reads=0 failed_device_writes=0
	bad_sectors wbstats 0 2047
	writes_back page_indexes=10-14 EIO
	refuses EIO read 0 $PAGE
	good_sectors wbstats 0 2047
	stats failed_reads=1 failed_writes=0 failed_device_reads=1 failed_device_writes=5 pages_device=10
	stores "$sys/mem_limit" $((30 * PAGE))
	io write 50 1 random 1
	stats failed_reads=1 failed_writes=1 failed_device_reads=1 failed_device_writes=5
	does close
}

test_events() {
	nullb wbstats 1
	backed "$nullb" 4M lz4
	does open "$dev" direct
	stats events_memory=0 events_device=0 events_budget=0 events_errors=0 above_memory_mark=0 above_device_mark=0
	stores "$sys/mem_limit" $((400 * PAGE))
	stores "$sys/event_marks" 'memory=50% device=50% hysteresis=10% budget=1 errors=1'
	does bulk 0 210 random 1
	stats events_memory=1 above_memory_mark=1
	writes_back page_indexes=0-129
	stats events_device=1 above_device_mark=1 above_memory_mark=0
	does bulk 0 210 random 1
	stats events_memory=2 above_memory_mark=1 above_device_mark=0 events_device=1
	stores "$sys/writeback_limit" 4
	stores "$sys/writeback_limit_enable" 1
	writes_back page_indexes=0-9 EIO
	stats events_budget=1 events_errors=0
	stores "$sys/writeback_limit_enable" 0
	bad_sectors wbstats 0 2047
	writes_back page_index=20 EIO
	stats events_budget=1 events_errors=1
	does close
	stores "$sys/reset" 1
	# Events count from the addition of the disk.
	stats events_memory=2 events_errors=1 above_memory_mark=0
}

test_turns() {
	nullb wbstats 1
	backed "$nullb" 1M lz4
	does open "$dev" direct
	does bulk 0 40 random 1
	stats turns=0
	is "the kind of no turn" "${seen[last_turn_kind]:-none}" none
	writes_back page_indexes=0-9
	stats turns=1 last_turn_kind=0 last_turn_blocks=10 last_turn_error=0
	[ "${seen[last_turn_seconds_ago]}" -lt 60 ] || fail "the turn ended ${seen[last_turn_seconds_ago]} s ago"
	stores "$sys/recompress" type=idle EINVAL
	stats turns=2 last_turn_kind=1 last_turn_blocks=0 last_turn_error=22
	stores "$sys/writeback" compact EINVAL
	stats turns=2
	does close
}

# total NAME: sets $total to the number of requests in the classes of a histogram.
total() {
	local name
	total=0
	for name in "${!seen[@]}"; do
		[[ $name != "$1"_* ]] || total=$((total + seen[$name]))
	done
}

test_latency() {
	local value
	slow_nullb wbstats 1 5000000
	backed "$nullb" 1M lz4
	for value in '' on latency latency= latency=2 'latency=1 latency=1' 'colour=1' 'latency=1 more'; do
		stores "$sys/stats" "$value" EINVAL
		stats latency=0
	done
	does open "$dev" direct
	does bulk 0 40 random 1
	writes_back page_indexes=0-9
	does check 0 1 random 1
	stats latency=0
	is "a class that is not measured" "${seen[readback_more]:-none}" none
	stores "$sys/stats" latency=1
	stats latency=1 readback_more=0 writeback_more=0
	total readback
	is "readbacks before" $total 0
	writes_back page_indexes=10-19
	does check 10 1 random 1
	does check 11 1 random 1
	stats latency=1 readback_32us=0 readback_4096us=0 writeback_4096us=0
	total readback
	is "readbacks" $total 2
	total writeback
	at_least "requests of writeback" $total 1
	stores "$sys/stats" latency=off
	does check 10 1 random 1
	stats latency=0
	stores "$sys/stats" latency=on
	total readback
	stats latency=1
	total readback
	is "readbacks after a new beginning" $total 0
	does close
}

# The file is read all the time while the disk is made, reset and removed.
test_reads_at_any_time() {
	local pid
	add
	while grep -q pages_huge "$sys/stats" 2>/dev/null || [ -e "$sys" ]; do :; done &
	pid=$!
	for _ in 1 2 3 4 5; do
		stores "$sys/disksize" 64M
		does open "$dev" direct
		does bulk 0 64 random 1
		does close
		stores "$sys/reset" 1
	done
	stores /sys/class/zram-control/hot_remove "$id"
	wait $pid
}

run_tests
