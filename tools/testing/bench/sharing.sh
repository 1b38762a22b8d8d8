#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: sharing.sh ALGORITHM KIND PATTERN JOBS PAGES
#
# The guest's part of tools/perf/sharing: prints the addresses of the kernel's functions and variables, "symbol ADDRESS
# NAME", and after the line "begin" as many jobs as there are processors use one disk, until tools/perf/sharing stops
# them. JOBS, ... are those of the program "parallel".

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

loaded "$DRIVER" || load num_devices=0
export ZBENCH_DATA=$TMP
"$(program zbench)" prepare 512 || exit 1
awk '$3 !~ /^\./ { print "symbol", $1, $3 $4 }' /proc/kallsyms
"$(program parallel)" "$@"
