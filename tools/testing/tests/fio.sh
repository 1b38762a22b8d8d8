#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fio writes, at random and in sequence, with several jobs and several block sizes, and verifies the checksum of every
# block that it wrote. One algorithm for each block size.
#
# Guest: uml-debug group=basic
# Guest: stock group=basic memory=2G
# Guest: arm64 group=basic memory=2G
# Guest: arm64-16k group=basic memory=2G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

if on_uml; then
	size=4M
else
	size=32M
fi

# verify RW BLOCKSIZE ALGORITHM [OPTION...]: runs fio with four jobs, each on its own part of the disk.
verify() {
	local rw=$1 bs=$2 algorithm=$3
	shift 3
	disk $((4 * ${size%M}))M "$algorithm"
	ok fio --name="$rw-$bs" --filename="$dev" --rw="$rw" --bs="$bs" --size=$size --offset_increment=$size \
		--numjobs=4 --direct=1 --verify=crc32c --do_verify=1 --verify_fatal=1 --verify_dump=1 \
		--refill_buffers --buffer_compress_percentage=60 --randseed=7 --group_reporting \
		--aux-path="$TMP" "$@"
	mm_stat
	is "orig_data_size" "$orig" $((4 * ${size%M} << 20))
	no_failed_io
	# fio has written and read all data, except for pages that were in the page cache.
	read -ra stat <"$sys/stat"
	at_least "sectors read" "${stat[2]}" $((3 * ${size%M} * 2048))
	at_least "sectors written" "${stat[6]}" $((4 * ${size%M} * 2048))
}

test_sequential_4k() {
	verify write 4k lzo-rle
}

test_sequential_16k() {
	verify write 16k lzo
}

test_sequential_64k() {
	verify write 64k lz4
}

test_sequential_1m() {
	verify write 1m zstd
}

test_random_4k() {
	verify randwrite 4k zstd
}

test_random_16k() {
	verify randwrite 16k lz4
}

test_random_64k() {
	verify randwrite 64k lzo-rle --ioengine=libaio --iodepth=8
}

test_random_1m() {
	verify randwrite 1m lzo
}

# Mixed block sizes and several requests in flight; fio verifies data while it writes more.
test_random_mixed_sizes() {
	verify randwrite 4k lz4 --bssplit=4k/60:16k/20:64k/20 --ioengine=libaio --iodepth=16 \
		--verify_backlog=64 --verify=md5
}

test_through_the_page_cache() {
	verify randwrite 4k lz4 --direct=0 --end_fsync=1 --invalidate=1
}

run_tests
