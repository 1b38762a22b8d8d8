#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# zramctl in each of its modes: finding devices, setting them up, its table, resetting, and its error messages.
#
# Guest: stock group=storage disk=1G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

MIB=$((1 << 20))
COLUMNS_OF_MM_STAT=DATA,COMPR,TOTAL,MEM-LIMIT,MEM-USED,ZERO-PAGES,MIGRATED

# finds NAME ARGUMENT...: zramctl must print the name of this disk. Sets $dev and $sys.
finds() {
	local want=$1 got
	shift
	got=$(zramctl "$@" 2>&1) || fail "'zramctl $*' failed with exit status $?"
	is "what 'zramctl $*' says" "$got" "/dev/$want"
	use "${want#zram}"
}

# columns LIST [OPTION]...: sets $columns to these columns of zramctl's table for the disk.
columns() {
	local list=$1
	shift
	columns=$(zramctl --noheadings --raw --output "$list" "$@" "$dev") || fail "zramctl shows nothing of $dev"
	columns=${columns%"${columns##*[! ]}"}
}

# Some kernels have no file for the number of streams.
streams() {
	streams=
	[ ! -e "$sys/max_comp_streams" ] || streams=$(<"$sys/max_comp_streams")
}

# complains MESSAGE ARGUMENT...: zramctl must fail with a message that contains this.
complains() {
	local message=$1
	shift
	not_ok zramctl "$@"
	[[ $(<"$TMP/out") == *"$message"* ]] || fail "'zramctl $*' says '$(<"$TMP/out")', should say '$message'"
}

selected() {
	selected=$(<"$sys/comp_algorithm")
	selected=${selected#*\[}
	selected=${selected%%\]*}
}

devices() {
	devices=$(cd /sys/block && echo zram*)
}

# hold_open SECONDS: starts a process, $holder, that keeps the disk open.
hold_open() {
	rm -f "$TMP/ready"
	(
		exec 7<"$dev"
		: >"$TMP/ready"
		sleep "$1"
	) &
	holder=$!
	eventually 30 [ -e "$TMP/ready" ] || fail "no process has $dev open"
}

release() {
	kill "$holder"
	wait "$holder"
} 2>/dev/null

test_find_uses_a_free_device_first() {
	add
	add
	finds zram0 --find
	is "disksize after --find alone" "$(<"$sys/disksize")" 0
	finds zram0 --find --size 16M
	is "disksize" "$(<"$sys/disksize")" $((16 * MIB))
	finds zram1 -f -s 8M
	is "disksize" "$(<"$sys/disksize")" $((8 * MIB))
	devices
	is "devices" "$devices" 'zram0 zram1'
}

test_find_adds_a_device_when_none_is_free() {
	devices
	is "devices at first" "$devices" 'zram*'
	finds zram0 --find --size 8M
	finds zram1 --find --size 8M
	finds zram2 --find
	finds zram2 --find --size 8M
	devices
	is "devices" "$devices" 'zram0 zram1 zram2'
	ok zramctl --reset /dev/zram1
	finds zram1 --find --size 4M
	is "disksize" "$(<"$sys/disksize")" $((4 * MIB))
}

test_without_the_module() {
	unload
	not_ok zramctl --find --size 8M
	[[ $(<"$TMP/out") == zramctl:* ]] || fail "zramctl says '$(<"$TMP/out")'"
	ok zramctl
	is "the table without the module" "$(<"$TMP/out")" ''
	load num_devices=0
}

test_algorithms() {
	local algorithm
	add
	for algorithm in $(tr -d '[]' <"$sys/comp_algorithm"); do
		finds zram0 --find --size 8M --algorithm "$algorithm"
		selected
		is "the algorithm" "$selected" "$algorithm"
		columns ALGORITHM
		is "the algorithm in the table" "$columns" "$algorithm"
		does open "$dev" direct
		does bulk 0 256 mixed 1
		does bulkcheck 0 256 mixed 1
		does close
		# zramctl resets an initialised disk first, so it can get another size.
		ok zramctl "$dev" --size 12M -a "$algorithm"
		is "disksize" "$(<"$sys/disksize")" $((12 * MIB))
		mm_stat
		is "orig_data_size after another set-up" "$orig" 0
		ok zramctl -r "$dev"
		add
	done
}

test_sizes_and_streams() {
	local size
	add
	for size in 1MiB:$MIB 2M:$((2 * MIB)) 3MB:3002368 $((5 * MIB)):$((5 * MIB)) 1G:$((1024 * MIB)) 5000:8192; do
		ok zramctl "$dev" --size "${size%:*}"
		is "disksize of ${size%:*}" "$(<"$sys/disksize")" "${size#*:}"
	done
	for size in 1 2 7; do
		ok zramctl "$dev" --size 4M --streams $size
		columns STREAMS
		streams
		is "streams in the table" "$columns" "$streams"
	done
}

# The parameters cannot be read, but with a higher level zstd compresses real data better.
stored_with() {
	ok zramctl "$dev" --size 16M --algorithm zstd --algorithm-params "$1"
	cat /usr/bin/perl /usr/bin/bash 2>/dev/null | head -c 2M | dd of="$dev" bs=64K iflag=fullblock oflag=direct \
		status=none || fail "$dev cannot be written to"
	mm_stat
	note "$1: $compr bytes"
	is "orig_data_size" "$orig" $((2 * MIB))
}

test_algorithm_params() {
	local fast
	add
	[ -e "$sys/algorithm_params" ] || skip "the driver has no algorithm_params"
	stored_with level=1
	fast=$compr
	stored_with level=19
	[ "$compr" -lt $((fast * 99 / 100)) ] || fail "level 19 made $compr bytes of what level 1 made $fast of"
	ok zramctl "$dev" --size 16M --algorithm lz4 --algorithm-params 'level=3'
	complains 'failed to' "$dev" --size 16M --algorithm zstd --algorithm-params level=none
}

test_table_of_a_new_device() {
	disk 64M lz4
	columns NAME,DISKSIZE,ALGORITHM,STREAMS,MOUNTPOINT --bytes
	streams
	is "the table" "$columns" "$dev $((64 * MIB)) lz4${streams:+ $streams}"
	columns $COLUMNS_OF_MM_STAT --bytes
	is "the table" "$columns" "0 0 0 0 0 0 0"
}

test_table_of_a_full_device() {
	disk 64M lz4
	stores "$sys/mem_limit" 48M
	does open "$dev" direct
	does bulk 0 4096 mixed 1
	does discard $((1024 * PAGE)) $((256 * PAGE))
	does close
	mm_stat
	at_least "orig_data_size" "$orig" $((8 * MIB))
	at_least "same_pages" "$same" 1024
	columns $COLUMNS_OF_MM_STAT --bytes
	is "the table in bytes" "$columns" "$orig $compr $used $limit $used_max $same $compacted"
	columns COMP-RATIO
	is "the ratio" "$columns" "$(awk "BEGIN { printf \"%.4f\", $orig / $used }")"
	# Without --bytes, numbers have units.
	columns DISKSIZE,MEM-LIMIT
	is "the table for people" "$columns" '64M 48M'
}

test_output_formats() {
	disk 64M lz4
	add
	stores "$sys/disksize" 32M
	add
	# The table has only initialised disks.
	ok zramctl --noheadings --output NAME
	is "devices in the table" "$(sort "$TMP/out" | tr -d ' ' | tr '\n' ' ')" '/dev/zram0 /dev/zram1 '
	ok zramctl
	is "lines with the headings" "$(wc -l <"$TMP/out")" 3
	[[ $(<"$TMP/out") == 'NAME '*ALGORITHM*DISKSIZE*DATA*COMPR*TOTAL*STREAMS*MOUNTPOINT* ]] ||
		fail "the headings are '$(head -n 1 "$TMP/out")'"
	ok zramctl --output-all
	[[ $(head -n 1 "$TMP/out") == 'NAME '*MEM-LIMIT*MEM-USED*MIGRATED*COMP-RATIO* ]] ||
		fail "the headings of all columns are '$(head -n 1 "$TMP/out")'"
	is "lines of --output-all" "$(wc -l <"$TMP/out")" 3
	ok zramctl --raw --noheadings --bytes --output DISKSIZE,NAME /dev/zram1
	is "one line of a device that was named" "$(<"$TMP/out")" "$((32 * MIB)) /dev/zram1"
	ok zramctl -n -b -o +MEM-LIMIT --raw /dev/zram1
	[[ $(<"$TMP/out") == "/dev/zram1 "*" $((32 * MIB)) "* ]] || fail "with a column more: '$(<"$TMP/out")'"
	complains 'unknown column: NONSENSE' --output NONSENSE
}

test_mount_points() {
	disk 32M lz4
	ok mkswap "$dev"
	ok swapon "$dev"
	columns NAME,MOUNTPOINT
	is "the table" "$columns" "$dev [SWAP]"
	ok swapoff "$dev"
	disk 32M lz4
	ok mkfs.ext4 -q "$dev"
	mkdir -p "$TMP/here"
	ok mount "$dev" "$TMP/here"
	columns NAME,MOUNTPOINT
	is "the table" "$columns" "$dev $TMP/here"
	ok umount "$dev"
	columns NAME,MOUNTPOINT
	is "the table" "$columns" "$dev"
}

# zramctl --reset also removes the disk.
test_reset() {
	for id in 0 1 2 3; do
		finds zram$id --find --size 8M
	done
	ok zramctl --reset /dev/zram3
	devices
	is "devices" "$devices" 'zram0 zram1 zram2'
	ok zramctl --reset /dev/zram0 /dev/zram2
	devices
	is "devices" "$devices" zram1
	use 1
	is "disksize of the one that is left" "$(<"$sys/disksize")" $((8 * MIB))
}

test_reset_of_busy_devices() {
	finds zram0 --find --size 16M
	finds zram1 --find --size 16M
	use 0
	hold_open 100
	complains '/dev/zram0: failed to reset: Device or resource busy' --reset /dev/zram0
	is "disksize after a refused reset" "$(<"$sys/disksize")" $((16 * MIB))
	# zramctl resets the other disk nevertheless.
	complains '/dev/zram0: failed to reset' --reset /dev/zram0 /dev/zram1
	devices
	is "devices" "$devices" zram0
	complains '/dev/zram0: failed to reset' /dev/zram0 --size 8M
	is "disksize after a refused set-up" "$(<"$sys/disksize")" $((16 * MIB))
	release
	ok mkswap "$dev"
	ok swapon "$dev"
	complains 'Device or resource busy' --reset "$dev"
	[[ $(</proc/swaps) == *"$dev"* ]] || fail "$dev is no longer in use as swap"
	ok swapoff "$dev"
	eventually 10 zramctl --reset "$dev" 2>/dev/null || fail "$dev cannot be reset"
}

test_errors() {
	add
	complains 'failed to set algorithm' "$dev" --size 8M --algorithm nonsense
	is "disksize after an unknown algorithm" "$(<"$sys/disksize")" 0
	complains 'failed to parse size' "$dev" --size many
	complains 'failed to parse size' "$dev" --size 8Q
	# Sizes that are too small or too large.
	complains 'failed to set disksize' "$dev" --size 0
	is "disksize after an impossible size" "$(<"$sys/disksize")" 0
	complains 'failed to parse streams' "$dev" --size 8M --streams some
	not_ok zramctl /dev/zram7 --size 8M
	not_ok zramctl --reset /dev/zram7
	complains 'no device specified' --reset
	complains 'no device specified' --size 8M
	complains 'mutually exclusive' --find --reset /dev/zram0
	complains 'mutually exclusive' --find /dev/zram0
	# The disk still works.
	finds zram0 --find --size 8M
	does open "$dev" direct
	does bulk 0 256 mixed 1
	does bulkcheck 0 256 mixed 1
}

run_tests
