#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The files writeback_limit and writeback_limit_enable: the values that they accept, and writebacks that reach the
# limit. No writeback exceeds it, and each page that is written is charged to it once.
#
# Guest: uml-debug group=writeback

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

test_writeback_limit() {
	local value
	add
	for value in 1 0 7 +5 18446744073709551615; do
		stores "$sys/writeback_limit" "$value"
		is "writeback_limit after '$value'" "$(<"$sys/writeback_limit")" "${value#+}"
	done
	for value in garbage '' -1 0x10 1k 18446744073709551616 '1 2'; do
		stores "$sys/writeback_limit" "$value" EINVAL
		is "writeback_limit after '$value'" "$(<"$sys/writeback_limit")" 18446744073709551615
	done
	put_bare "$sys/writeback_limit" 5
	reads writeback_limit $'5\n'
	# Also after initialisation.
	stores "$sys/disksize" 1M
	stores "$sys/writeback_limit" 9
	reads writeback_limit $'9\n'
}

test_writeback_limit_enable() {
	local value
	add
	for value in 1 2 4294967296 18446744073709551615 +1; do
		stores "$sys/writeback_limit_enable" 0
		reads writeback_limit_enable $'0\n'
		stores "$sys/writeback_limit_enable" "$value"
		reads writeback_limit_enable $'1\n'
	done
	for value in garbage '' -1 y on 0x1 18446744073709551616; do
		stores "$sys/writeback_limit_enable" "$value" EINVAL
		reads writeback_limit_enable $'1\n'
	done
}

test_limit() {
	nullb wb0 1
	backed "$nullb" 256K
	does open "$dev" direct
	does bulk 0 64 random 1
	# A limit that is not enabled has no effect, and does not change.
	stores "$sys/writeback_limit" 3
	writes_back page_indexes=0-9
	counts "without a limit" 10 0 10
	is "writeback_limit" "$(<"$sys/writeback_limit")" 3
	stores "$sys/writeback_limit_enable" 1
	writes_back huge EIO
	counts "with a limit of 3" 13 0 13
	is "writeback_limit" "$(<"$sys/writeback_limit")" 0
	writes_back huge EIO
	counts "with a limit of 0" 13 0 13
	is "writeback_limit" "$(<"$sys/writeback_limit")" 0
	# Requests that write no page succeed with any limit.
	writes_back page_indexes=0-9
	writes_back incompressible
	writes_back ''
	# A limit that is just enough, and one that is more than enough.
	does bulk 0 64 text 1
	stores "$sys/writeback_limit" 64
	writes_back page_indexes=0-63
	bd_stat
	is "bd_stat with a limit of 64" "$bd_count $bd_writes" "64 77"
	is "writeback_limit" "$(<"$sys/writeback_limit")" 0
	does bulk 0 32 random 2
	stores "$sys/writeback_limit" 18446744073709551615
	writes_back huge
	is "writeback_limit" "$(<"$sys/writeback_limit")" 18446744073709551583
	# Pages that are not written back are not charged.
	does bulk 0 64 same 1
	does bulk 10 5 text 1
	stores "$sys/writeback_limit" 5
	writes_back page_indexes=0-63
	is "writeback_limit" "$(<"$sys/writeback_limit")" 0
	bd_stat
	is "bd_count" "$bd_count" 5
	# Enabled and disabled.
	does bulk 0 64 random 3
	stores "$sys/writeback_limit" 1
	writes_back huge EIO
	stores "$sys/writeback_limit_enable" 0
	writes_back huge
	bd_stat
	is "bd_count" "$bd_count" 64
	check_both_ways 0 64 random 3
}

# No batch size exceeds the limit, also when the device is full.
test_limit_and_batches() {
	local batch batches='1 2 32 1000 4294967295' limit
	[ "$DRIVER" != zram ] || batches='1 2 32 1000'
	blocks wb0 100
	backed "$mapped" 1M
	does open "$dev" direct
	stores "$sys/writeback_limit_enable" 1
	for batch in $batches; do
		stores "$sys/writeback_batch_size" "$batch"
		for limit in 1 31 33 99; do
			does bulk 0 256 random "$batch"
			bd_stat
			is "bd_count" "$bd_count" 0
			stores "$sys/writeback_limit" $limit
			writes_back huge EIO
			bd_stat
			is "bd_count with batch $batch and limit $limit" "$bd_count" $limit
			is "writeback_limit" "$(<"$sys/writeback_limit")" 0
		done
		does bulk 0 256 random "$batch"
		stores "$sys/writeback_limit" 120
		writes_back huge ENOSPC
		bd_stat
		is "bd_count with batch $batch and limit 120" "$bd_count" 100
		is "writeback_limit" "$(<"$sys/writeback_limit")" 20
	done
	does bulkcheck 0 256 random "$batch"
}

run_tests
