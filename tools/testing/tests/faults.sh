#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: faults.sh [SECONDS]
#
# Makes allocations and requests to the backing device fail at random, for SECONDS in all (default: $DURATION, or 24),
# while tasks read, write, discard and write back disks at once (see pagerace.c). Operations may fail; data that
# is read is right. When no more failures are injected, nothing is lost, and all operations work.
#
# Guest: uml-debug group=stress

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"
# shellcheck source=tools/testing/lib/races.sh
. "${0%/*}/../lib/races.sh"

# Of each of the four tests.
seconds=$((${1:-${DURATION:-24}} / 4))
[ $seconds -ge 6 ] || seconds=6
# race ARGUMENTS: on two disks, one of which writes back compressed, with faults in between.
race() {
	local racers=() ids=() report what n=0 faults
	faults=$(program faults)
	slow_nullb wb0 $mib 200000
	slow_nullb wb1 $mib 100000
	backed /dev/wb0 $((2 * blocks * PAGE)) lz4 0
	ids=("$id")
	stores /sys/block/wb0/make-it-fail 1
	stores /sys/block/wb1/make-it-fail 1
	backed /dev/wb1 $((2 * blocks * PAGE)) zstd 1
	ids+=("$id")
	for id in "${ids[@]}"; do
		(
			# In vain, if it is not only about certain tasks.
			echo 1 >/proc/self/make-it-fail
			exec "$(program pagerace)" -e -t $((seconds + 4)) -n $pages -S $((SRANDOM % 100000)) -r 3 \
				-w 2 -b 1 -s 1 -l 1 -k 1 "zram$id" >"$TMP/report$id" 2>&1
		) &
		racers+=($!)
	done
	sleep 1
	# Nothing else runs in this guest meanwhile.
	report=$("$faults" $1 $seconds "${@:2}" 2>&1) || fail "faults ended with $?"
	note "$report"
	at_least "what was made to fail" "$(result injected)" 20
	for what in "${racers[@]}"; do
		wait "$what" || n=$?
		# That there were errors is as it should be.
		[ $n -le 1 ] || fail "pagerace ended with $n"
	done
	for id in "${ids[@]}"; do
		use "$id"
		while IFS= read -r report; do
			note "$report"
		done <"$TMP/report$id"
		report=$(tail -n 1 "$TMP/report$id")
		for what in foreign old torn; do
			is "$what on $dev" "$(result $what)" 0
		done
		for what in reads writes discards writebacks; do
			at_least "$what on $dev" "$(result $what)" 20
		done
		does open "$dev" direct
		all_discarded "when nothing fails any more"
		every_block_is_usable
		all_discarded "in the end"
		does close
		remove
	done
}

test_allocations_of_those_who_use_the_disk() {
	race '' failslab=5 fail_page_alloc=5
}

test_allocations_of_everybody() {
	race -a failslab=1 fail_page_alloc=1
}

test_requests_to_the_backing_device() {
	race '' fail_make_request=10
}

test_all_of_it() {
	race -a fail_make_request=3 failslab=1 fail_page_alloc=1
}

[ -d /sys/kernel/debug/failslab ] && [ -d /sys/kernel/debug/fail_page_alloc ] || {
	echo '1..0 # SKIP this kernel does not inject faults'
	exit "$KSFT_SKIP"
}
run_tests
