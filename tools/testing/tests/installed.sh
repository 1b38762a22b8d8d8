#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: installed.sh TEST...
#
# An installed system with zram-generator and zram-rs-dkms, or after the removal of that package: which driver the swap
# device uses, and what an administrator can change about that. Runs the tests that are named (without test_), in that
# order: tools/checks/check-package knows which tests suit which stage, and makes the system.
#
# Needs a guest that was booted from that system with installed/ (vm --systemd installed --image FILE).
#
# Guest: none (checks/check-package boots it)

TESTS="$*"
# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

[ -n "${ZR_SYSTEM:-}" ] || {
	echo "1..0 # SKIP this guest did not boot systemd"
	exit "$KSFT_SKIP"
}

MIB=$((1 << 20))
RELEASE=$(uname -r)

# The disks belong to systemd and stay.
tidy() {
	:
}

unload() {
	:
}

# driver_is NAME: this driver must be loaded, and the other one must not.
driver_is() {
	loaded "$1" || fail "$1 is not loaded"
	local other=zram
	[ "$1" = zram_rs ] || other=zram_rs
	! loaded $other || fail "$other is loaded"
}

swap_is_on() {
	driver_is "$1"
	is "the state of dev-zram0.swap" "$(systemctl is-active dev-zram0.swap)" active
	is "swapon --show" "$(swapon --show=NAME,SIZE,PRIO --bytes --noheadings --raw)" "/dev/zram0 $((256 * MIB - PAGE)) 100"
	is "zramctl" "$(zramctl --noheadings --raw --bytes --output NAME,ALGORITHM,DISKSIZE,MOUNTPOINT)" \
		"/dev/zram0 zstd $((256 * MIB)) [SWAP]"
}

# zram-generator has set up the swap.
test_swap_after_boot() {
	is "systemctl is-system-running" "$ZR_SYSTEM" running
	swap_is_on "$DRIVER"
}

test_swap_is_used() {
	local key value available report
	stores /proc/sys/vm/min_free_kbytes 16384
	while read -r key value _; do
		[ "$key" != MemAvailable: ] || available=$((value / 1024))
	done </proc/meminfo
	report=$("$(program swapcheck)" -m $((available * 11 / 10)) -j 2 -p 1 | tail -n 1) || fail "swapcheck failed"
	note "$report"
	[[ $report == *' mismatches=0 '* ]] || fail "swapcheck reports '$report'"
	use 0
	read -ra stat <"$sys/stat"
	at_least "MiB written to swap" $((stat[6] / 2048)) $((available / 20))
}

# modprobe loads the module that DKMS has built, of the package's version.
test_module_is_of_the_package() {
	local file version
	file=$(modinfo -n zram_rs)
	[[ $file == "/lib/modules/$RELEASE/updates/dkms/zram-rs.ko"* ]] || fail "modprobe's module is $file"
	version=$(dpkg-query -W -f '${Version}' zram-rs-dkms)
	is "dkms status" "$(dkms status)" "zram-rs/$version, $RELEASE, x86_64: installed"
	is "the signer of the module" "$(modinfo -F signer zram_rs)" "DKMS module signing key"
}

stop_swap() {
	ok udevadm settle
	ok systemctl stop systemd-zram-setup@zram0.service
	ok udevadm settle
	ok modprobe -r zram
	! loaded zram || fail "zram is still loaded"
	! loaded zram_rs || fail "zram_rs is still loaded"
}

start_swap() {
	ok systemctl reset-failed
	ok systemctl daemon-reload
	ok systemctl start dev-zram0.swap
}

# The administrator chooses the kernel's own zram, although the package is installed.
test_choice_of_the_other_driver() {
	stop_swap
	ln -s /dev/null /etc/modprobe.d/zram-rs.conf
	start_swap
	swap_is_on zram
	stop_swap
	ok modprobe zram_rs
	driver_is zram_rs
	# udev opens the new disk for a moment.
	ok udevadm settle
	ok modprobe -r zram_rs
	rm /etc/modprobe.d/zram-rs.conf
	start_swap
	swap_is_on zram_rs
}

# A kernel for which the module was not built.
test_kernel_without_the_module() {
	local file
	stop_swap
	file=$(modinfo -n zram_rs)
	mv "$file" "$TMP/module"
	ok depmod
	start_swap
	swap_is_on zram
	not_ok modprobe zram_rs
	# A second request by name succeeds, too.
	ok modprobe zram
	stop_swap
	mv "$TMP/module" "$file"
	ok depmod
	start_swap
	swap_is_on zram_rs
}

# As under Secure Boot, if the firmware does not know the key with which DKMS has signed the module. This cannot be
# undone, so that no other test may follow.
test_only_modules_of_the_distribution() {
	stop_swap
	echo Y >/sys/module/module/parameters/sig_enforce
	start_swap
	swap_is_on zram
	not_ok modprobe zram_rs
	[[ $(<"$TMP/out") == *rejected* ]] || fail "modprobe zram_rs says '$(<"$TMP/out")'"
}

# As in zram-generator's documentation: a restart of the unit, while no other process has the disk open.
test_restart_of_the_unit() {
	for _ in 1 2 3; do
		ok systemctl reset-failed
		ok systemctl restart systemd-zram-setup@zram0.service
		[ "$(systemctl is-failed systemd-zram-setup@zram0.service)" != failed ] ||
			note "$(journalctl -b -n 60 --no-pager)"
		eventually 60 systemctl -q is-active dev-zram0.swap || fail "swap did not come back"
	done
	swap_is_on "$DRIVER"
}

# As in install.rst. The swap stays in use.
test_purge() {
	local left
	ok apt purge zram-rs-dkms
	note "$(grep -c . "$TMP/out") lines of output"
	swap_is_on zram_rs
	left=$(find / -xdev \( -name '*zram-rs*' -o -name '*zram_rs*' \) -not -path '/zr/*' -not -path '/root/*' \
		-not -path '/proc/*' -not -path '/sys/*' -not -path '/var/cache/apt/*' -not -path "$TMP*")
	is "what is left of the package" "$left" ''
	is "dkms status" "$(dkms status)" ''
	not_ok modinfo zram_rs
}

test_no_unit_has_failed() {
	# udev must have ended before the shutdown.
	ok udevadm settle --timeout=60
	is "systemctl --failed" "$(systemctl --failed --no-legend --plain)" ''
	is "systemctl is-system-running" "$(systemctl is-system-running)" running
}

run_tests
