#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# zram-watch shows and records the state of a device: with data, with a backing device, with a limit; in a terminal,
# without one, and without any device.
#
# Guest: uml-debug group=basic
# Guest: stock group=storage disk=1G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

# shows TEXT...: the last output must contain these texts, in this order.
shows() {
	local text rest
	rest=$(<"$TMP/out")
	for text in "$@"; do
		[[ $rest == *"$text"* ]] || {
			fail "zram-watch does not show '$text' (in its place): $(<"$TMP/out")"
			return
		}
		rest=${rest#*"$text"}
	done
}

# read_column NAME: sets $field to a column of the last line of $TMP/csv.
read_column() {
	local lines names values i
	mapfile -t lines <"$TMP/csv"
	IFS=, read -ra names <<<"${lines[0]}"
	IFS=, read -ra values <<<"${lines[-1]}"
	field=none
	for i in "${!names[@]}"; do
		[ "${names[i]}" != "$1" ] || field=${values[i]:-}
	done
}

# columns_are NAME=WANT...: the columns of the last line of $TMP/csv must have these values.
columns_are() {
	local pair
	for pair in "$@"; do
		read_column "${pair%%=*}"
		is "column ${pair%%=*}" "$field" "${pair#*=}"
	done
}

test_nothing_to_show() {
	ok zram-watch --once
	shows 'no zram device is initialised'
	add
	ok zram-watch --once "$dev"
	shows "zram$id" 'not initialised'
	not_ok zram-watch --once zram77
	shows 'no device zram77'
	not_ok zram-watch --interval 0
	shows "'0' is no number"
	not_ok zram-watch --interval
	shows '--interval wants'
	not_ok zram-watch --nonsense
	shows 'no option --nonsense' usage
	ok zram-watch --help
	shows 'usage: zram-watch' '--interval SECONDS' failed_writes
	ok zram-watch --once --csv "$TMP/csv"
	is "the recording of nothing" "$(wc -l <"$TMP/csv")" 1
}

test_memory() {
	disk 16M lz4
	does open "$dev" direct
	does bulk 0 64 same 1
	does bulk 64 64 hex 1
	does bulk 128 64 random 1
	does close
	stores "$sys/mem_limit" 8M
	stores "$sys/idle" all
	mm_stat
	ok zram-watch --once
	shows "zram$id  lz4, 16 MiB" data '  768 KiB  #...................' memory ' : 1,' 'of 8192 KiB' 'same 64, huge 64' \
		'in flight' '0 reads, 0 writes'
	ok zram-watch --once --csv "$TMP/csv" "zram$id"
	columns_are device="zram$id" disksize=$((16 << 20)) data=$((192 * PAGE)) compressed="$compr" memory="$used" \
		memory_limit=$((8 << 20)) memory_most="$used_max" same=64 huge=64 backed= budget= reads=0 writes=0 \
		failed_reads=0 failed_writes=0
	if [ -r "/sys/kernel/debug/zram/zram$id/block_state" ]; then
		columns_are idle=128
		ok zram-watch --once
		shows 'idle 128'
	fi
	ok zram-watch --once --csv "$TMP/csv" --no-idle "$dev"
	columns_are idle=
}

test_backing_device() {
	add
	[ -e "$sys/backing_dev" ] || skip "this driver has no writeback"
	nullb wbwatch 16
	backed "$nullb" 16M lz4
	does open "$dev" direct
	does bulk 0 64 hex 1
	stores "$sys/writeback_limit" 100
	stores "$sys/writeback_limit_enable" 1
	writes_back page_indexes=0-31
	does bulkcheck 0 16 hex 1
	does close
	ok zram-watch --once "zram$id"
	shows backing '  128 KiB' "$nullb" budget '272 KiB left' 'in flight' 'backing device 0 reads, 0 writes'
	ok zram-watch --once --csv "$TMP/csv" "zram$id"
	columns_are data=$((64 * PAGE)) backed=$((32 * PAGE)) read=$((16 * PAGE)) written=$((32 * PAGE)) \
		backing_reads=0 backing_writes=0 budget=$((68 * PAGE))
	stores "$sys/writeback_limit_enable" 0
	ok zram-watch --once "zram$id"
	shows 'no limit'
}

# What only zram_rs has: pages by age, marks, the last turn.
test_stats() {
	add
	[ -e "$sys/stats" ] || skip "this driver has no stats"
	nullb wbwatch 16
	backed "$nullb" 16M lz4
	does open "$dev" direct
	does bulk 0 64 random 1
	ok zram-watch --once "zram$id"
	shows age '       64  ####################  < 1m' '        0  ....................  < 10m' '< 1h' '< 1d' older
	[[ $(<"$TMP/out") != *marks* ]] || fail "there are marks: $(<"$TMP/out")"
	[[ $(<"$TMP/out") != *'last turn'* ]] || fail "there is a turn: $(<"$TMP/out")"
	stores "$sys/event_marks" 'memory=50% device=90%'
	stores "$sys/mem_limit" $((100 * PAGE))
	writes_back page_indexes=0-3
	does close
	ok zram-watch --once "zram$id"
	shows age '       60  #' marks 'memory=50% device=90% hysteresis=5%; ' 'crossed: memory' 'last turn' 'writeback, ' \
		'wrote 4 blocks'
	ok zram-watch --once --no-idle "zram$id"
	[[ $(<"$TMP/out") != *'< 1m'* ]] || fail "pages are counted with --no-idle"
}

# zram-watch records a line for each of several disks, until a signal ends it.
test_recording() {
	local pid
	disk 16M
	disk 16M
	zram-watch --interval 0.1 --csv "$TMP/csv" &
	pid=$!
	recorded() { [ -s "$TMP/csv" ] && [ "$(wc -l <"$TMP/csv")" -ge "$1" ]; }
	eventually 20 recorded 3 || fail "nothing was recorded in 20 s"
	kill -USR1 $pid
	eventually 20 recorded 7 || fail "only $(wc -l <"$TMP/csv") lines in 20 s"
	kill $pid
	wait $pid
	is "the status of zram-watch that was ended" $? 0
	ok awk -F , 'NR == 1 { n = NF } NF != n { exit 1 } NR > 2 && $1 + 0 < time { exit 1 } { time = $1 + 0 }' "$TMP/csv"
	is "devices that were recorded" "$(cut -d , -f 2 "$TMP/csv" | sort -u | tr '\n' ' ')" "device zram0 zram1 "
}

# In a terminal, zram-watch runs until the key q; a dumb terminal gets no control characters.
test_terminals() {
	local esc=$'\e'
	command -v script >/dev/null || skip "there is no script(1) here"
	disk 16M
	{ sleep 1; echo q; } | TERM=xterm script -qec 'zram-watch --interval 5' /dev/null >"$TMP/out" 2>&1
	shows "${esc}[H" "zram$id"
	TERM=xterm NO_COLOR=1 script -qec 'zram-watch --once' /dev/null >"$TMP/out" 2>&1 </dev/null
	shows "zram$id"
	[[ $(<"$TMP/out") != *"$esc"* ]] || fail "there are colours with NO_COLOR"
	TERM=dumb script -qec 'zram-watch --once' /dev/null >"$TMP/out" 2>&1 </dev/null
	shows "zram$id"
	[[ $(<"$TMP/out") != *"$esc"* ]] || fail "there are control characters on a dumb terminal"
}

run_tests
