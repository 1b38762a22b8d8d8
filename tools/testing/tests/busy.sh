#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Reset and removal of a disk that is open. Those who share it get a moment to close it, as udev and blkid do; an
# exclusive user makes both fail at once; a signal ends the wait; and a failure leaves all as it was.
#
# Times are lower limits, or the best of several tries: the guest may have a busy neighbour.
#
# Guest: uml-debug group=basic quick
# Guest: stock group=basic memory=2G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

[ "$DRIVER" != zram ] || {
	echo "1..0 # SKIP C zram does not wait for anything"
	exit "$KSFT_SKIP"
}

# timed FILE VALUE: like put; sets $took to the milliseconds that it took.
timed() {
	local from
	now
	from=$now
	put "$@"
	now
	took=$((now - from))
}

# slowly FILE VALUE: the write must return EBUSY, after the time that openers get.
slowly() {
	timed "$@"
	is "the result of 'echo $2 > $1'" "$errno" EBUSY
	at_least "the milliseconds that 'echo $2 > $1' took" $took 1000
}

# at_once FILE VALUE: the write must return EBUSY, and in one of five tries without a wait.
at_once() {
	local best=1000
	for _ in 1 2 3 4 5; do
		timed "$@"
		is "the result of 'echo $2 > $1'" "$errno" EBUSY
		[ $took -ge $best ] || best=$took
	done
	[ $best -lt 100 ] || fail "'echo $2 > $1' took $best ms, which should be none"
}

# both HOW: neither reset nor removal must succeed.
both() {
	"$1" "$sys/reset" 1
	"$1" $CONTROL/hot_remove "$id"
}

# ready: makes a disk with data; unchanged: it has them still, and all of its files and settings.
ready() {
	disk 16M lz4
	stores "$sys/mem_limit" 8M
	does open "$dev" direct
	does bulk 0 256 mixed 1
	does close
}

unchanged() {
	[ ! -d /sys/kernel/debug/zram ] || [ -e "/sys/kernel/debug/zram/zram$id/block_state" ] ||
		fail "zram$id has no block_state any more"
	mm_stat
	is "the limit after that" "$limit" $((8 << 20))
	does open "$dev" direct
	does bulkcheck 0 256 mixed 1
	does close
}

test_a_device_that_stays_open() {
	ready
	exec 7<"$dev"
	both slowly
	exec 7<&-
	exec 7<>"$dev"
	both slowly
	exec 7<&-
	unchanged
	stores "$sys/reset" 1
	remove
}

# exclusively FILE: opens the disk with O_EXCL, makes the file, and closes the disk when the file is gone.
exclusively() {
	perl -MFcntl -e '
		my ($disk, $file) = @ARGV;
		sysopen(DISK, $disk, O_RDONLY | O_EXCL) or die "$disk: $!";
		open(FILE, ">", $file);
		select(undef, undef, undef, 0.05) while -e $file;' "$dev" "$1"
}

test_an_exclusive_user() {
	local pid
	ready
	exclusively "$TMP/user" &
	pid=$!
	eventually 20 [ -e "$TMP/user" ] || fail "the exclusive user does not open $dev"
	both at_once
	# Beside others.
	exec 7<"$dev"
	both at_once
	rm "$TMP/user"
	wait $pid || fail "the exclusive user failed"
	both slowly
	exec 7<&-
	unchanged
	stores "$sys/reset" 1
	stores "$sys/disksize" 16M
	ok mkswap "$dev"
	ok swapon "$dev" || return
	both at_once
	ok swapoff "$dev"
	stores "$sys/reset" 1
	stores "$sys/disksize" 16M
	ok mke2fs -q -t ext4 -O ^has_journal "$dev"
	mkdir -p "$TMP/mnt"
	ok mount "$dev" "$TMP/mnt" || return
	both at_once
	ok umount "$TMP/mnt"
	remove
}

# opens_all_the_time: opens and closes the disk until $TMP/stop exists.
opens_all_the_time() {
	while [ ! -e "$TMP/stop" ]; do
		: <"$dev"
	done 2>/dev/null
}

test_openers_that_come_and_go() {
	local pids=()
	rm -f "$TMP/stop"
	add
	for _ in 1 2 3; do
		opens_all_the_time &
		pids+=($!)
	done
	for _ in {1..10}; do
		stores "$sys/disksize" 1M
		stores "$sys/reset" 1
		stores "$sys/reset" 1
		remove
		add
	done
	: >"$TMP/stop"
	wait "${pids[@]}"
	remove
}

# The first half of the wait lets others in. They get an error in the other half, and none after it.
test_openers_during_the_wait() {
	local pid good=0 busy=0 other=
	ready
	exec 7<"$dev"
	for _ in 1 2 3 4 5; do
		put "$sys/reset" 1 &
		pid=$!
		until ended $pid; do
			{ : <"$dev"; } 2>"$TMP/open"
			errno_of "$(<"$TMP/open")"
			case $errno in
			OK) good=$((good + 1)) ;;
			EBUSY) busy=$((busy + 1)) ;;
			*) other=$errno ;;
			esac
		done
		wait $pid
		[ $good = 0 ] || [ $busy = 0 ] || break
	done
	note "$good opens succeeded, $busy failed"
	at_least "the opens that succeeded" $good 1
	at_least "the opens that failed" $busy 1
	is "another error of these" "$other" ''
	: <"$dev"
	exec 7<&-
	unchanged
}

# open_during_reset: resets the disk, opens it meanwhile, and counts in $good and $bad the opens that succeed and fail.
open_during_reset() {
	local pid
	put "$sys/reset" 1 &
	pid=$!
	until ended $pid; do
		if { : <"$dev"; } 2>/dev/null; then
			good=$((good + 1))
		else
			bad=$((bad + 1))
		fi
	done
	wait $pid
}

# A reset takes some milliseconds, for which they wait.
test_openers_during_a_reset() {
	local good=0 bad=0
	add
	for _ in {1..10}; do
		stores "$sys/disksize" 16M
		open_during_reset
	done
	note "$good opens succeeded"
	is "the number of opens that failed" $bad 0
}

# They do not wait until the pages are freed, which takes longer than they can wait.
test_openers_while_pages_are_freed() {
	local good=0 bad=0 page began
	disk 192M lz4
	does open "$dev" direct
	for ((page = 0; page < 192 * 256; page += 1024)); do
		does bulk $page 1024 hex $page
	done
	does close
	began=${EPOCHREALTIME/./}
	open_during_reset
	note "$good opens succeeded in a reset of $(((${EPOCHREALTIME/./} - began) / 1000)) ms"
	is "the number of opens that failed" $bad 0
}

test_a_signal_ends_the_wait() {
	local signals file
	signals=$(program signals)
	ready
	exec 7<"$dev"
	for file in "$sys/reset 1" "$CONTROL/hot_remove $id"; do
		# shellcheck disable=SC2086 # two words
		is "the result of a write to ${file% *} with signals" "$("$signals" interrupt $file 2>/dev/null)" EINTR
		# shellcheck disable=SC2086 # two words
		is "the same with signals that restart it" "$("$signals" restart $file 2>/dev/null)" EBUSY
	done
	exec 7<&-
	unchanged
}

# One wins, the others are busy or find nothing to do; no disk is lost.
test_resets_and_removals_at_once() {
	local pids
	for _ in {1..10}; do
		disk 1M
		exec 7<"$dev"
		pids=()
		for _ in 1 2 3; do
			(
				put "$sys/reset" 1
				[[ $errno =~ ^(OK|EBUSY|ENODEV|ENOENT|EACCES)$ ]] || fail "reset returned $errno"
				exit $failed
			) 7<&- &
			pids+=($!)
			(
				put $CONTROL/hot_remove "$id"
				[[ $errno =~ ^(OK|EBUSY|ENODEV)$ ]] || fail "hot_remove returned $errno"
				exit $failed
			) 7<&- &
			pids+=($!)
		done
		exec 7<&-
		wait_all "${pids[@]}"
		[ ! -e "$sys" ] || eventually 5 removed "$id" || fail "zram$id cannot be removed: $errno"
	done
}

run_tests
