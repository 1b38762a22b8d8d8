#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: profile.sh ALGORITHM KIND PATTERN
#
# The guest's part of tools/perf/profile: prints the addresses of the kernel's functions, "symbol ADDRESS NAME", and
# after the line "begin" reads or writes in one pattern of zbench's, until tools/perf/profile stops it.

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

loaded "$DRIVER" || load num_devices=0
pages=1024
case $3 in
readback-* | readlarge-*) modprobe brd rd_nr=1 rd_size=8192 || exit 1 ;;
writeback-*)
	pages=32768
	modprobe brd rd_nr=1 rd_size=$((pages * 5)) || exit 1
	;;
esac
export ZBENCH_DATA=$TMP
"$(program zbench)" prepare 1024 || exit 1
awk '$2 ~ /^[tTwW]$/ && $3 !~ /^\./ { print "symbol", $1, $3 $4 }' /proc/kallsyms
"$(program zbench)" loop "$1" "$2" "$3" "$pages" 3600
