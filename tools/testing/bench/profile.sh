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
[[ $3 != readback-* && $3 != readlarge-* ]] || modprobe brd rd_nr=1 rd_size=8192 || exit 1
export ZBENCH_DATA=$TMP
"$(program zbench)" prepare 1024 || exit 1
awk '$2 ~ /^[tTwW]$/ && $3 !~ /^\./ { print "symbol", $1, $3 $4 }' /proc/kallsyms
"$(program zbench)" loop "$1" "$2" "$3" 1024 3600
