#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: run.sh [TIMEOUT] SCRIPT[:CASE,CASE...]...   (SCRIPT by its path from here, as tests/control.sh)
#
# Runs several test scripts in one guest, one after the other, each within TIMEOUT seconds, and prints where the results
# of each begin and how it ended, for tools/test. Starting a guest for each would take longer than most scripts
# run.

here=${0%/*}
limit=600
if [[ ${1:-} =~ ^[0-9]+$ ]]; then
	limit=$1
	shift
fi
failed=0
for script in "$@"; do
	cases=
	[[ $script != *:* ]] || cases=${script#*:}
	script=${script%%:*}
	name=${script##*/}
	echo "# run: begin $name"
	status=0
	TESTS=${cases//,/ } timeout --foreground --kill-after=10 "$limit" "$here/$script" || status=$?
	[ $status != 124 ] || echo "# run: $name was stopped after $limit seconds"
	echo "# run: end $name $status"
	[ $status = 0 ] || failed=1
done
exit $failed
