#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# event_marks: what it accepts, and what wakes tasks that poll mm_stat, bd_stat and writeback_limit: each of the four
# events wakes once when it happens, and nothing else does.
#
# Guest: uml-debug group=writeback
# Guest: stock group=storage disk=1G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

# listen: opens the three files, as descriptors 5 (mm_stat), 6 (bd_stat) and 7 (writeback_limit), and reads them.
listen() {
	exec 5<"$sys/mm_stat" 6<"$sys/bd_stat" 7<"$sys/writeback_limit"
	read -r _ <&5
	read -r _ <&6
	read -r _ <&7
}

# woken WHEN FILES: what has happened since the last call: "none", or descriptors.
woken() {
	is "what wakes $1" "$(pollpri 0 5 6 7)" "$2"
}

# fills FIRST COUNT: writes incompressible pages.
fills() {
	does bulk "$1" "$2" random 1
}

test_what_it_accepts() {
	local line text shown
	add
	is "the mode" "$(stat -c %a "$sys/event_marks")" 644
	reads event_marks $'off\n'
	while IFS='|' read -r text shown; do
		stores "$sys/event_marks" "$text"
		reads event_marks "$shown"$'\n'
	done <<-END
		memory=80%|memory=80% hysteresis=5%
		device=100% memory=2% hysteresis=1%|memory=2% device=100% hysteresis=1%
		memory=4%|memory=4% hysteresis=3%
		budget=1|budget=1
		errors=on budget=n|errors=1
		off|off
		  memory=100%   errors=y budget=yes|memory=100% hysteresis=5% budget=1 errors=1
	END
	while IFS= read -r text; do
		stores "$sys/event_marks" "$text" EINVAL
		reads event_marks $'memory=100% hysteresis=5% budget=1 errors=1\n'
		line=$(dmesg | tail -n 1)
		[[ $line == *'event_marks: '* ]] || fail "the log does not say why '$text' is wrong: $line"
	done <<-END

		on
		memory
		memory=80
		memory=1%
		memory=101%
		memory=-5%
		memory=+5%
		memory=99999999999999999999%
		device=0%
		hysteresis=5%
		memory=80% hysteresis=80%
		memory=80% hysteresis=0%
		budget=2x
		errors=
		budget=0
		nonsense=1
		off memory=80%
	END
}

test_memory() {
	add
	stores "$sys/event_marks" 'memory=50% hysteresis=10%'
	stores "$sys/mem_limit" $((400 * PAGE))
	stores "$sys/disksize" 4M
	does open "$dev" direct
	listen
	fills 0 190
	woken "below the mark" none
	fills 190 20
	woken "at the mark" 5
	fills 210 20
	woken "above the mark" none
	# Up and down by less than the hysteresis.
	does discard $((180 * PAGE)) $((50 * PAGE))
	fills 180 50
	woken "after a small fall" none
	does discard $((100 * PAGE)) $((130 * PAGE))
	woken "below the mark again" none
	fills 100 130
	woken "when it is crossed again" 5
	# Reached at another limit, and not by setting the same one.
	stores "$sys/mem_limit" $((300 * PAGE))
	woken "at a lower limit" 5
	stores "$sys/mem_limit" $((300 * PAGE))
	woken "at the same limit" none
	stores "$sys/mem_limit" 0
	woken "without a limit, of the machine's memory" none
	stores "$sys/mem_limit" $((300 * PAGE))
	woken "when there is a limit again" 5
	stores "$sys/event_marks" off
	stores "$sys/mem_limit" $((250 * PAGE))
	does discard 0 $((230 * PAGE))
	fills 0 230
	woken "when all is off" none
	does close
}

# A mark at all of the limit is crossed by the first write that fails, and not by those that follow. The log has a line
# for the first, and not for the next.
test_memory_full() {
	disk 4M
	stores "$sys/event_marks" memory=100%
	stores "$sys/mem_limit" $((100 * PAGE))
	listen
	does open "$dev" direct
	fills 0 90
	woken "below the limit" none
	dmesg -C
	for _ in 1 2 3; do
		io bulk 90 20 random 1
		[ "$reply" != ok ] || fail "a write beyond the limit succeeds"
	done
	woken "by the writes that fail" 5
	does discard 0 $((4 << 20))
	fills 0 60
	io bulk 60 50 random 1
	woken "when the disk is full again" 5
	does close
	is "lines in the log" "$(dmesg | grep -c 'full: mem_limit is reached')" 1
}

# A task that waits is woken. Marks outlive a reset, and a mark that has been reached when it is set wakes, too.
test_waiting_and_reset() {
	local pid round
	add
	stores "$sys/event_marks" 'memory=50%'
	for round in 1 2; do
		stores "$sys/mem_limit" $((100 * PAGE))
		stores "$sys/disksize" 4M
		listen
		pollpri 20000 5 6 7 >"$TMP/woken" &
		pid=$!
		does open "$dev" direct
		fills 0 60
		wait $pid
		is "what wakes in round $round" "$(<"$TMP/woken")" 5
		does close
		[ $round = 2 ] || stores "$sys/reset" 1
		reads event_marks $'memory=50% hysteresis=5%\n'
	done
	stores "$sys/event_marks" off
	woken "without marks" none
	stores "$sys/event_marks" 'memory=61%'
	woken "below the mark" none
	stores "$sys/event_marks" 'memory=60%'
	woken "at the mark" 5
}

# A thousand pages that come and go at the mark wake as often as the hysteresis lets them.
test_hysteresis() {
	local i woken=0
	disk 4M
	stores "$sys/event_marks" 'memory=50% hysteresis=2%'
	stores "$sys/mem_limit" $((400 * PAGE))
	listen
	does open "$dev" direct
	fills 0 197
	for ((i = 0; i < 1000; i++)); do
		io discard $((197 * PAGE)) $((5 * PAGE))
		io bulk 197 5 random 1
		[ $((i % 100)) != 0 ] || [ "$(pollpri 0 5 6 7)" = none ] || woken=$((woken + 1))
	done
	[ "$(pollpri 0 5 6 7)" = none ] || woken=$((woken + 1))
	is "times that it wakes" $woken 1
	does close
}

test_device() {
	nullb wbmarks 1
	backed "$nullb" 4M lz4
	stores "$sys/event_marks" 'device=50% hysteresis=10%'
	listen
	does open "$dev" direct
	fills 0 256
	writes_back page_indexes=0-119
	woken "below the mark" none
	writes_back page_indexes=120-129
	woken "at the mark" 6
	does discard 0 $((20 * PAGE))
	writes_back page_indexes=130-149
	woken "after a small fall" none
	does discard 0 $((100 * PAGE))
	writes_back page_indexes=150-150
	woken "below the mark again" none
	writes_back page_indexes=151-255
	woken "when it is crossed again" 6
	stores "$sys/event_marks" 'device=100%'
	woken "below another mark" none
	dmesg -C
	fills 0 256
	writes_back page_indexes=0-255
	woken "when the device is full" 6
	fills 256 10
	writes_back page_indexes=256-265 ENOSPC
	writes_back page_indexes=256-265 ENOSPC
	woken "when it stays full" none
	is "lines in the log" "$(dmesg | grep -c 'the backing device is full')" 1
	does close
}

test_budget() {
	nullb wbmarks 1
	backed "$nullb" 1M lz4
	stores "$sys/event_marks" budget=1
	stores "$sys/writeback_limit_enable" 1
	stores "$sys/writeback_limit" 5
	listen
	does open "$dev" direct
	fills 0 64
	writes_back page_indexes=0-3
	woken "with some left" none
	writes_back page_index=4
	woken "when the last is used" 7
	writes_back page_index=5 EIO
	woken "when none was left" none
	stores "$sys/writeback_limit" 3
	writes_back page_indexes=5-6
	woken "with a new limit" none
	writes_back page_indexes=7-10 EIO
	woken "when not all fits" 7
	stores "$sys/event_marks" memory=50%
	stores "$sys/writeback_limit" 1
	writes_back page_indexes=8-10 EIO
	woken "without that mark" none
	does close
}

test_errors() {
	nullb wbmarks 1
	backed "$nullb" 1M lz4
	stores "$sys/event_marks" errors=1
	listen
	does open "$dev" direct
	fills 0 64
	writes_back page_indexes=0-9
	woken "without an error" none
	dmesg -C
	bad_sectors wbmarks 0 2047
	writes_back page_indexes=10-12 EIO
	woken "when a write fails" 6
	refuses EIO read 0 $PAGE
	woken "when a read fails" 6
	is "lines in the log" "$(dmesg | grep -c 'the backing device is failing')" 1
	stores "$sys/event_marks" device=50%
	refuses EIO read 0 $PAGE
	woken "without that mark" none
	good_sectors wbmarks 0 2047
	does close
}

# Marks are set and crossed while the disk is reset, and while it is removed.
test_reset_and_removal() {
	local marks polls
	for _ in 1 2 3 4 5; do
		add
		while echo 'memory=2% hysteresis=1%' && echo off; do :; done >"$sys/event_marks" 2>/dev/null &
		marks=$!
		while :; do
			pollpri 1 5 6 7 5<"$sys/mm_stat" 6<"$sys/bd_stat" 7<"$sys/writeback_limit" || break
		done >/dev/null 2>&1 &
		polls=$!
		for _ in 1 2 3; do
			stores "$sys/mem_limit" $((50 * PAGE))
			stores "$sys/disksize" 1M
			does open "$dev" direct
			fills 0 20
			does close
			stores "$sys/reset" 1
		done
		stores /sys/class/zram-control/hot_remove "$id"
		wait $marks $polls
	done
}

run_tests
