#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# zram-generator under systemd, both as the distribution ships them: the devices of
# generator/etc/systemd/zram-generator.conf exist after the boot, are in use, and exist again after a restart of their
# units. (guest/shutdown-end checks that they are gone after the shutdown.)
#
# Needs a guest that was booted with generator/ (vm --systemd generator), and a disk.
#
# Guest: stock memory=512M disk=1G systemd=generator

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

[ -n "${ZR_SYSTEM:-}" ] || {
	echo "1..0 # SKIP this guest did not boot systemd"
	exit "$KSFT_SKIP"
}

MIB=$((1 << 20))

# The disks belong to systemd and stay.
tidy() {
	:
}

unload() {
	:
}

# The swap code allocates memory to swap out, see swappressure.sh.
stores /proc/sys/vm/min_free_kbytes 16384

# active UNIT...: all of these units must be active.
active() {
	local unit
	for unit in "$@"; do
		is "the state of $unit" "$(systemctl is-active "$unit")" active
	done
}

# without_limit SUBCOMMAND UNIT...: runs systemctl without the limit for the number of starts.
without_limit() {
	# zram-generator resets a disk just once, and udev opens it after swapoff and umount. C zram is busy then.
	[ "$DRIVER" != zram ] || ok udevadm settle --timeout=60
	ok systemctl reset-failed
	ok systemctl "$@"
}

# swap_is SIZE PRIORITY: the only swap is zram0, with SIZE MiB including the header.
swap_is() {
	is "swapon --show" "$(swapon --show=NAME,TYPE,SIZE,PRIO --bytes --noheadings --raw)" \
		"/dev/zram0 partition $(($1 * MIB - PAGE)) $2"
}

# table: sets $table to zramctl's table of all disks, in the order of their numbers.
table() {
	table=$(zramctl --noheadings --raw --bytes --output NAME,ALGORITHM,DISKSIZE,MOUNTPOINT | sort | tr '\n' ' ')
}

memory() {
	local key value
	while read -r key value _; do
		[ "$key" != "$1:" ] || echo $((value / 1024))
	done </proc/meminfo
}

test_up_after_boot() {
	local other=zram
	is "systemctl is-system-running" "$ZR_SYSTEM" running
	active systemd-zram-setup@zram{0,1,2}.service dev-zram0.swap var-scratch.mount run-fast.mount
	[ "$DRIVER" = zram_rs ] || other=zram_rs
	loaded "$DRIVER" || fail "$DRIVER is not loaded"
	! loaded $other || fail "$other is loaded"
	swap_is 768 180
	table
	is "zramctl" "$table" "/dev/zram0 zstd $((768 * MIB)) [SWAP] /dev/zram1 lz4 $((192 * MIB)) /var/scratch /dev/zram2 \
$(sed 's/.*\[\(.*\)\].*/\1/' /sys/block/zram2/comp_algorithm) $((384 * MIB)) /run/fast "
	is "the file system on zram1" "$(findmnt -n -r -o FSTYPE,SOURCE /var/scratch)" 'ext4 /dev/zram1'
	is "the file system on zram2" "$(findmnt -n -r -o FSTYPE,SOURCE /run/fast)" 'xfs /dev/zram2'
	is "the backing device of zram0" "$(</sys/block/zram0/backing_dev)" "${ZR_DISKS%% *}"
	use 2
	mm_stat
	is "the limit of zram2" "$limit" $((128 * MIB))
	systemctl --no-pager status 'systemd-zram-setup@*' dev-zram0.swap >"$TMP/status" ||
		fail "systemctl status: $(<"$TMP/status")"
	! grep -i 'warning\|fail' "$TMP/status" || fail "systemctl status tells of trouble: $(<"$TMP/status")"
}

# The options that zram-generator gives to systemd: discard, and names.
test_as_configured() {
	local label
	for label in 'zram0 swap' 'zram1 ext4' 'zram2 xfs'; do
		is "what is on ${label% *}" "$(blkid -p -o value -s LABEL -s TYPE "/dev/${label% *}" | tr '\n' ' ')" "$label "
	done
	for label in /var/scratch /run/fast; do
		[[ ,$(findmnt -n -o OPTIONS $label), == *,discard,* ]] || fail "$label is not mounted with discard"
	done
	[[ $(systemctl show -P Options dev-zram0.swap) == discard ]] || fail "swap is not used with discard"
}

test_swap_under_pressure() {
	local available report
	use 0
	available=$(memory MemAvailable)
	report=$("$(program swapcheck)" -m $((available * 13 / 10)) -j 2 -p 1 | tail -n 1) ||
		fail "swapcheck failed"
	note "$report"
	[[ $report == *' mismatches=0 '* ]] || fail "swapcheck reports '$report'"
	read -ra stat <"$sys/stat"
	at_least "MiB written to swap" $((stat[6] / 2048)) $((available * 3 / 10))
	at_least "MiB read from swap" $((stat[2] / 2048)) $((available * 3 / 10))
	no_failed_io
	active dev-zram0.swap
}

said() {
	grep -q "$1" "$TMP/report"
}

test_writeback() {
	local pid report cold
	use 0
	bd_stat
	is "blocks in use before" "$bd_count" 0
	: >"$TMP/report"
	"$(program swapcheck)" -m 64 -j 2 -w "$TMP/go" >"$TMP/report" &
	pid=$!
	eventually 300 said 'waiting for' || fail "the memory was not filled"
	[[ $(<"$TMP/report") =~ cold=([0-9]+), ]] && cold=${BASH_REMATCH[1]}
	stores "$sys/idle" all
	: >"$TMP/go"
	eventually 300 said 'one half is in use' || fail "one half was not used"
	stores "$sys/writeback" idle
	bd_stat
	# Half of the pages of swapcheck is idle, and a quarter of these is same-filled and is not written back. There may
	# also be pages of daemons that were swapped out during the last test.
	at_least "cold pages" "$cold" 6000
	at_least "pages on the backing device" "$bd_count" "$cold"
	rm "$TMP/go"
	wait $pid || fail "swapcheck ended with $?"
	report=$(tail -n 1 "$TMP/report")
	note "$bd_count pages were on the disk, $cold of them cold; $report"
	[[ $report == *' mismatches=0 '* ]] || fail "swapcheck reports '$report'"
	bd_stat
	at_least "pages read from the backing device" "$bd_reads" "$cold"
	io_stat
	is "failed_reads" "$failed_reads" 0
}

fill() {
	mkdir -p "$1/files"
	cp -r /usr/lib/udev /usr/lib/modprobe.d /etc "$1/files/" || fail "$1 takes no files"
	head -c 4M /dev/urandom >"$1/files/noise"
	(cd "$1" && find . -type f -exec sha256sum {} + >"$TMP/hashes")
	at_least "files in $1" "$(wc -l <"$TMP/hashes")" 100
}

# inactive UNIT...: all of these units must become inactive; one unit stops another.
inactive() {
	local unit
	for unit in "$@"; do
		eventually 60 stopped "$unit" || fail "$unit is still $(systemctl is-active "$unit")"
	done
}

stopped() {
	[ "$(systemctl is-active "$1")" = inactive ]
}

# trimmed DIRECTORY BYTES: succeeds if fewer bytes are in use. (A file system frees removed files in the background.)
trimmed() {
	sync
	ok fstrim "$1"
	mm_stat
	[ "$used" -lt "$2" ]
}

# zram-generator binds the disk to the mount unit: a stop of that unit resets the disk.
test_file_systems() {
	local where unit before
	for where in /var/scratch:1 /run/fast:2; do
		use "${where#*:}"
		where=${where%:*}
		fill "$where"
		sync
		mm_stat
		at_least "orig_data_size" "$orig" $((4 * MIB))
		at_least "mem_used_total" "$used" $((4 * MIB))
		before=$used
		echo 3 >/proc/sys/vm/drop_caches
		(cd "$where" && ok sha256sum --quiet -c "$TMP/hashes") || fail "files in $where differ"
		rm -r "$where/files"
		eventually 60 trimmed "$where" $((before / 2)) || fail "$used bytes of $before are in use after fstrim"
		: >"$where/old"
		unit=$(systemd-escape --path --suffix=mount "$where")
		without_limit stop "$unit"
		inactive "$unit" "systemd-zram-setup@zram$id.service"
		is "disksize of zram$id after $unit was stopped" "$(<"$sys/disksize")" 0
		ok systemctl start "$unit"
		active "$unit" "systemd-zram-setup@zram$id.service"
		[ ! -e "$where/old" ] || fail "the file system on zram$id is still the old one"
		is "what is mounted on $where" "$(findmnt -n -r -o SOURCE "$where")" "$dev"
	done
}

test_restart_of_the_swap() {
	use 0
	without_limit restart systemd-zram-setup@zram0.service
	active systemd-zram-setup@zram0.service
	eventually 60 systemctl -q is-active dev-zram0.swap || fail "swap did not come back"
	swap_is 768 180
	is "the backing device of zram0" "$(<"$sys/backing_dev")" "${ZR_DISKS%% *}"
	bd_stat
	is "bd_stat of a device that was reset" "$bd_count $bd_reads $bd_writes" "0 0 0"
	mm_stat
	[ "$orig" -le $((2 * PAGE)) ] || fail "$orig bytes are stored after the restart"
}

test_restart_with_another_configuration() {
	local config=/etc/systemd/zram-generator.conf
	cp $config "$TMP/config"
	printf '%s\n' '[zram0]' 'zram-size = 64' 'compression-algorithm = lz4' 'swap-priority = 7' >$config
	sed -n '/^\[zram1/,$p' "$TMP/config" >>$config
	use 0
	without_limit stop systemd-zram-setup@zram0.service
	inactive systemd-zram-setup@zram0.service dev-zram0.swap
	ok systemctl daemon-reload
	ok systemctl start dev-zram0.swap
	swap_is 64 7
	[[ $(<"$sys/comp_algorithm") == *'[lz4]'* ]] || fail "the algorithm is $(<"$sys/comp_algorithm")"
	is "the backing device of zram0" "$(<"$sys/backing_dev")" none
	cp "$TMP/config" $config
	without_limit stop systemd-zram-setup@zram0.service
	inactive systemd-zram-setup@zram0.service dev-zram0.swap
	ok systemctl daemon-reload
	ok systemctl start dev-zram0.swap
	swap_is 768 180
}

# A restart of the disk's unit makes a new file system.
test_restart_of_a_file_system() {
	: >/var/scratch/old
	without_limit restart systemd-zram-setup@zram1.service
	eventually 60 systemctl -q is-active var-scratch.mount || fail "/var/scratch did not come back"
	[ ! -e /var/scratch/old ] || fail "the file system is still the old one"
	is "the file system on zram1" "$(findmnt -n -r -o FSTYPE,SOURCE /var/scratch)" 'ext4 /dev/zram1'
}

devices() {
	devices=$(cd /sys/block && echo zram*)
}

# An open disk holds the module, and udev opens a new disk for a moment.
unload_zram() {
	ok udevadm settle
	ok modprobe -r zram
}

# All names of the module load this driver. In the end, zram-generator loads it.
test_modprobe_zram() {
	local other=zram
	[ "$DRIVER" = zram_rs ] || other=zram_rs
	without_limit stop systemd-zram-setup@zram{0,1,2}.service
	inactive systemd-zram-setup@zram{0,1,2}.service
	for id in 0 1 2; do
		is "disksize of zram$id after its unit was stopped" "$(</sys/block/zram$id/disksize)" 0
	done
	is "swap after the units were stopped" "$(swapon --show)" ''
	unload_zram
	! loaded "$DRIVER" || fail "modprobe -r zram did not remove $DRIVER"
	ok modprobe zram num_devices=3
	loaded "$DRIVER" || fail "modprobe zram did not load $DRIVER"
	devices
	is "devices after 'modprobe zram num_devices=3'" "$devices" 'zram0 zram1 zram2'
	ok modprobe zram
	unload_zram
	echo 'options zram num_devices=2' >/etc/modprobe.d/devices.conf
	ok systemctl restart systemd-modules-load.service
	loaded "$DRIVER" || fail "systemd-modules-load did not load $DRIVER"
	devices
	is "devices after 'options zram num_devices=2'" "$devices" 'zram0 zram1'
	rm /etc/modprobe.d/devices.conf
	unload_zram
	ok systemctl daemon-reload
	loaded "$DRIVER" || fail "zram-generator did not load $DRIVER"
	! loaded $other || fail "$other is loaded"
	ok systemctl start dev-zram0.swap var-scratch.mount run-fast.mount
	active systemd-zram-setup@zram{0,1,2}.service dev-zram0.swap var-scratch.mount run-fast.mount
	swap_is 768 180
}

test_no_unit_has_failed() {
	is "systemctl --failed" "$(systemctl --failed --no-legend --plain)" ''
	is "systemctl is-system-running" "$(systemctl is-system-running)" running
}

run_tests
