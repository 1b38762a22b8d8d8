#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The files comp_algorithm and recomp_algorithm: their lists, the default, the names that they accept, and the errors
# for other input.
#
# Guest: uml-debug group=basic quick
# Guest: stock group=basic memory=2G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

test_comp_algorithm() {
	local text name default known='lzo-rle lzo lz4 lz4hc zstd deflate 842 ' plain
	add
	IFS= read -rd '' text <"$sys/comp_algorithm"
	default=$text
	[[ $text =~ \[([a-z0-9-]+)\] ]] || fail "none is chosen: '$text'"
	[[ $text == *' '$'\n' ]] || fail "the list does not end with a blank and a newline: '$text'"
	plain=${text%$'\n'}
	plain=${plain//[\[\]]/}
	# In the order of C zram, although some may be missing.
	for name in $known; do
		if [[ $plain == "$name "* ]]; then
			plain=${plain#"$name "}
			known+="$name "
		fi
	done
	is "what is unknown, or not in C zram's order, in the list" "$plain" ''
	algorithms
	add
	for name in $ALGORITHMS; do
		stores "$sys/comp_algorithm" "$name"
		IFS= read -rd '' text <"$sys/comp_algorithm"
		[[ $text == *"[$name] "* ]] || fail "after '$name' the list is '$text'"
		[[ ${text/\[/} != *'['* ]] || fail "more than one is chosen: '$text'"
		put_bare "$sys/comp_algorithm" "$name"
		is "the result of '$name' without a newline" "$errno" OK
	done
	stores "$sys/reset" 1
	reads comp_algorithm "$default"
	for name in garbage '' LZ4 'lz4 ' ' lz4' lz lz44 lz4,zstd "$(printf '%0126d' 0)"; do
		stores "$sys/comp_algorithm" "$name" EINVAL
	done
	stores "$sys/comp_algorithm" "$(printf '%0127d' 0)" E2BIG
	stores "$sys/comp_algorithm" "$(printf '%01000d' 0)" E2BIG
	put_bare "$sys/comp_algorithm" "$(printf '%0127d' 0)"
	is "the result of a name of 127 characters" "$errno" EINVAL
	reads comp_algorithm "$default"
}

# The default is that with which the kernel's C zram was configured.
test_default_algorithm_is_that_of_c_zram() {
	[ "$DRIVER" != zram ] || skip "the driver under test is C zram"
	local ours
	add
	[[ $(<"$sys/comp_algorithm") =~ \[([a-z0-9-]+)\] ]]
	ours=${BASH_REMATCH[1]}
	unload
	modprobe zram 2>/dev/null || skip "this kernel has no C zram"
	[[ $(</sys/block/zram0/comp_algorithm) =~ \[([a-z0-9-]+)\] ]]
	ok rmmod zram
	is "the default algorithm" "$ours" "${BASH_REMATCH[1]}"
}

test_recomp_algorithm() {
	local line
	add
	[ -e "$sys/recomp_algorithm" ] || skip "the C zram of this kernel cannot recompress"
	is "recomp_algorithm of a new device" "$(<"$sys/recomp_algorithm")" ''
	stores "$sys/recomp_algorithm" "algo=zstd"
	line=$(<"$sys/comp_algorithm")
	line=${line/'['/}
	line=${line/']'/}
	is recomp_algorithm "$(<"$sys/recomp_algorithm")" "#1: ${line/zstd/'[zstd]'}"
	stores "$sys/recomp_algorithm" "priority=3 algo=deflate"
	is recomp_algorithm "$(<"$sys/recomp_algorithm")" "#1: ${line/zstd/'[zstd]'}
#3: ${line/deflate/'[deflate]'}"
	stores "$sys/recomp_algorithm" "algo=lz4 priority=1 colour=blue"
	is "recomp_algorithm changed" "$(<"$sys/recomp_algorithm")" "#1: ${line/lz4 /'[lz4] '}
#3: ${line/deflate/'[deflate]'}"
	for line in '' algo= zstd 'algo=zstd priority=' 'algo=zstd priority=0' 'algo=zstd priority=4' \
		'algo=zstd priority=-1' 'algo=zstd priority=x' algo=zstd2 'priority=1'; do
		stores "$sys/recomp_algorithm" "$line" EINVAL
	done
	stores "$sys/recomp_algorithm" 'algo=zstd priority=99999999999' ERANGE
	printf -v line '%0200d' 7
	stores "$sys/recomp_algorithm" "algo=$line" E2BIG
	stores "$sys/disksize" 64K
	stores "$sys/recomp_algorithm" algo=zstd EBUSY
	stores "$sys/reset" 1
	is "recomp_algorithm after a reset" "$(<"$sys/recomp_algorithm")" ''
}

run_tests
