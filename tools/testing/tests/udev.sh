#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: udev.sh [rounds=NUMBER] [c_rounds=NUMBER]
#
# Adds, uses, resets and removes disks, without a pause and without a second try, while systemd-udevd probes each of them
# by the rules of the distribution, and blkid in a loop. No step may fail. C zram does the same after that, for
# comparison: how often it was busy is printed.
#
# Needs a guest that was booted with udev/ (vm --systemd udev).
#
# Guest: stock memory=512M systemd=udev seconds=600

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

[ -n "${ZR_SYSTEM:-}" ] || {
	echo "1..0 # SKIP this guest did not boot systemd"
	exit "$KSFT_SKIP"
}

rounds=50 c_rounds=15
for argument; do
	declare "$argument"
done

# step NAME COMMAND...: counts a failure of the command as one of that step.
step() {
	local name=$1
	shift
	"$@" >"$TMP/out" 2>&1 && return
	failures[$name]=$((${failures[$name]:-0} + 1))
	[ -n "${first:-}" ] || first="$name: $(<"$TMP/out")${errno:+ $errno}"
	return 1
}

stored() {
	local from
	now
	from=$now
	put "$@"
	now
	[ $((now - from)) -le "$longest" ] || longest=$((now - from))
	[ "$errno" = OK ]
}

probe() {
	while [ ! -e "$TMP/stop" ]; do
		blkid -p /dev/zram*
	done >/dev/null 2>&1
}

# run_rounds: does all of it, and sets failures[STEP] to how often the step failed, and first to the first message.
run_rounds() {
	local n pid from
	declare -gA failures=()
	first='' longest=0
	rm -f "$TMP/stop"
	probe &
	pid=$!
	now
	from=$now
	for ((n = 0; n < rounds; n++)); do
		id=$(<$CONTROL/hot_add)
		sys=/sys/block/zram$id
		dev=/dev/zram$id
		# As zramctl does with a new disk.
		step 'reset of a new disk' stored "$sys/reset" 1
		step disksize stored "$sys/disksize" 16M
		step mkswap mkswap "$dev"
		if step swapon swapon "$dev"; then
			step 'refusal of swap' not stored "$sys/reset" 1
			step swapoff swapoff "$dev"
		fi
		step reset stored "$sys/reset" 1
		step disksize stored "$sys/disksize" 16M
		step hot_remove stored $CONTROL/hot_remove "$id"
		# What has failed must not fail the next round.
		eventually 10 removed_all || fail "a disk cannot be removed"
	done
	now
	: >"$TMP/stop"
	wait $pid
	took=$((now - from))
}

not() {
	! "$@"
}

removed_all() {
	[ ! -e "$sys" ] || removed "$id"
}

# report: notes how often each step failed.
report() {
	local name text=
	for name in "${!failures[@]}"; do
		text+=", $name ${failures[$name]}"
	done
	text=${text:-, none}
	note "$rounds rounds with $1 in $((took / 1000)) s, failures: ${text#, }${first:+ (the first: $first)}"
	note "the longest reset or removal took $longest ms"
}

test_udev_probes_all_disks() {
	ok systemctl is-active systemd-udevd
	run_rounds
	report "$DRIVER"
	is "the number of steps that failed" "${#failures[@]}" 0
}

test_c_zram_for_comparison() {
	[ "$DRIVER" != zram ] || skip "the driver under test is C zram"
	unload
	# The module itself: modprobe would load zram_rs for it.
	ok modprobe --ignore-install zram num_devices=0
	rounds=$c_rounds
	run_rounds
	report 'C zram'
	ok eventually 30 rmmod zram
}

run_tests
