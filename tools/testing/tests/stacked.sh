#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Block devices on top of a zram device: a loop device with partitions, device mapper (linear, encrypted, LVM), and a
# mirror. Data written to the top device is read back, and a discard of the top device frees memory of the zram device.
#
# Guest: stock group=storage disk=1G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

mnt=$TMP/mnt
mkdir -p "$mnt"
# Guests have no udev that dmsetup could wait for.
export DM_DISABLE_UDEV=1
# LVM writes no backups of its metadata, and accepts zram as a type of disk.
LVM='activation { udev_sync=0 udev_rules=0 } backup { backup=0 archive=0 }
devices { use_devicesfile=0 types=[ "zram", 16 ] }'

# tidy: removes what a test left behind: the devices on top of the disks, then the disks.
tidy() {
	local where what
	while read -r where what _; do
		[[ $where != /dev/zram* && $where != /dev/loop* && $where != /dev/mapper/* && $where != /dev/md* ]] ||
			umount "$what"
	done </proc/mounts
	while read -r where _; do
		[[ $where != /dev/zram* && $where != /dev/loop* ]] || swapoff "$where"
	done </proc/swaps
	[ ! -e /dev/mapper/control ] || dmsetup remove_all --force >/dev/null
	[ ! -e /proc/mdstat ] || mdadm --stop --scan >/dev/null 2>&1
	[ ! -e /dev/loop-control ] || losetup --detach-all
	! loaded "$DRIVER" || hot_remove_all
}

# need_modules MODULE...: loads modules, and skips the test if the kernel lacks one.
need_modules() {
	local module
	for module in "$@"; do
		[ -d "/sys/module/${module//-/_}" ] || modprobe "$module" 2>/dev/null ||
			skip "this kernel has no $module"
	done
}

# stored: sets $stored to the number of bytes of data on all disks.
stored() {
	local path columns
	stored=0
	for path in /sys/block/zram*/mm_stat; do
		read -ra columns <"$path"
		stored=$((stored + columns[0]))
	done
}

# no_errors: no read or write of any disk may have failed.
no_errors() {
	local path columns
	for path in /sys/block/zram*/io_stat; do
		read -ra columns <"$path"
		is "failed reads, failed and invalid writes of $path" "${columns[*]:0:3}" '0 0 0'
	done
}

# check_data DEVICE PAGES: writes data of all kinds to the device, and reads it directly and through the page cache. A
# discard must free all of it.
check_data() {
	local top=$1 pages=$2 before
	sync
	stored
	before=$stored
	for mode in direct ''; do
		does open "$top" $mode
		does bulk 0 "$pages" mixed 3
		does write $((pages / 2)) 16 random 4
		does sync
		echo 3 >/proc/sys/vm/drop_caches
		does bulkcheck 0 $((pages / 2)) mixed 3
		does check $((pages / 2)) 16 random 4
		does bulkcheck $((pages / 2 + 16)) $((pages / 2 - 16)) mixed 3
		does close
	done
	stored
	# A few of these pages may have been in use before.
	at_least "bytes stored below $top" $((stored - before)) $(((pages - 64) * PAGE))
	ok blkdiscard --force --length $((pages * PAGE)) "$top"
	stored
	[ "$stored" -le $((before + 256 * 1024)) ] || fail "$stored bytes are stored after all of $top was discarded, and $before before it was written to"
}

# check_files DEVICE: makes a file system there, and checks its files after it was mounted again.
check_files() {
	ok mkfs.ext4 -q "$1" || return
	ok mount -o discard "$1" "$mnt" || return
	cp -r /usr/share/common-licenses "$mnt/text"
	cp /usr/bin/[b-c]* "$mnt/"
	(cd "$mnt" && find . -type f -exec sha256sum {} + >"$TMP/hashes")
	at_least "files" "$(wc -l <"$TMP/hashes")" 20
	ok umount "$mnt"
	same_files "$1"
}

same_files() {
	echo 3 >/proc/sys/vm/drop_caches
	ok mount "$1" "$mnt" || return
	(cd "$mnt" && sha256sum --quiet -c "$TMP/hashes") >"$TMP/differ" 2>&1 ||
		fail "files in $1 differ: $(head -n 3 "$TMP/differ")"
	ok umount "$mnt"
	ok e2fsck -fn "$1"
}

# The disk has no partitions, even with a partition table.
test_no_partitions() {
	disk 32M lz4
	ok sfdisk --no-reread --no-tell-kernel "$dev" <<<$'label: gpt\nsize=8M\nsize=8M'
	not_ok blockdev --rereadpt "$dev"
	not_ok partx --add "$dev"
	[ -z "$(echo "$sys"/zram*p*)" ] || [ ! -e "$sys/${dev##*/}p1" ] || fail "there is a partition"
	ok sfdisk --verify "$dev"
}

loop_with_partitions() {
	local loop number pages
	need_modules loop
	disk 160M lz4
	ok losetup --find --show --partscan "$@" "$dev" || exit 1
	loop=$(<"$TMP/out")
	ok sfdisk --wipe never "$loop" <<<$'label: gpt\nsize=64M\nsize=24M\nsize=48M' || exit 1
	for number in 1 2 3; do
		eventually 20 [ -b "${loop}p$number" ] || fail "${loop}p$number did not appear"
	done
	ok sfdisk --verify "$loop"
	check_files "${loop}p1"
	ok mkswap "${loop}p2"
	ok swapon "${loop}p2"
	pages=$("$(program swapcheck)" -m 12 -j 2 -p 1 | tail -n 1) || fail "swapcheck failed"
	[[ $pages == *' mismatches=0 '* ]] || fail "swapcheck reports '$pages'"
	ok swapoff "${loop}p2"
	check_data "${loop}p3" 4096
	# Another loop device finds all data on the disk.
	ok losetup --detach "$loop"
	ok losetup --find --show --partscan --read-only "$@" "$dev" || return
	loop=$(<"$TMP/out")
	eventually 20 [ -b "${loop}p1" ] || fail "the partitions did not come back"
	is "what is on the second partition" "$(blkid -p -o value -s TYPE "${loop}p2")" swap
	same_files_read_only "${loop}p1"
	ok losetup --detach "$loop"
	no_errors
}

same_files_read_only() {
	ok mount -o ro "$1" "$mnt" || return
	(cd "$mnt" && ok sha256sum --quiet -c "$TMP/hashes") || fail "files in $1 differ"
	ok umount "$mnt"
}

test_loop() {
	loop_with_partitions
}

test_loop_with_direct_io() {
	loop_with_partitions --direct-io=on --sector-size 4096
}

test_dm_linear() {
	local first second
	need_modules dm-mod
	disk 24M lz4
	first=$dev
	disk 24M zstd
	second=$dev
	# Half of each disk; the seam is at the end of neither.
	ok dmsetup create zr-linear <<<"0 24576 linear $first 16
24576 24576 linear $second 24504" || exit 1
	check_data /dev/mapper/zr-linear 6144
	check_files /dev/mapper/zr-linear
	# A disk with a device on top of it is busy.
	stores "$sys/reset" 1 EBUSY
	stores $CONTROL/hot_remove "$id" EBUSY
	ok dmsetup remove zr-linear
	no_errors
	stores "$sys/reset" 1
}

test_dm_crypt() {
	local key=$TMP/key
	need_modules dm-crypt
	disk 64M lz4
	printf 'a secret phrase' >"$key"
	ok cryptsetup luksFormat --batch-mode --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 \
		--sector-size 4096 "$dev" "$key" || exit 1
	ok cryptsetup open --allow-discards --key-file "$key" "$dev" zr-crypt || exit 1
	check_data /dev/mapper/zr-crypt 8192
	does open /dev/mapper/zr-crypt direct
	does bulk 0 2048 text 1
	does bulkcheck 0 2048 text 1
	does close
	# Encrypted data cannot be compressed.
	mm_stat
	at_least "huge_pages" "$huge" 2048
	check_files /dev/mapper/zr-crypt
	ok cryptsetup close zr-crypt
	ok cryptsetup open --allow-discards --key-file "$key" "$dev" zr-crypt || exit 1
	same_files /dev/mapper/zr-crypt
	ok cryptsetup close zr-crypt
	no_errors
}

lvm() {
	command lvm "$@" --config "$LVM"
}

test_lvm() {
	need_modules dm-mod dm-snapshot
	disk 96M lz4
	disk 96M zstd
	ok lvm pvcreate -q /dev/zram0 /dev/zram1 || exit 1
	ok lvm vgcreate -q --physicalextentsize 1M zr /dev/zram0 /dev/zram1 || exit 1
	ok lvm lvcreate -q --yes --name striped --stripes 2 --size 32M zr
	ok lvm lvcreate -q --yes --name files --size 64M zr
	check_data /dev/mapper/zr-striped 8192
	check_files /dev/mapper/zr-files
	# A snapshot keeps the old data while the volume changes.
	ok lvm lvcreate -q --yes --snapshot --name before --size 40M zr/files
	ok mount /dev/mapper/zr-files "$mnt"
	rm -r "$mnt/text"
	ok dd if=/dev/urandom of="$mnt/noise" bs=1M count=8 conv=fsync status=none
	ok umount "$mnt"
	same_files_read_only /dev/mapper/zr-before
	ok lvm lvremove -q --yes zr/before
	ok lvm lvextend -q --size 80M zr/files
	ok e2fsck -fp /dev/mapper/zr-files
	ok resize2fs /dev/mapper/zr-files
	ok e2fsck -fn /dev/mapper/zr-files
	# One more disk joins the volume group.
	disk 128M lz4
	ok lvm pvcreate -q /dev/zram2
	ok lvm vgextend -q zr /dev/zram2
	ok lvm vgchange -q --activate n zr
	ok lvm vgchange -q --activate y zr
	ok e2fsck -fn /dev/mapper/zr-files
	ok lvm vgremove -q --yes zr
	ok lvm pvremove -q --yes /dev/zram0 /dev/zram1 /dev/zram2
	no_errors
}

synced() {
	[[ $(</proc/mdstat) == *'[UU]'* && $(</sys/block/md0/md/sync_action) == idle ]]
}

# One half of a mirror fails, and is rebuilt.
test_raid1() {
	need_modules raid1
	disk 32M lz4
	disk 32M zstd
	ok mdadm --create /dev/md0 --run --level=1 --raid-devices=2 --metadata=1.2 --bitmap=none \
		/dev/zram0 /dev/zram1 || exit 1
	eventually 20 [ -b /dev/md0 ] || fail "/dev/md0 did not appear"
	eventually 120 synced || fail "the mirror did not come to rest: $(</proc/mdstat)"
	check_data /dev/md0 4096
	does open /dev/md0 direct
	does bulk 0 4096 mixed 7
	ok mdadm /dev/md0 --fail /dev/zram0
	eventually 20 mdadm -q /dev/md0 --remove /dev/zram0 >"$TMP/out" 2>&1 || fail "zram0 stays in the mirror"
	does write 64 64 text 8
	use 0
	eventually 20 can_be_reset || fail "zram0 cannot be reset: $errno"
	stores "$sys/disksize" 32M
	ok mdadm /dev/md0 --add /dev/zram0
	eventually 120 synced || fail "the mirror was not made anew: $(</proc/mdstat)"
	echo check >/sys/block/md0/md/sync_action
	eventually 120 synced || fail "the mirror was not checked"
	is "sectors that differ" "$(</sys/block/md0/md/mismatch_cnt)" 0
	ok mdadm /dev/md0 --fail /dev/zram1
	does bulkcheck 0 64 mixed 7
	does bulkcheck 64 64 text 8
	does bulkcheck 128 3968 mixed 7
	does close
	ok mdadm --stop /dev/md0
	no_errors
}

can_be_reset() {
	put "$sys/reset" 1
	[ "$errno" = OK ]
}

# One disk is the backing device of another.
test_zram_on_zram() {
	disk 32M zstd
	add
	[ -e "$sys/writeback" ] || skip "the driver does not write back"
	stores "$sys/backing_dev" /dev/zram0
	stores "$sys/disksize" 32M
	does open "$dev" direct
	does bulk 0 4096 mixed 1
	stores "$sys/idle" all
	stores "$sys/writeback" idle
	read -ra stat <"$sys/bd_stat"
	at_least "pages written back" "${stat[0]}" 2000
	stored
	at_least "bytes stored in both" "$stored" $((4096 * PAGE))
	stores /sys/block/zram0/reset 1 EBUSY
	does bulkcheck 0 4096 mixed 1
	read -ra stat <"$sys/bd_stat"
	at_least "pages read back" "${stat[1]}" 2000
	does close
	no_errors
	stores "$sys/reset" 1
	stores /sys/block/zram0/reset 1
}

run_tests
