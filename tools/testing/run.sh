#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: run.sh SCRIPT[:SECONDS[:CASE,CASE...]]...
#
# Runs several test scripts in one guest, one after the other, and prints what the guest is, where the results of each
# begin, and how it ended, for tools/test. To start a guest for each would take longer than most scripts run. SCRIPT is a path below this
# directory (tests/control.sh), SECONDS the time after which the script is killed (default 600).

# compiler: sets $compiler to that of the kernel, which names it as "gcc (Debian 14.2.0-19) 14.2.0" or "Debian clang
# version 19.1.7".
compiler() {
	local version
	read -r version </proc/version
	compiler=unknown
	if [[ $version =~ clang\ version\ ([0-9]+\.[0-9]+) ]]; then
		compiler="clang ${BASH_REMATCH[1]}"
	elif [[ $version =~ gcc[^\ ]*\ \([^\)]*\)\ ([0-9]+\.[0-9]+) ]]; then
		compiler="gcc ${BASH_REMATCH[1]}"
	fi
}

here=${0%/*}
failed=0
compiler
echo "# run: on $(uname -m), $(($(getconf PAGESIZE) / 1024)) KiB, $(uname -r), $compiler"
for what in "$@"; do
	IFS=: read -r script limit cases <<<"$what"
	limit=${limit:-600} name=${script##*/}
	echo "# run: begin $name"
	status=0
	TESTS=${cases//,/ } timeout --foreground --kill-after=10 "$limit" "$here/$script" || status=$?
	[ $status != 124 ] || echo "# run: $name was stopped after $limit seconds"
	echo "# run: end $name $status"
	[ $status = 0 ] || failed=1
done
exit $failed
