#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The files of a device in /sys/block/zramN: their modes, their contents before and after initialisation, byte for byte,
# the input that they accept, and the errors for other input. Files with a test script of their own are comp_algorithm
# and mem_limit, and those of writeback and recompression.
#
# Proves that a tool written for C zram cannot tell the difference.
#
# Guest: uml-debug group=basic quick
# Guest: stock group=basic memory=2G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

# write_only FILE...: a read must fail, also for root.
write_only() {
	local file
	for file in "$@"; do
		{ : "$(<"$sys/$file")"; } 2>"$TMP/errno"
		errno_of "$(<"$TMP/errno")"
		is "the result of reading $file" "$errno" EACCES
	done
}

read_only() {
	local file
	for file in "$@"; do
		stores "$sys/$file" 1 EACCES
	done
}

test_modes() {
	add
	local modes
	modes=$(cd "$sys" && stat -c '%a %n' disksize initstate reset mem_limit mem_used_max comp_algorithm \
		compact mm_stat io_stat debug_stat)
	is "modes" "$modes" '644 disksize
444 initstate
200 reset
200 mem_limit
200 mem_used_max
644 comp_algorithm
200 compact
444 mm_stat
444 io_stat
444 debug_stat'
	write_only reset mem_limit mem_used_max compact
	read_only initstate mm_stat io_stat debug_stat
}

test_values_of_a_new_device() {
	add
	reads disksize $'0\n'
	reads initstate $'0\n'
	reads mm_stat $'       0        0        0        0        0        0        0        0        0\n'
	reads io_stat $'       0        0 0        0\n'
	reads debug_stat $'version: 1\n0        0\n'
	reads size $'0\n'
	reads ro $'0\n'
	reads removable $'0\n'
	reads range $'1\n'
	reads ext_range $'1\n'
}

test_disksize_takes_what_memparse_takes() {
	local value want
	add
	while read -r value want; do
		stores "$sys/disksize" "$value"
		is "disksize after '$value'" "$(<"$sys/disksize")" "$want"
		is "capacity after '$value'" "$(<"$sys/size")" $((want / 512))
		is "initstate after '$value'" "$(<"$sys/initstate")" 1
		stores "$sys/reset" 1
	done <<-END
		1 4096
		4095 4096
		4096 4096
		4097 8192
		1k 4096
		5K 8192
		1m 1048576
		3M 3145728
		0x100000 1048576
		0X1000k 4194304
		0100000 32768
		1048576xyz 1048576
		2Mgarbage 2097152
		2MB 2097152
		12K,5 12288
	END
	put_bare "$sys/disksize" 8192
	is "disksize without a newline" "$errno" OK
	reads disksize $'8192\n'
}

test_disksize_refuses() {
	local value
	add
	for value in 0 0K garbage '' ' 4096' -4096 -1 +4096 K M4 16E 18446744073709551615 17592186044416M; do
		stores "$sys/disksize" "$value" EINVAL
		is "disksize after '$value'" "$(<"$sys/disksize")" 0
		is "initstate after '$value'" "$(<"$sys/initstate")" 0
	done
}

# C zram returns these errors, too, but the allocator prints a backtrace, which fails the run.
test_disksize_beyond_all_memory() {
	[ "$DRIVER" != zram ] || skip "C zram lets the allocator print a backtrace for this"
	local value
	add
	stores "$sys/comp_algorithm" zstd
	for value in 1000T 1P 1E 8E 15E 18446744073709547520; do
		stores "$sys/disksize" "$value" ENOMEM
		is "disksize after '$value'" "$(<"$sys/disksize")" 0
		is "capacity after '$value'" "$(<"$sys/size")" 0
		is "initstate after '$value'" "$(<"$sys/initstate")" 0
	done
	[[ $(<"$sys/comp_algorithm") == *'[zstd]'* ]] || fail "the algorithm was forgotten"
	stores "$sys/disksize" 1M
	reads disksize $'1048576\n'
}

# The table of slots takes up to a quarter of the memory; on uml-debug, where each slot takes time, 64 MiB of disk.
test_disksize_from_a_page_to_terabytes() {
	local size max pages key value
	while read -r key value _; do
		[ "$key" != MemAvailable: ] || max=$((value * 1024 * PAGE / 16 / 4))
	done </proc/meminfo
	[ "$max" -lt $((8 << 40)) ] || max=$((8 << 40))
	! on_uml || max=$((64 << 20))
	note "up to $((max >> 20)) MiB here"
	add
	for ((size = PAGE; ; size *= 64)); do
		[ $size -le "$max" ] || size=$((max / PAGE * PAGE))
		stores "$sys/disksize" $size
		is "capacity" "$(<"$sys/size")" $((size / 512))
		pages=$((size / PAGE))
		does open "$dev" direct
		does write $((pages - 1)) 1 text 1
		does write 0 1 random 2
		[ $pages = 1 ] || does check $((pages - 1)) 1 text 1
		does check 0 1 random 2
		does check $((pages / 2)) $((pages > 2)) zero 0
		refuses 'short: 0 of 4096 bytes' read $size $PAGE
		refuses ENOSPC write $pages 1 text 1
		does close
		mm_stat
		is "orig_data_size" "$orig" $((pages == 1 ? PAGE : 2 * PAGE))
		stores "$sys/reset" 1
		[ $size -lt $((max / PAGE * PAGE)) ] || break
	done
}

test_a_ready_device_refuses_configuration() {
	disk 1M lz4
	stores "$sys/disksize" 2M EBUSY
	stores "$sys/disksize" 1M EBUSY
	stores "$sys/disksize" 0 EINVAL
	stores "$sys/disksize" garbage EINVAL
	stores "$sys/comp_algorithm" zstd EBUSY
	stores "$sys/comp_algorithm" lz4 EBUSY
	stores "$sys/comp_algorithm" garbage EINVAL
	reads disksize $'1048576\n'
	[[ $(<"$sys/comp_algorithm") == *'[lz4]'* ]] || fail "the algorithm changed: $(<"$sys/comp_algorithm")"
}

test_reset() {
	local value default
	add
	for value in 0 garbage '' -1 '1 1' 0x1 1garbage; do
		stores "$sys/reset" "$value" EINVAL
	done
	stores "$sys/reset" 65536 ERANGE
	default=$(<"$sys/comp_algorithm")
	# The reset of an uninitialised disk succeeds, also twice.
	stores "$sys/reset" 1
	stores "$sys/reset" 1

	stores "$sys/comp_algorithm" zstd
	stores "$sys/mem_limit" 8M
	stores "$sys/disksize" 4M
	does open "$dev" direct
	does bulk 0 1024 mixed 3
	stores "$sys/reset" 1 EBUSY
	does bulkcheck 0 1024 mixed 3
	does close
	stores "$sys/reset" 65535

	reads disksize $'0\n'
	reads size $'0\n'
	reads initstate $'0\n'
	reads mm_stat $'       0        0        0        0        0        0        0        0        0\n'
	reads io_stat $'       0        0 0        0\n'
	is "comp_algorithm after reset" "$(<"$sys/comp_algorithm")" "$default"
	read -ra stat <"$sys/stat"
	is "reads in stat after reset" "${stat[0]}" 0
	is "writes in stat after reset" "${stat[4]}" 0

	# Another size, and no old data.
	stores "$sys/disksize" 8M
	does open "$dev" direct
	does bulkcheck 0 2048 zero 0
	mm_stat
	is "what a device holds after reset" "$orig" 0
	does bulk 1024 1024 text 4
	does bulkcheck 1024 1024 text 4
	does close
	stores "$sys/reset" 1
	stores "$sys/disksize" 64K
	reads size $'128\n'
}

test_compact() {
	add
	stores "$sys/compact" 1 EINVAL
	stores "$sys/disksize" 4M
	stores "$sys/compact" 1
	stores "$sys/compact" 0
	stores "$sys/compact" anything
	# Makes holes in all zspages. The remaining objects must fit into fewer pages, and keep their data.
	does open "$dev" direct
	does bulk 0 1024 text 5
	for ((page = 0; page < 1024; page += 4)); do
		does discard $((page * PAGE)) $((3 * PAGE))
	done
	mm_stat
	before=$used
	stores "$sys/compact" 1
	mm_stat
	at_least "pages_compacted" "$compacted" 1
	[ "$used" -lt "$before" ] || fail "compact freed nothing: $before bytes before, $used after"
	for ((page = 3; page < 1024; page += 4)); do
		does check $page 1 text 5
	done
}

# All columns of the statistics of a disk in use, in the order of C zram.
test_columns() {
	local text column columns
	disk 4M lz4
	does open "$dev" direct
	does write 0 10 text 1
	does write 10 20 random 1
	does write 30 40 same 1
	does write 70 5 zero 1
	IFS= read -rd '' text <"$sys/mm_stat"
	read -ra columns <<<"$text"
	is "number of columns in mm_stat" ${#columns[@]} 9
	printf -v column '%8s ' "${columns[@]}"
	is "mm_stat" "$text" "${column% }"$'\n'
	is "orig_data_size" "${columns[0]}" $((75 * PAGE))
	at_least "compr_data_size" "${columns[1]}" $((20 * PAGE + 10))
	[ "${columns[1]}" -lt $((25 * PAGE)) ] || fail "compr_data_size of text is ${columns[1]}"
	at_least "mem_used_total" "${columns[2]}" "${columns[1]}"
	is "mem_used_max" "${columns[4]}" "${columns[2]}"
	is "same_pages" "${columns[5]}" 45
	is "pages_compacted" "${columns[6]}" 0
	is "huge_pages" "${columns[7]}" 20
	is "huge_pages_since" "${columns[8]}" 20

	does discard 0 $((75 * PAGE))
	IFS= read -rd '' text <"$sys/io_stat"
	is "io_stat" "$text" $'       0        0 0       75\n'
	reads debug_stat $'version: 1\n0        0\n'
}

# The limits of the queue. Some kernels lack some of the files.
test_queue_limits() {
	local name want
	disk 4M
	while read -r name want; do
		[ ! -e "$sys/queue/$name" ] || is "queue/$name" "$(<"$sys/queue/$name")" "$want"
	done <<-END
		add_random 0
		atomic_write_max_bytes 0
		chunk_sectors 0
		dax 0
		discard_granularity 4096
		discard_max_bytes 2199023255040
		discard_max_hw_bytes 2199023255040
		dma_alignment 511
		fua 0
		hw_sector_size 4096
		io_poll 0
		iostats 0
		logical_block_size 4096
		max_discard_segments 1
		max_hw_sectors_kb 124
		max_sectors_kb 124
		max_segment_size 65536
		max_segments 128
		minimum_io_size 4096
		nomerges 0
		nr_zones 0
		optimal_io_size 4096
		physical_block_size 4096
		rotational 0
		stable_writes 1
		virt_boundary_mask 0
		write_cache write through
		write_zeroes_max_bytes 2199023255040
		write_zeroes_unmap_max_bytes 0
		zone_append_max_bytes 0
		zoned none
	END
	[ ! -e "$sys/${sys##*/}p1" ] || fail "the device has partitions"
	is "sysfs directory of a virtual device" "$(readlink -f "$sys")" "/sys/devices/virtual/block/zram$id"
}

test_zramctl() {
	local name
	name=$(zramctl --find --size 8M --algorithm zstd) || fail "zramctl --find failed"
	is "what zramctl --find says" "$name" /dev/zram0
	use 0
	is "what zramctl shows" \
		"$(zramctl --bytes --noheadings --output NAME,DISKSIZE,ALGORITHM,DATA "$dev" | tr -s ' ')" \
		"$dev 8388608 zstd 0"
	# This also removes the disk.
	ok zramctl --reset "$dev"
	[ ! -e "$sys" ] || fail "$sys is still there"
}

run_tests
