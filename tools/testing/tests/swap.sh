#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A small test of swap: swapped-out data is read back, freed swap slots free their memory at once, and the disk's
# statistics count the swapped pages.
#
# Guest: uml-debug group=basic
# Guest: stock group=basic memory=2G
# Guest: stock-7.2 group=basic memory=2G
# Guest: arm64 group=basic memory=2G
# Guest: arm64-16k group=basic memory=2G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

page=$(getconf PAGESIZE)

# disk_stat: sets variables to fields of $sys/stat, see Documentation/block/stat.rst of the kernel.
disk_stat() {
	local fields
	read -ra fields <"$sys/stat"
	reads=${fields[0]} read_sectors=${fields[2]} writes=${fields[4]} write_sectors=${fields[6]}
	in_flight=${fields[8]}
}

test_disk_statistics() {
	local sectors=$((PAGE / 512))
	disk $((1024 * PAGE))
	disk_stat
	is "writes of a new device" "$writes" 0
	does open "$dev" direct
	does write 0 100 mixed 1
	disk_stat
	is "writes" "$writes" 100
	is "sectors written" "$write_sectors" $((100 * sectors))
	is "reads" "$reads" 0
	does check 0 50 mixed 1
	disk_stat
	is "reads" "$reads" 50
	is "sectors read" "$read_sectors" $((50 * sectors))
	is "writes" "$writes" 100
	does bulk 256 512 mixed 2
	disk_stat
	is "sectors written" "$write_sectors" $(((100 + 512) * sectors))
	does bulkcheck 256 256 mixed 2
	disk_stat
	is "sectors read" "$read_sectors" $(((50 + 256) * sectors))
	is "in flight" "$in_flight" 0
}

# The disk has freed the slots that swap has freed.
few_pages_stored() {
	mm_stat
	[ "$orig" -le $((2 * page)) ]
}

swap_on() {
	disk 64M "$1"
	ok mkswap "$dev"
	ok swapon "$dev" || exit 1
}

test_swapped_out_and_in() {
	local algorithm report
	algorithms
	for algorithm in $ALGORITHMS; do
		swap_on "$algorithm"
		report=$("$(program swapcheck)" -m 12 -j 2 | tail -n 1) || fail "swapcheck failed on $algorithm"
		note "$algorithm: $report"
		[[ $report =~ pages=([0-9]+)\ out=([0-9]+)\ in=([0-9]+)\ mismatches=0\  ]] || {
			fail "swapcheck reports '$report'"
			continue
		}
		at_least "pages swapped out" "${BASH_REMATCH[2]}" $(((4 << 20) / page))
		at_least "pages swapped in" "${BASH_REMATCH[3]}" $(((4 << 20) / page))
		disk_stat
		at_least "sectors written" "$write_sectors" $((8 * 1024))
		at_least "sectors read" "$read_sectors" $((8 * 1024))
		# The processes have ended, so their swap is free.
		eventually 10 few_pages_stored || fail "$orig bytes are stored after all was freed"
		io_stat
		at_least "notify_free" "$notify_free" $(((4 << 20) / page))
		is "failed_reads" "$failed_reads" 0
		is "failed_writes" "$failed_writes" 0
		at_least "mem_used_max" "$used_max" $((1 << 20))
		[ "$used" -le $((used_max / 4)) ] || fail "mem_used_total is $used of once $used_max"
		ok swapoff "$dev"
		stores "$sys/reset" 1
		remove
	done
}

test_swap_area_survives() {
	swap_on lz4
	ok swapoff "$dev"
	[[ $(blkid -p -o value -s TYPE "$dev") == swap ]] || fail "the signature of swap is gone after swapoff"
	ok swapon "$dev"
	ok swapoff "$dev"
}

run_tests
