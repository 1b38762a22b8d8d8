#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: fuzz.sh [SECONDS]
#
# For SECONDS (default: $DURATION, or 30), sends random input of all kinds to disks and their files; see fuzz.c. Nothing
# may break or hang, all data must stay right, no stale memory may appear anywhere, and all disks must work afterwards.
#
# Environment:
#   SEED    of all random choices (default: a random one); the order of events is not repeatable
#
# Guest: uml-debug group=stress
# Guest: stock group=stress memory=2G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

seconds=${1:-${DURATION:-30}}

test_anything_from_user_space() {
	local i line disks=() options=() seed=${SEED:-0} report=
	[ "$seed" != 0 ] || seed=$((SRANDOM % 1000000 + 1))
	for i in 0 1 2 3 4; do
		nullb "wb$i" 1
		disks+=("$nullb")
	done
	# C zram does not support memory that is only aligned to 512 bytes.
	[ "$DRIVER" != zram ] || options=(-a)
	shopt -s lastpipe
	{
		"$(program fuzz)" "${options[@]}" -t "$seconds" -S "$seed" "${disks[@]}" 2>&1 || echo "# fuzz ended with status $?"
	} | while IFS= read -r line; do
		note "${line#\# }"
		report=$line
	done
	rm -f /tmp/fuzz.dictionary
	note "seed $seed"
	[[ $report == 'fuzz: '*' problems=0' ]] || fail "something was wrong"
}

run_tests
