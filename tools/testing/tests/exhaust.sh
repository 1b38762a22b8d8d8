#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Out of memory, out of space, out of ids. The machine survives, the errors are clear, and no stored data is lost.
# (Sizes beyond all memory are in sysfs.sh, limits in mem_limit.sh, full backing devices in writeback.sh, absurd batch
# sizes in writeback_batch_size.sh, and swap-in without free memory in swapwriteback.sh.)
#
# Guest: uml-debug group=stress

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

group=/sys/fs/cgroup/zram-test

# run_limited MIB COMMAND...: runs the command in a control group with a memory limit. Sets $status to its exit status.
run_limited() {
	local mib=$1
	shift
	[ -f /sys/fs/cgroup/cgroup.controllers ] || ok mount -t cgroup2 none /sys/fs/cgroup
	[[ " $(</sys/fs/cgroup/cgroup.controllers) " == *' memory '* ]] || skip "there are no memory groups"
	stores /sys/fs/cgroup/cgroup.subtree_control +memory
	[ -d $group ] || mkdir $group
	stores $group/memory.max "${mib}M"
	status=0
	(
		echo $BASHPID >$group/cgroup.procs
		exec "$@"
	) >"$TMP/report" 2>&1 || status=$?
}

# group_events NAME: prints a counter of the group's memory.events.
group_events() {
	local name count
	while read -r name count; do
		[ "$name" != "$1" ] || echo "$count"
	done <$group/memory.events
}

swap_disk() {
	disk "$1" lz4
	ok mkswap "$dev"
	ok swapon "$dev"
}

no_swap_disk() {
	ok swapoff "$dev"
	rmdir $group
	remove
}

# Two tasks use three times the memory of their group, and check all of it.
test_a_memory_group_that_swaps() {
	swap_disk 256M
	run_limited 24 "$(program swapcheck)" -m 72 -j 2
	is "the status of swapcheck" "$status" 0
	[ "$status" = 0 ] || note "$(<"$TMP/report")"
	mm_stat
	note "orig_data_size $orig, mem_used_max $used_max, oom_kill $(group_events oom_kill)"
	at_least "the largest use of memory" "$used_max" $((1 << 20))
	is "what was killed" "$(group_events oom_kill)" 0
	no_swap_disk
}

# Swap is too small: the OOM killer ends a task of the group, and no other task loses data.
test_a_memory_group_with_too_little_swap() {
	swap_disk 16M
	disk 4M lz4
	does open "$dev" direct
	does bulk 0 1024 mixed 7
	use $((id - 1))
	# tools/vm ignores the messages about the end of a program with this name.
	cp "$(program swapcheck)" "$TMP/overcommit"
	run_limited 16 "$TMP/overcommit" -m 64 -j 2
	[ "$status" != 0 ] || fail "64 MiB were in use by a group with 16 MiB and 16 MiB of swap"
	at_least "what was killed" "$(group_events oom_kill)" 1
	use $((id + 1))
	does bulkcheck 0 1024 mixed 7
	does close
	remove
	use $((id - 1))
	# The swap is free again.
	run_limited 16 "$(program swapcheck)" -m 20 -j 1
	is "the status of swapcheck afterwards" "$status" 0
	no_swap_disk
}

# Adds 200 disks; every twentieth is in use.
test_many_disks() {
	local count=200 i first
	add
	first=$id
	for ((i = 1; i < count; i++)); do
		read -r id <$CONTROL/hot_add || fail "hot_add of the disk number $i"
		is "the number of the next disk" "$id" $((first + i))
		[ $((i % 20)) = 0 ] || continue
		use "$id"
		stores "$sys/disksize" 256K
		does open "$dev" direct
		does bulk 0 64 mixed "$i"
		does close
	done
	for ((i = 20; i < count; i += 20)); do
		use $((first + i))
		does open "$dev" direct
		does bulkcheck 0 64 mixed "$i"
		does close
	done
	for ((i = first; i < first + count; i++)); do
		stores $CONTROL/hot_remove "$i"
	done
	[ ! -e /sys/block/zram$first ] || fail "zram$first is still there"
}

run_tests
