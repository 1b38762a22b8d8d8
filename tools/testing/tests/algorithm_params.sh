#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The file algorithm_params: compression levels, dictionaries and window sizes of each algorithm, and the errors for
# other input. Invalid input leaves the configuration of the disk unchanged.
#
# Guest: uml-debug group=writeback
# Guest: stock group=basic memory=2G
# Guest: stock-7.2 group=basic memory=2G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

# make_dictionary NAME BYTES: writes a file with the text that pages of pageio consist of.
make_dictionary() {
	local text
	text='A page of prose that any algorithm makes much smaller than it was. '
	while [ ${#text} -lt "$2" ]; do
		text+=$text
	done
	printf '%s' "${text:0:$2}" >"$TMP/$1"
}

test_parameters_that_are_refused() {
	local line
	add
	for line in level level= level=x priority=4 priority=-1 algo=nonsense 'algo=zstd priority=0' \
		'priority=1 algo=zstd' deflate.winbits=; do
		stores "$sys/algorithm_params" "$line" EINVAL
	done
	stores "$sys/algorithm_params" level=99999999999 ERANGE
	stores "$sys/algorithm_params" "dict=$TMP/nothing" ENOENT
	stores "$sys/algorithm_params" "dict=$TMP" EINVAL
	: >"$TMP/empty"
	stores "$sys/algorithm_params" "dict=$TMP/empty" EINVAL
	# Any file can be a dictionary, even one of this disk, without a deadlock.
	if [ "$DRIVER" != zram ]; then
		stores "$sys/algorithm_params" "dict=$sys/comp_algorithm" EIO
		stores "$sys/algorithm_params" "dict=$sys/disksize" EIO
	fi
	stores "$sys/algorithm_params" 'colour=blue'
	stores "$sys/disksize" 64K
	stores "$sys/algorithm_params" level=1 EBUSY
}

# disksize_with ALGORITHM PARAMETERS ERRNO: the initialisation of a disk with these parameters must return ERRNO.
disksize_with() {
	has "$1" || return 0
	stores "$sys/comp_algorithm" "$1"
	stores "$sys/algorithm_params" "$2"
	stores "$sys/disksize" 64K "$3"
	if [ "$3" = OK ]; then
		does open "$dev" direct
		does bulk 0 16 mixed 1
		does bulkcheck 0 16 mixed 1
		does close
		stores "$sys/reset" 1
	fi
}

test_levels() {
	local level bits
	add
	for level in 0 -1 -2147483647; do
		disksize_with lz4 "level=$level" EINVAL
	done
	for level in 1 2 1000 2147483647 -2147483648; do
		disksize_with lz4 "level=$level" OK
	done
	for level in 0 17 -1; do
		disksize_with lz4hc "level=$level" EINVAL
	done
	for level in 1 2 9 16; do
		disksize_with lz4hc "level=$level" OK
	done
	for level in 23 -131073; do
		disksize_with zstd "level=$level" EINVAL
	done
	for level in -131072 -5 0 1 3 22; do
		disksize_with zstd "level=$level" OK
	done
	for level in -2 10; do
		disksize_with deflate "level=$level" EINVAL
	done
	for level in -1 0 1 9; do
		disksize_with deflate "level=$level" OK
	done
	for bits in -16 -8 0 8 16; do
		disksize_with deflate "deflate.winbits=$bits" EINVAL
	done
	for bits in -15 -9 9 15; do
		disksize_with deflate "level=6 deflate.winbits=$bits" OK
	done
	for level in 0 1; do
		disksize_with 842 "level=$level" EOPNOTSUPP
		disksize_with lzo "level=$level" EOPNOTSUPP
		disksize_with lzo-rle "level=$level" EOPNOTSUPP
	done
}

test_dictionaries() {
	local algorithm without size dict
	add
	for algorithm in lz4 lz4hc zstd; do
		make_dictionary dict 4096
		has "$algorithm" || continue
		without=0
		for dict in '' "dict=$TMP/dict" "dict=$TMP/dict level=9"; do
			stores "$sys/comp_algorithm" "$algorithm"
			stores "$sys/algorithm_params" "$dict"
			stores "$sys/disksize" 1M
			# The driver has read the dictionary by now.
			does open "$dev" direct
			does bulk 0 200 text 1
			mm_stat
			if [ -z "$dict" ]; then
				without=$compr
			elif [ "$compr" -ge "$without" ]; then
				fail "$algorithm takes $compr bytes with a dictionary, $without without"
			fi
			does check 0 200 text 1
			does bulk 0 256 mixed 2
			does bulkcheck 0 256 mixed 2
			does close
			stores "$sys/reset" 1
		done
		note "$algorithm: $without bytes without a dictionary"
	done
	for size in 1 4 7; do
		make_dictionary small $size
		disksize_with lz4 "dict=$TMP/small" EINVAL
		disksize_with lz4hc "dict=$TMP/small" OK
		disksize_with zstd "dict=$TMP/small" OK
	done
	for size in 8 65536; do
		make_dictionary dict $size
		disksize_with lz4 "dict=$TMP/dict" OK
		disksize_with lz4hc "dict=$TMP/dict" OK
		disksize_with zstd "dict=$TMP/dict level=22" OK
		disksize_with zstd "dict=$TMP/dict level=-100" OK
	done
	make_dictionary dict 65537
	disksize_with lz4 "dict=$TMP/dict" EINVAL
	[ "$DRIVER" = zram ] || disksize_with lz4hc "dict=$TMP/dict" EINVAL
	disksize_with zstd "dict=$TMP/dict" OK
	for algorithm in lzo lzo-rle deflate 842; do
		disksize_with $algorithm "dict=$TMP/dict" EOPNOTSUPP
	done
}

# A refused parameter leaves the rest of the configuration unchanged.
test_refused_parameters_leave_what_was_set() {
	local line
	[ "$DRIVER" != zram ] || skip "C zram forgets the algorithm, and takes the default instead"
	add
	stores "$sys/comp_algorithm" zstd
	stores "$sys/recomp_algorithm" algo=deflate
	stores "$sys/algorithm_params" "algo=deflate level=77"
	line=$(<"$sys/comp_algorithm")
	stores "$sys/disksize" 64K EINVAL
	is "comp_algorithm after that" "$(<"$sys/comp_algorithm")" "$line"
	stores "$sys/algorithm_params" "algo=deflate level=7"
	stores "$sys/algorithm_params" "algo=deflate dict=$TMP/nothing" ENOENT
	stores "$sys/disksize" 64K
	is "comp_algorithm in the end" "$(<"$sys/comp_algorithm")" "$line"
}

run_tests
