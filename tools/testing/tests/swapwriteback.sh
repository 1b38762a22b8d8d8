#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Writeback to a real disk (the first of --disk): of the cold half of a machine's swap, while memory is short, and of a
# file system. All data is read back unchanged, even with next to no free memory.
#
# Guest: stock group=pressure memory=512M disk=1G seconds=900

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

read -r disk _ <<<"${ZR_DISKS:-}"
[ -b "$disk" ] || {
	echo "1..0 # SKIP there is no disk to write back to (--disk)"
	exit "$KSFT_SKIP"
}

# The swap code allocates memory to swap out, see swappressure.sh.
stores /proc/sys/vm/min_free_kbytes 16384

# memory NAME: prints a value of /proc/meminfo in MiB.
memory() {
	local key value
	while read -r key value _; do
		[ "$key" != "$1:" ] || echo $((value / 1024))
	done </proc/meminfo
}

said() {
	grep -q "$1" "$TMP/report"
}

# swap_out MIB: starts swapcheck, as the process $pid, which fills so much memory and leaves half of it in swap. Marks
# this half as idle. Sets $cold to the number of its pages that are only on the swap device.
swap_out() {
	backed "$disk" $((2 * $(memory MemTotal) + 2 * $1))M lz4 "$form"
	ok mkswap "$dev"
	ok swapon "$dev" || exit 1
	rm -f "$TMP/go"
	# The report of the test before would be read until the process has started.
	: >"$TMP/report"
	"$(program swapcheck)" -m "$1" -j 2 -w "$TMP/go" >"$TMP/report" &
	pid=$!
	eventually 300 said 'waiting for' || {
		fail "the memory was not filled"
		kill $pid
		exit 1
	}
	[[ $(<"$TMP/report") =~ cold=([0-9]+), ]] && cold=${BASH_REMATCH[1]}
	stores "$sys/idle" all
	: >"$TMP/go"
	eventually 300 said 'one half is in use' || {
		fail "one half was not used"
		kill $pid
		exit 1
	}
}

# write_back_idle PAGES: writes back all idle pages, at least PAGES. There may be more than the cold pages: those of
# files in tmpfs and of other programs.
write_back_idle() {
	local before
	mm_stat
	before=$used
	stores "$sys/writeback" idle
	device_pages
	mm_stat
	note "$device_pages pages are on $disk, $cold of them cold, in $bd_count blocks;" \
		"$((before >> 20)) MiB in memory became $((used >> 20)) MiB"
	at_least "cold pages" "$cold" "$1"
	at_least "pages on the backing device" "$device_pages" "$cold"
	at_least "blocks written to the backing device" "$bd_writes" "$bd_count"
}

swapped_in_and_right() {
	local report
	wait $pid || fail "swapcheck ended with $?"
	report=$(tail -n 1 "$TMP/report")
	note "$report"
	[[ $report == *' mismatches=0 '* ]] || fail "swapcheck reports '$report'"
	bd_stat
	note "$bd_reads pages were read from $disk"
	at_least "pages read from the backing device" "$bd_reads" "$cold"
	no_failed_io
	ok swapoff "$dev"
	bd_stat
	# The header of the swap area is a page, too.
	[ "$bd_count" -le 2 ] || fail "$bd_count pages are on the backing device after swapoff"
	mm_stat
	[ "$orig" -le $((2 * PAGE)) ] || fail "$orig bytes are stored after swapoff"
}

# The data does not fit into memory, and another process needs memory, too.
under_pressure() {
	local form=$1 available workload other
	available=$(memory MemAvailable)
	workload=$((available * 12 / 10))
	swap_out $workload
	"$(program swapcheck)" -m $((available / 4)) -p 3 -s 2 >"$TMP/other" &
	other=$!
	# A quarter of the pages is same-filled or zero, and is not written back.
	write_back_idle $((workload * 256 / 2 / 2))
	rm "$TMP/go"
	swapped_in_and_right
	wait $other || fail "swapcheck of the others ended with $?"
	[[ $(tail -n 1 "$TMP/other") == *' mismatches=0 '* ]] || fail "others: $(tail -n 1 "$TMP/other")"
}

test_cold_half_under_pressure_raw() {
	under_pressure 0
}

test_cold_half_under_pressure_compressed() {
	under_pressure 1
}

test_cold_half_under_pressure_packed() {
	under_pressure packed
}

# counter NAME: prints a counter of /proc/vmstat.
counter() {
	local name value
	echo 1 >/proc/sys/vm/stat_refresh
	while read -r name value; do
		[ "$name" != "$1" ] || echo "$value"
	done </proc/vmstat
}

# swap_in_without_memory FORM PART: swaps in while a file in ramfs takes all memory but the PARTth part of the workload.
# So each page that is swapped in displaces another one, which the driver must compress with next to no free memory.
swap_in_without_memory() {
	local form=$1 part=$2 workload out
	workload=$(($(memory MemAvailable) / 2))
	swap_out $workload
	write_back_idle $((workload * 256 / 2 / 2))
	mkdir -p "$TMP/hog"
	ok mount -t ramfs none "$TMP/hog"
	while [ "$(memory MemAvailable)" -gt $((workload / part)) ]; do
		ok dd if=/dev/zero of="$TMP/hog/fill" bs=1M count=4 oflag=append conv=notrunc status=none
	done
	note "of $(memory MemTotal) MiB $(memory MemAvailable) are available, to swap in $((workload / 2)) MiB"
	out=$(counter pswpout)
	rm "$TMP/go"
	swapped_in_and_right
	at_least "pages that had to go for others" $(($(counter pswpout) - out)) $((workload * 256 / 10))
	ok umount "$TMP/hog"
}

test_next_to_no_memory_raw() {
	swap_in_without_memory 0 10
}

test_next_to_no_memory_compressed() {
	swap_in_without_memory 1 10
}

# A read of a packed page needs a page of memory in between. With a tenth, the OOM killer came once, when all pages had
# been swapped out.
test_next_to_no_memory_packed() {
	swap_in_without_memory packed 7
}

# write_back_all PAGES: writes back all pages, at least PAGES; none may stay in memory.
write_back_all() {
	sync
	stores "$sys/idle" all
	stores "$sys/writeback" idle
	device_pages
	at_least "pages on the backing device" "$device_pages" "$1"
	mm_stat
	is "compr_data_size after writing back all" "$compr" 0
}

same_files() {
	local before
	bd_stat
	before=$bd_reads
	echo 3 >/proc/sys/vm/drop_caches
	(cd "$TMP/mnt" && ok sha256sum --quiet -c "$TMP/hashes") || fail "files differ"
	bd_stat
	at_least "pages read from the backing device" $((bd_reads - before)) "$1"
}

hash_files() {
	(cd "$TMP/mnt" && find . -type f -exec sha256sum {} + >"$TMP/hashes")
	at_least "files" "$(wc -l <"$TMP/hashes")" 50
}

use_file_system() {
	local n
	backed "$disk" 128M lz4 "$1"
	mkdir -p "$TMP/mnt"
	ok mkfs.ext4 -q "$dev"
	ok mount "$dev" "$TMP/mnt" || exit 1
	cp /usr/bin/[a-f]* "$TMP/mnt/"
	cp -r /usr/share/common-licenses "$TMP/mnt/text"
	head -c 8M /dev/urandom >"$TMP/mnt/noise"
	head -c 8M /dev/zero >"$TMP/mnt/zeros"
	hash_files
	write_back_all 3000
	same_files 3000
	# Some files change, are removed, or are copied.
	for n in 1 3 5 7; do
		ok dd if=/dev/urandom of="$TMP/mnt/noise" bs=64K seek=$((n * 10)) count=1 conv=notrunc status=none
	done
	rm "$TMP/mnt"/c*
	cp -r "$TMP/mnt/text" "$TMP/mnt/more"
	hash_files
	same_files 2000
	write_back_all 2000
	[ "$1" != packed ] || {
		pack_stat
		note "$sparse of $packed_blocks blocks are sparse"
		writes_back compact
		mm_stat
		is "compr_data_size after compaction" "$compr" 0
		device_pages
		note "$bd_count blocks have $device_pages pages after compaction"
	}
	same_files 2000
	ok umount "$dev"
	ok e2fsck -fn "$dev"
	ok mount -o ro "$dev" "$TMP/mnt"
	same_files 2000
	note "$bd_count blocks on $disk, $bd_reads read, $bd_writes written"
	ok umount "$dev"
	no_failed_io
}

test_ext4_raw() {
	use_file_system 0
}

test_ext4_compressed() {
	use_file_system 1
}

test_ext4_packed() {
	use_file_system packed
}

run_tests
