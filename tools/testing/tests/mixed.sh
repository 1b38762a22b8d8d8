#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Real data: a quarter each of text, binaries, random bytes and zeros, in 64 Ki pages (fewer on uml-debug), through
# every algorithm and back, compared byte by byte with the source, by direct and by buffered reads.
#
# Guest: uml-debug group=basic
# Guest: stock group=basic memory=2G seconds=600

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

if on_uml; then
	pages=4096
else
	pages=65536
fi
quarter=$((pages * PAGE / 4))
image=$TMP/image

# repeat_files FILE...: prints the files repeatedly, without end.
repeat_files() {
	while cat "$@"; do
		:
	done 2>/dev/null
}

make_image() {
	local text
	find /usr/share /usr/lib/*/perl* /etc -type f -size +1k \( -name '*.p[lm]' -o -name '*.txt' -o \
		-name '*.conf' -o -name copyright -o -name '*.awk' \) 2>/dev/null >"$TMP/text"
	mapfile -t text <"$TMP/text"
	[ ${#text[@]} -gt 20 ] || {
		fail "there are only ${#text[@]} files of text in this guest"
		exit 1
	}
	{
		repeat_files "${text[@]}" | head -c $quarter
		repeat_files /usr/bin/* | head -c $quarter
		head -c $quarter /dev/urandom
		head -c $quarter /dev/zero
	} >"$image"
	is "the size of the image" "$(stat -c %s "$image")" $((4 * quarter))
}

compress_and_compare() {
	local want got
	[ -s "$image" ] || make_image
	disk $((4 * quarter)) "$1"
	ok dd if="$image" of="$dev" bs=64K oflag=direct status=none
	mm_stat
	note "$1: $orig bytes in $used, $((100 * orig / used)) %"
	is "orig_data_size" "$orig" $((4 * quarter))
	at_least "same_pages" "$same" $((pages / 4))
	at_least "huge_pages" "$huge" $((pages / 4))
	[ "$used" -lt $((3 * quarter)) ] || fail "$1 compressed nothing: $used bytes"
	want=$(sha256sum <"$image")
	got=$(dd if="$dev" bs=1M iflag=direct status=none | sha256sum)
	is "hash of what $1 gives back (direct)" "$got" "$want"
	ok cmp -n $((4 * quarter)) "$dev" "$image"
	# Overwrites the pages with data of another quarter.
	ok dd if="$image" of="$dev" bs=1M seek=$((quarter / 1048576)) count=$((quarter * 3 / 1048576)) \
		oflag=direct conv=notrunc status=none
	ok cmp -n $((quarter * 3)) -i $quarter:0 "$dev" "$image"
	ok cmp -n $quarter "$dev" "$image"
	no_failed_io
}

test_lzo_rle() {
	compress_and_compare lzo-rle
}

test_lzo() {
	compress_and_compare lzo
}

test_lz4() {
	compress_and_compare lz4
}

test_zstd() {
	compress_and_compare zstd
}

run_tests
