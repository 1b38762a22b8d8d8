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

# The time of each of the four tests.
seconds=$((${1:-${DURATION:-24}} / 4))
[ $seconds -ge 6 ] || seconds=6
# race_with_faults ARGUMENTS: runs pagerace on a disk of each form of writeback, and faults with these ARGUMENTS.
race_with_faults() {
	local racers=() ids=() report what n=0 faults form
	faults=$(program faults)
	for form in $FORMS; do
		slow_nullb "wb$form" $mib 200000
		stores "/sys/block/wb$form/make-it-fail" 1
		backed "$nullb" $((2 * blocks * PAGE)) zstd "$form"
		ids+=("$id")
	done
	for id in "${ids[@]}"; do
		form=
		[ "$DRIVER" != zram_rs ] || form=$(<"$sys/../zram$id/packed_writeback")
		(
			# Without effect, if the failures are not only for certain tasks.
			echo 1 >/proc/self/make-it-fail
			exec "$(program pagerace)" -e -t $((seconds + 4)) -n $pages -S $((SRANDOM % 100000)) -r 3 \
				-w 2 -b 1 -c "${form:-0}" -s 1 -l 1 -k 1 "zram$id" >"$TMP/report$id" 2>&1
		) &
		racers+=($!)
	done
	# None of them must fail to start.
	for id in "${ids[@]}"; do
		eventually 30 grep -qs 'threads run' "$TMP/report$id" || fail "pagerace did not start"
	done
	# The shell does nothing while faults runs.
	report=$("$faults" $1 $seconds "${@:2}" 2>&1) || fail "faults ended with $?"
	note "$report"
	at_least "what was made to fail" "$(result injected)" 20
	for what in "${racers[@]}"; do
		wait "$what" || n=$?
		# Errors are expected.
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
		discard_all "when nothing fails any more"
		use_every_block
		discard_all "in the end"
		does close
		remove
	done
}

test_allocations_of_tasks_that_use_the_disk() {
	race_with_faults '' failslab=5 fail_page_alloc=5
}

test_allocations_of_all_tasks() {
	race_with_faults -a failslab=1 fail_page_alloc=1
}

test_requests_to_the_backing_device() {
	race_with_faults '' fail_make_request=10
}

test_allocations_and_requests() {
	race_with_faults -a fail_make_request=3 failslab=1 fail_page_alloc=1
}

[ -d /sys/kernel/debug/failslab ] && [ -d /sys/kernel/debug/fail_page_alloc ] || {
	echo '1..0 # SKIP this kernel does not inject faults'
	exit "$KSFT_SKIP"
}
run_tests
