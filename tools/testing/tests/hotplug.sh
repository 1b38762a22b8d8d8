#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# CPUs go offline and online while data is written and verified: each CPU that comes online must have its compression
# streams, and the streams must not leak.
#
# Guest: stock group=basic memory=2G
# Guest: arm64 group=basic memory=2G seconds=600

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

CPU=/sys/devices/system/cpu/cpu1/online
CYCLES=20

need_hotplug() {
	[ -w $CPU ] || skip "this kernel cannot take processor 1 offline"
	trap 'put $CPU 1' EXIT
}

# has_written: succeeds if the disk has got writes.
has_written() {
	local fields
	read -ra fields <"$sys/stat"
	[ "${fields[4]}" -gt 0 ]
}

during_fio() {
	local cycles=0 pid status=0
	need_hotplug
	disk 64M "$1"
	fio --name=hotplug --filename="$dev" --rw=randwrite --bs=4k --size=16M --offset_increment=16M --numjobs=4 \
		--direct=1 --verify=crc32c --do_verify=1 --verify_fatal=1 --refill_buffers --loops=1000 \
		--buffer_compress_percentage=60 --aux-path="$TMP" >"$TMP/fio" 2>&1 &
	pid=$!
	# Before fio writes, the processor would come and go for nothing, and fio would miss the signal below.
	eventually 120 has_written || fail "fio does not write"
	while [ $cycles -lt $CYCLES ] && kill -0 $pid 2>/dev/null; do
		stores $CPU 0
		stores $CPU 1
		cycles=$((cycles + 1))
	done
	is "the number of times that the processor went and came while fio ran" $cycles $CYCLES
	# On SIGINT fio stops writing, and verifies what it wrote.
	kill -INT $pid
	wait $pid || status=$?
	[ $status = 0 ] || [ $status = 128 ] || fail "fio failed ($status): $(tail -n 5 "$TMP/fio")"
	! grep -iE 'verify.*(fail|bad)|bad (magic|header)|err= *[1-9]' "$TMP/fio" || fail "fio found wrong data"
	no_failed_io
}

test_offline_and_online_during_fio_lz4() {
	during_fio lz4
}

test_offline_and_online_during_fio_zstd() {
	during_fio zstd
}

# A disk that is initialised while a processor is offline must work on it when it comes online.
test_device_made_while_a_processor_is_away() {
	need_hotplug
	stores $CPU 0
	disk 4M zstd
	stores $CPU 1
	printf 'open %s direct\nbulk 0 1024 mixed 1\nbulkcheck 0 1024 mixed 1\n' "$dev" |
		taskset -c 1 "$(program pageio)" >"$TMP/answers"
	is "what a task on the processor that came found" "$(tr '\n' ' ' <"$TMP/answers")" 'ok ok ok '
}

# The removal of a disk while a processor is offline must not miss the processor's stream.
test_device_removed_while_a_processor_is_away() {
	need_hotplug
	disk 4M lz4
	does open "$dev" direct
	does bulk 0 1024 mixed 1
	stores $CPU 0
	does bulkcheck 0 1024 mixed 1
	does close
	remove
	unload
	stores $CPU 1
	load
	stores $CPU 0
	unload
	stores $CPU 1
}

run_tests
