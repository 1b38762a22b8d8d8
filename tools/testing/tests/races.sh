#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: races.sh [SECONDS]
#
# All operations at once, for SECONDS (default: $DURATION, or 20), on several disks whose backing devices are slow:
# readers, writers, discards, writeback of every kind, idle marking, statistics, changes of limits, attempts to reset
# and remove a disk in use; meanwhile, other disks are added, filled, and reset or removed during a writeback. All data
# is checked all the time.
#
# Afterwards, nothing is lost: every page is right, discarding all pages frees all blocks and all memory, and the
# backing device takes as many pages as it has blocks, and not one more.
#
# On one of the disks, several pages share a block, and compaction moves them.
#
# Guest: uml-debug group=writeback

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"
# shellcheck source=tools/testing/lib/races.sh
. "${0%/*}/../lib/races.sh"

seconds=${1:-${DURATION:-20}}

# check_report FORM
check_report() {
	local what report
	while IFS= read -r report; do
		note "$report"
	done <"$TMP/report$id"
	report=$(tail -n 1 "$TMP/report$id")
	for what in foreign old torn errors full; do
		is "$what on $dev" "$(result $what)" 0
	done
	for what in reads writes discards writebacks; do
		at_least "$what on $dev" "$(result $what)" 20
	done
	[ "$1" != packed ] || at_least "compactions of $dev" "$(result compactions)" 20
	# On a busy machine, an access to any file can take seconds. But no file waits for a writeback.
	[ "$(result slowest)" -lt $((4000 + $(result undisturbed))) ] ||
		fail "statistics of $dev took $(result slowest) ms, where others took $(result undisturbed)"
	bd_stat
	note "zram$id: bd_stat $bd_count $bd_reads $bd_writes"
	at_least "reads from the backing device of $dev" "$bd_reads" 100
	# A block has several pages, most of which stay, if the disk packs them.
	[ "$1" = packed ] || at_least "writes to the backing device of $dev" "$bd_writes" $((2 * blocks))
	[ "$1" != packed ] || at_least "writes to the backing device of $dev" "$bd_writes" $((blocks / 2))
	[ "$bd_count" -le $pages ] || fail "$bd_count of $pages pages are on the backing device of $dev"
}

# churn DEVICE: adds disks, starts their writeback to DEVICE, and resets or removes them, until $TMP/done exists.
churn() {
	local round=0 writer file kinds=(random text)
	while [ ! -e "$TMP/done" ]; do
		backed "$1" 2M lz4 $((round % 2))
		does open "$dev" direct
		does bulk 0 512 "${kinds[round / 2 % 2]}" $round
		does bulkcheck 0 512 "${kinds[round / 2 % 2]}" $round
		does close
		# With a small batch, it takes long.
		stores "$sys/writeback_batch_size" $((round % 3 + 1))
		exec {file}>"$sys/writeback"
		(
			put_to "$file" page_indexes=0-511
			echo "$errno" >"$TMP/churn.writeback"
		) &
		writer=$!
		exec {file}>&-
		sleep 0.0$((RANDOM % 10))
		if [ $((round % 3)) != 0 ]; then
			stores "$sys/reset" 1
			is "initstate of $dev" "$(<"$sys/initstate")" 0
			is "backing_dev of $dev" "$(<"$sys/backing_dev")" none
			is "bd_stat of $dev" "$(<"$sys/bd_stat")" "$(printf '%8d %8d %8d' 0 0 0)"
			wait $writer
			# The reset has released the backing device.
			stores "$sys/backing_dev" "$1"
			stores "$sys/disksize" 1M
			does open "$dev" direct
			does bulk 0 256 mixed $round
			stores "$sys/writeback" page_indexes=0-255
			does bulkcheck 0 256 mixed $round
			does close
		fi
		remove
		wait $writer
		read -r errno <"$TMP/churn.writeback"
		case $errno in
		# It ended before; was interrupted; began after the reset; began after the removal.
		OK | EINTR | EINVAL | ENODEV) ;;
		*) fail "a writeback during reset or removal: $errno" ;;
		esac
		round=$((round + 1))
	done
	note "disks added, reset and removed: $round"
	at_least "disks added, reset and removed" $round 2
	exit $failed
}

test_everything_at_once() {
	local n racers=() churner ids most=() forms=(0 1 1) compactors
	# With the largest batch size, a writeback of C zram allocates all memory.
	[ "$DRIVER" != zram ] || most=(-m 1000)
	delayed wb3 $mib 5 2
	slow_nullb wb0 $mib 200000
	slow_nullb wb1 $mib 1000000
	slow_nullb wb2 2 300000
	backed /dev/wb0 $((2 * blocks * PAGE)) lz4 0
	ids=("$id")
	backed "$mapped" $((2 * blocks * PAGE)) lz4 1
	ids+=("$id")
	backed /dev/wb1 $((2 * blocks * PAGE)) zstd 1
	ids+=("$id")
	[ "$DRIVER" != zram_rs ] || {
		slow_nullb wb4 $mib 300000
		backed "$nullb" $((2 * blocks * PAGE)) lz4 packed
		ids+=("$id")
		forms+=(packed)
	}
	for n in "${!ids[@]}"; do
		compactors=0
		[ "${forms[n]}" != packed ] || compactors=1
		"$(program pagerace)" -t "$seconds" -n $pages -S $((ids[n] + 1)) -r 4 -w 2 -b 2 -c $compactors -s 1 -l 1 \
			-k 1 "${most[@]}" "zram${ids[n]}" >"$TMP/report${ids[n]}" &
		racers+=($!)
	done
	churn /dev/wb2 &
	churner=$!
	for n in "${racers[@]}"; do
		wait "$n" || fail "pagerace ended with $?"
	done
	: >"$TMP/done"
	wait $churner || failed=1
	for n in "${!ids[@]}"; do
		use "${ids[n]}"
		check_report "${forms[n]}"
		does open "$dev" direct
		discard_all "after the races"
		use_every_block
		discard_all "in the end"
		does close
		remove
	done
}

run_tests
