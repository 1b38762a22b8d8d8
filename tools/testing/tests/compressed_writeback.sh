#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The file compressed_writeback: the values that it accepts, and the blocks that such a writeback writes.
#
# Guest: uml-debug group=writeback
# Guest: arm64-64k-debug group=packed memory=2G seconds=1800

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

test_compressed_writeback() {
	local value want
	add
	while read -r value want; do
		stores "$sys/compressed_writeback" "$value"
		reads compressed_writeback "$want"$'\n'
	done <<-END
		1 1
		0 0
		y 1
		n 0
		on 1
		off 0
		Y 1
		No 0
		true 1
		F 0
		1junk 1
	END
	for value in garbage '' 2 -1; do
		stores "$sys/compressed_writeback" "$value" EINVAL
		reads compressed_writeback $'1\n'
	done
	stores "$sys/disksize" 1M
	for value in 0 1; do
		stores "$sys/compressed_writeback" $value EBUSY
	done
	stores "$sys/compressed_writeback" garbage EINVAL
	reads compressed_writeback $'1\n'
}

# The block of an object contains zeros after the object, although the memory of the request held other pages before.
test_no_stale_memory_on_the_device() {
	local algorithm tails tail sizes sum count
	algorithms
	for algorithm in $ALGORITHMS; do
		nullb "wb$algorithm" 1
		backed "$nullb" 256K "$algorithm" 1
		stores "$sys/writeback_batch_size" 1
		does open "$dev" direct
		does bulk 0 32 random 1
		does bulk 32 32 text 1
		mm_stat
		sizes=$((compr - 32 * PAGE))
		stores "$sys/idle" all
		writes_back idle
		counts "of 64 pages" 64 0 64
		tails=$(wbtool tails "$nullb" 64)
		sum=0
		count=0
		for tail in $tails; do
			# A random page may end with a few zeros, but not with many.
			[ "$tail" -lt $((PAGE - 8)) ] || continue
			sum=$((sum + tail))
			count=$((count + 1))
		done
		is "the number of compressed pages on the device" $count 32
		# An object may end with zeros of its own.
		[ $sum -le $sizes ] || fail "$algorithm: $sum bytes are on the device, of objects of $sizes: $tails"
		[ $sum -ge $((sizes - 32 * 8)) ] || fail "$algorithm: only $sum of $sizes bytes are on the device"
		does bulkcheck 0 32 random 1
		does bulkcheck 32 32 text 1
		does close
	done
}

run_tests
