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

# swap_disk SIZE ALGORITHM [OPTION...]: of mkswap
swap_disk() {
	disk "$1" "$2"
	shift 2
	ok mkswap "$@" "$dev"
}

# swap_of DEVICE: its pages in use and its priority into $swapped and $priority.
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

# fill MIB: swapcheck, with so much memory, all of which is in swap when this returns. It is $pid.
fill() {
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

# verified PAGES: everything that was filled comes back as it was; so many pages from swap.
verified() {
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

# nothing_left: in $dev, but the header of the swap area and what is beside it.
nothing_left() {
	mm_stat
	[ "$orig" -le $((2 * PAGE)) ]
}

# gives_back: after swapoff
gives_back() {
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
	gives_back
}

# Of two devices, the better one is filled first.
test_priorities() {
	local low high
	swap_disk 64M lz4
	ok swapon -p 10 "$dev"
	low=$dev
	swap_disk 24M zstd
	ok swapon -o pri=100 "$dev"
	high=$dev
	fill 40
	swap_of "$high"
	note "$swapped pages are on $high"
	at_least "pages on the device of priority 100" "$swapped" $((6143 * 9 / 10))
	swap_of "$low"
	note "$swapped pages are on $low"
	at_least "pages on the device of priority 10" "$swapped" 3072
	[ "$swapped" -lt 6144 ] || fail "$swapped pages are on the device of priority 10"
	verified 4096
	ok swapoff "$high"
	gives_back
	use 0
	ok swapoff "$low"
	gives_back
}

# Of two devices that are as good, each gets its part.
test_same_priority() {
	local number
	for number in 0 1; do
		swap_disk 32M lz4
		ok swapon -p 5 "$dev"
	done
	fill 32
	for number in 0 1; do
		swap_of /dev/zram$number
		note "$swapped pages are on /dev/zram$number"
		at_least "pages on /dev/zram$number" "$swapped" 2048
	done
	verified 3072
	for number in 0 1; do
		use $number
		ok swapoff "$dev"
		gives_back
	done
}

# What the kernel says about a new swap area ends with what it discards: s all at first, c clusters that
# became free.
discards() {
	local line
	line=$(dmesg | grep 'Adding .* swap on' | tail -n 1)
	line=${line##* }
	is "what the kernel says of swapon $1" "$line" "$2"
}

# counted WANT OPTION...: pages that $dev was told are free, while swap of 16 MiB was used; at least WANT for each
# that was swapped out.
counted() {
	local before want=$1
	shift
	ok swapon "$@" "$dev"
	io_stat
	before=$notify_free
	fill 16
	verified 1536
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
	counted 1 --priority 1
	discards '' SS
	# A page that is free is told at once. With discard, it is told once more, with all of its cluster.
	[ "$freed" -lt 6144 ] || fail "without discard $freed pages were told to be free"
	counted 2 --discard=pages
	discards --discard=pages SSDc
	counted 2 --discard
	discards --discard SSDsc
}

# Whatever was in the device before goes when it becomes swap.
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
	gives_back
	fill 8
	verified 768
	ok swapoff "$dev"
	gives_back
}

# The load exceeds the group's limit, so that the kernel swaps without a request to page out. Then swapoff brings all
# of it back into memory.
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
	# One half is in use now, as far as it fits into memory.
	eventually 240 said 'one half is in use' || fail "one half was not used"
	swap_of "$dev"
	note "$swapped pages are in swap, and the group has $(<$CGROUP/memory.current) bytes"
	at_least "pages in swap" "$swapped" $(((48 - 20) * 256))
	stores $CGROUP/memory.max max
	ok swapoff "$dev"
	gives_back
	stores $CGROUP/memory.max 20M
	rm "$TMP/go"
	wait $pid || fail "swapcheck ended with $?"
	[[ $(tail -n 1 "$TMP/report") == *' mismatches=0 '* ]] || fail "swapcheck: $(tail -n 1 "$TMP/report")"
	# What did not fit any more went to the other one.
	use 1
	read -ra stat <"$sys/stat"
	at_least "sectors written to the other device" "${stat[6]}" 2048
	ok swapoff "$dev"
	gives_back
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
	fill 32
	swap_of "$TMP/mnt/swap"
	at_least "pages in the file" "$swapped" 6000
	mm_stat
	at_least "compr_data_size" "$compr" $((4 * MIB))
	verified 3000
	ok swapoff "$TMP/mnt/swap"
	ok umount "$dev"
	ok e2fsck -fn "$dev"
}

run_tests
