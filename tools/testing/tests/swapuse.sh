#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Swap as administrators set it up with mkswap and swapon: by label and from a table like fstab, on several devices with
# priorities, with each kind of discard, and in a file; in a control group with a memory limit. swapoff frees all of its
# memory.
#
# Guest: stock group=storage disk=1G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

MIB=$((1 << 20))
CGROUP=/sys/fs/cgroup/zram-test

# swap_disk SIZE ALGORITHM [OPTION...]: adds a disk, and runs mkswap with these options.
swap_disk() {
	disk "$1" "$2"
	shift 2
	ok mkswap "$@" "$dev"
}

# swap_of DEVICE: sets $swapped to the number of its pages in use, and $priority to its priority.
swap_of() {
	local where
	swapped='' priority=''
	while read -r where _ _ swapped priority; do
		[ "$where" != "$1" ] || break
		swapped='' priority=''
	done </proc/swaps
	swapped=$((swapped / 4))
}

said() {
	grep -q "$1" "$TMP/report"
}

# swap_out MIB: starts swapcheck with so much memory, as the process $pid. Returns when all of it is in swap.
swap_out() {
	: >"$TMP/report"
	rm -f "$TMP/go"
	"$(program swapcheck)" -m "$1" -j 2 -p 1 -w "$TMP/go" >"$TMP/report" 2>&1 &
	pid=$!
	eventually 120 said 'waiting for' || {
		fail "the memory was not filled: $(<"$TMP/report")"
		kill $pid
		exit 1
	}
}

# swap_in PAGES: swapcheck must find all pages right, and at least PAGES of them in swap.
swap_in() {
	local report
	: >"$TMP/go"
	eventually 120 said 'one half is in use' || fail "one half was not used"
	rm "$TMP/go"
	wait $pid || fail "swapcheck ended with $?"
	report=$(tail -n 1 "$TMP/report")
	note "$report"
	[[ $report =~ out=([0-9]+)\ in=([0-9]+)\ mismatches=0\  ]] || {
		fail "swapcheck reports '$report'"
		return
	}
	at_least "pages swapped in" "${BASH_REMATCH[2]}" "$1"
}

# nothing_left: succeeds if the disk has no pages but those at the header of the swap area.
nothing_left() {
	mm_stat
	[ "$orig" -le $((2 * PAGE)) ]
}

# check_freed: after swapoff, the disk must use no memory, and no read or write may have failed.
check_freed() {
	nothing_left || fail "$orig bytes are stored in $dev after swapoff"
	eventually 10 little_used || fail "$used bytes of memory are used by $dev after swapoff"
	no_failed_io
}

little_used() {
	mm_stat
	[ "$used" -le $((64 * PAGE)) ]
}

test_options_of_swapon() {
	swap_disk 16M lz4 --label here
	ok swapon -L here
	swap_of "$dev"
	[ "$priority" -lt 0 ] || fail "the priority of swap that was given none is $priority"
	ok swapoff -L here
	ok swapon -p 7 "$dev"
	swap_of "$dev"
	is "the priority" "$priority" 7
	not_ok swapon "$dev"
	ok swapoff "$dev"
	printf '%s none swap defaults,pri=42,discard=pages 0 0\n' "$dev" >"$TMP/fstab"
	ok swapon --all --fstab "$TMP/fstab"
	is "swapon --show" "$(swapon --show=NAME,TYPE,SIZE,USED,PRIO --noheadings --raw --bytes)" \
		"$dev partition $((16 * MIB - PAGE)) 0 42"
	ok swapoff --all
	is "swapon --show" "$(swapon --show)" ''
	check_freed
}

# The kernel fills the device with the higher priority first.
test_priorities() {
	local low high
	swap_disk 64M lz4
	ok swapon -p 10 "$dev"
	low=$dev
	swap_disk 24M zstd
	ok swapon -o pri=100 "$dev"
	high=$dev
	swap_out 40
	swap_of "$high"
	note "$swapped pages are on $high"
	at_least "pages on the device of priority 100" "$swapped" $((6143 * 9 / 10))
	swap_of "$low"
	note "$swapped pages are on $low"
	at_least "pages on the device of priority 10" "$swapped" 3072
	[ "$swapped" -lt 6144 ] || fail "$swapped pages are on the device of priority 10"
	swap_in 4096
	ok swapoff "$high"
	check_freed
	use 0
	ok swapoff "$low"
	check_freed
}

# The kernel uses devices with equal priorities in turn.
test_same_priority() {
	local number
	for number in 0 1; do
		swap_disk 32M lz4
		ok swapon -p 5 "$dev"
	done
	swap_out 32
	for number in 0 1; do
		swap_of /dev/zram$number
		note "$swapped pages are on /dev/zram$number"
		at_least "pages on /dev/zram$number" "$swapped" 2048
	done
	swap_in 3072
	for number in 0 1; do
		use $number
		ok swapoff "$dev"
		check_freed
	done
}

# The kernel's message about a new swap area ends with what it discards: s for all of it at swapon, c for free clusters.
discards() {
	local line
	line=$(dmesg | grep 'Adding .* swap on' | tail -n 1)
	line=${line##* }
	is "what the kernel says of swapon $1" "$line" "$2"
}

# swap_with_discard WANT OPTION...: swaps 16 MiB out and in, with these options of swapon. Sets $freed to the number of
# pages that the kernel reported as free, which must be at least WANT for each page that was swapped out.
swap_with_discard() {
	local before want=$1
	shift
	ok swapon "$@" "$dev"
	io_stat
	before=$notify_free
	swap_out 16
	swap_in 1536
	eventually 10 nothing_left || fail "$orig bytes are stored after all was freed"
	eventually 10 free_enough $((before + want * 4096)) ||
		fail "$((notify_free - before)) pages were told to be free with $*, should be $((want * 4096))"
	freed=$((notify_free - before))
	note "$*: $freed pages were told to be free"
	ok swapoff "$dev"
}

free_enough() {
	io_stat
	[ "$notify_free" -ge "$1" ]
}

test_discard_of_pages() {
	local freed
	swap_disk 32M lz4
	swap_with_discard 1 --priority 1
	discards '' SS
	# The kernel reports a free page at once. With discard, it reports the page again, with all of its cluster.
	[ "$freed" -lt 6144 ] || fail "without discard $freed pages were told to be free"
	swap_with_discard 2 --discard=pages
	discards --discard=pages SSDc
	swap_with_discard 2 --discard
	discards --discard SSDsc
}

# swapon with discard frees the old data of the disk.
test_discard_once() {
	disk 32M lz4
	does open "$dev" direct
	does bulk 0 8192 random 1
	does close
	ok mkswap "$dev"
	ok swapon "$dev"
	mm_stat
	at_least "orig_data_size after swapon without discard" "$orig" $((31 * MIB))
	ok swapoff "$dev"
	ok swapon --discard=once "$dev"
	discards --discard=once SSDs
	check_freed
	swap_out 8
	swap_in 768
	ok swapoff "$dev"
	check_freed
}

# The load exceeds the group's memory limit, so that the kernel swaps without a request to page out. Then swapoff moves
# all of it back into memory.
test_group_without_memory() {
	[ -w /sys/fs/cgroup/cgroup.subtree_control ] || skip "there are no control groups"
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control || fail "groups cannot be limited"
	mkdir -p $CGROUP
	swap_disk 96M lz4
	ok swapon -p 2 "$dev"
	swap_disk 96M zstd
	ok swapon -p 1 "$dev"
	use 0
	stores $CGROUP/memory.max 20M
	: >"$TMP/report"
	rm -f "$TMP/go"
	(
		echo $BASHPID >$CGROUP/cgroup.procs
		exec "$(program swapcheck)" -m 48 -j 2 -p 1 -w "$TMP/go"
	) >"$TMP/report" 2>&1 &
	pid=$!
	eventually 240 said 'waiting for' || fail "the memory was not filled: $(<"$TMP/report")"
	: >"$TMP/go"
	# Half of it is in use now, as far as it fits into memory.
	eventually 240 said 'one half is in use' || fail "one half was not used"
	swap_of "$dev"
	note "$swapped pages are in swap, and the group has $(<$CGROUP/memory.current) bytes"
	at_least "pages in swap" "$swapped" $(((48 - 20) * 256))
	stores $CGROUP/memory.max max
	ok swapoff "$dev"
	check_freed
	stores $CGROUP/memory.max 20M
	rm "$TMP/go"
	wait $pid || fail "swapcheck ended with $?"
	[[ $(tail -n 1 "$TMP/report") == *' mismatches=0 '* ]] || fail "swapcheck: $(tail -n 1 "$TMP/report")"
	# The rest went to the other disk.
	use 1
	read -ra stat <"$sys/stat"
	at_least "sectors written to the other device" "${stat[6]}" 2048
	ok swapoff "$dev"
	check_freed
	eventually 10 rmdir $CGROUP || fail "the group does not go away"
}

test_swap_file() {
	disk 96M lz4
	ok mkfs.ext4 -q "$dev"
	mkdir -p "$TMP/mnt"
	ok mount "$dev" "$TMP/mnt"
	ok dd if=/dev/zero of="$TMP/mnt/swap" bs=1M count=48 status=none
	chmod 600 "$TMP/mnt/swap"
	ok mkswap "$TMP/mnt/swap"
	ok swapon -p 3 "$TMP/mnt/swap"
	swap_out 32
	swap_of "$TMP/mnt/swap"
	at_least "pages in the file" "$swapped" 6000
	mm_stat
	at_least "compr_data_size" "$compr" $((4 * MIB))
	swap_in 3000
	ok swapoff "$TMP/mnt/swap"
	ok umount "$dev"
	ok e2fsck -fn "$dev"
}

run_tests
