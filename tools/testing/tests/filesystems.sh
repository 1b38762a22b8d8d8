#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# File systems on a device, with all forms of discard: by mkfs, when files are removed, and by fstrim. Each time, the
# memory is freed, the remaining files are unchanged, and fsck finds no error.
#
# Guest: stock group=storage disk=1G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

MIB=$((1 << 20))
mnt=$TMP/mnt
mkdir -p "$mnt"

# hash_files: saves the checksums of all files. same_files WHEN: they must not have changed.
hash_files() {
	(cd "$mnt" && find . -type f -exec sha256sum {} + >"$TMP/hashes")
	at_least "files" "$(wc -l <"$TMP/hashes")" 20
}

same_files() {
	echo 3 >/proc/sys/vm/drop_caches
	(cd "$mnt" && sha256sum --quiet -c "$TMP/hashes") >"$TMP/differ" 2>&1 ||
		fail "files differ $1: $(head -n 3 "$TMP/differ")"
}

write_noise() {
	head -c 24M /dev/urandom >"$mnt/noise"
	sync
	mm_stat
	full=$used
}

# noise_is_freed: succeeds if the memory of the noise is free. (File systems free removed files in the background.)
noise_is_freed() {
	sync
	mm_stat
	[ "$used" -lt $((full - 20 * MIB)) ]
}

trim_frees_noise() {
	sync
	ok fstrim "$mnt"
	noise_is_freed
}

# use_file_system NAME CHECK...: makes, uses and checks a file system. CHECK is the command that checks it.
use_file_system() {
	local name=$1 before full
	shift
	modprobe "$name" 2>/dev/null
	grep -qw "$name" /proc/filesystems || skip "this kernel has no $name"
	disk 384M lz4
	# mkfs must free the old data of the disk.
	does open "$dev" direct
	for before in 8 16 24 32 56 80; do
		does bulk $((before * 1024)) 2048 random 1
	done
	does close
	mm_stat
	at_least "orig_data_size before" "$orig" $((48 * MIB))
	ok "mkfs.$name" -q "$dev" || exit 1
	mm_stat
	note "mkfs.$name left $((orig >> 10)) KiB in $((used >> 10)) KiB"
	[ "$orig" -lt $((16 * MIB)) ] || fail "mkfs.$name left $orig bytes"
	io_stat
	at_least "notify_free after mkfs" "$notify_free" 12288

	ok mount -o discard "$dev" "$mnt" || exit 1
	cp /usr/bin/[b-d]* "$mnt/"
	cp -r /usr/share/common-licenses "$mnt/text"
	hash_files
	write_noise
	same_files "after they were written"
	at_least "mem_used_total" "$full" $((26 * MIB))
	io_stat
	before=$notify_free
	rm "$mnt/noise"
	eventually 120 noise_is_freed || fail "$used bytes of $full are in use after files were removed"
	note "removing 24 MiB left $((used >> 10)) KiB of $((full >> 10)) KiB"
	io_stat
	at_least "pages that became free" $((notify_free - before)) 5120

	# Without discard, the memory stays in use until fstrim.
	ok umount "$mnt"
	ok mount -o nodiscard "$dev" "$mnt"
	write_noise
	rm "$mnt/noise"
	ok umount "$mnt"
	ok mount -o nodiscard "$dev" "$mnt"
	! noise_is_freed || fail "without discard, and without fstrim, only $used bytes of $full are in use"
	io_stat
	before=$notify_free
	eventually 120 trim_frees_noise || fail "$used bytes of $full are in use after fstrim"
	note "fstrim left $((used >> 10)) KiB of $((full >> 10)) KiB"
	io_stat
	at_least "pages that fstrim freed" $((notify_free - before)) 5120
	same_files "after fstrim"

	ok fio --name=verify --directory="$mnt" --rw=randwrite --bs=4k --size=4M --direct=1 --verify=crc32c \
		--do_verify=1 --verify_fatal=1 --ioengine=psync --numjobs=2 --group_reporting --unlink=1
	ok umount "$mnt"
	ok "$@" "$dev"
	ok mount -o ro "$dev" "$mnt"
	same_files "after they were mounted again"
	ok umount "$mnt"
	no_failed_io
	ok blkdiscard --force "$dev"
	mm_stat
	is "orig_data_size after blkdiscard" "$orig" 0
	eventually 10 pool_is_empty || fail "$used bytes are in use after blkdiscard"
}

test_ext4() {
	use_file_system ext4 e2fsck -fn
}

test_xfs() {
	use_file_system xfs xfs_repair -n
}

test_btrfs() {
	use_file_system btrfs btrfs check
}

# A file system that needs more memory than mem_limit allows gets errors for its writes, and works again after that.
test_over_the_limit() {
	disk 128M lz4
	ok mkfs.ext4 -q "$dev"
	ok mount -o discard "$dev" "$mnt"
	cp -r /usr/share/common-licenses "$mnt/text"
	sync
	hash_files
	stores "$sys/mem_limit" 16M
	not_ok dd if=/dev/urandom of="$mnt/noise" bs=1M count=64 oflag=direct status=none
	[[ $(<"$TMP/out") == *'Input/output error'* || $(<"$TMP/out") == *'No space left'* ]] ||
		fail "dd says '$(<"$TMP/out")'"
	io_stat
	at_least "failed_writes" "$failed_writes" 1
	is "failed_reads" "$failed_reads" 0
	stores "$sys/mem_limit" 0
	same_files "after the device was full"
	rm "$mnt/noise"
	ok umount "$mnt"
	ok e2fsck -fy "$dev"
	ok mount "$dev" "$mnt"
	same_files "after e2fsck"
	ok umount "$mnt"
}

run_tests
