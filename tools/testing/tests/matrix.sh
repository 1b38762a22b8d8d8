#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: matrix.sh [SECONDS]
#
# Runs every operation against every other, in loops, for SECONDS in all (default: $DURATION, or 60), while all data and
# all counters are checked; see matrix.c. Each operation is one test, which runs it against all others.
#
# Without SECONDS, and on machines that are not User Mode Linux, only pairs with CPU hotplug run: User Mode Linux has
# none, and uml-debug runs the other pairs.
#
# Environment:
#   SEED    of all random choices (default: a random one); the order of events is not repeatable
#   PAIRS   only pairs with one of these operations, separated by commas
#
# Guest: uml-debug group=stress seconds=600
# Guest: stock group=stress memory=2G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

[ -n "${1:-}" ] || on_uml || PAIRS=${PAIRS-processors}
seconds=${1:-${DURATION:-60}}
seed=${SEED:-$((SRANDOM % 1000000 + 1))}
[ "$seed" != 0 ] || seed=$((SRANDOM % 1000000 + 1))

row() {
	local words name
	read -ra words <<<"$1"
	name="$SCRIPT: ${words[1]} and ${words[*]:5}"
	done=$((done + 1))
	note "${words[1]}: ${words[3]#operations=} operations"
	if [ "${words[2]}" = problems=0 ]; then
		ktap_test_pass "$name"
	else
		ktap_test_fail "$name"
	fi
}

# The loop that reads the output of matrix runs in this shell (some guests have no /dev/fd).
shopt -s lastpipe
ktap_print_header
loaded "$DRIVER" || load num_devices=0
mapfile -t operations <<<"$("$(program matrix)" list)"
planned=0
for name in "${operations[@]}"; do
	[ -z "${PAIRS:-}" ] || [[ ,$PAIRS, == *,$name,* ]] || continue
	planned=$((planned + 1))
done
# The pairs of a chosen operation contain all operations.
[ -z "${PAIRS:-}" ] || planned=${#operations[@]}
ktap_set_plan "$planned"
kernel_log "$SCRIPT: begin"
tidy
disks=()
for i in {0..8}; do
	# Half of the devices complete requests later, from an interrupt.
	if [ $((i / 2 % 2)) = 0 ]; then
		slow_nullb "wb$i" 1 $((i * 50000 + 100000))
	else
		nullb "wb$i" 1
	fi
	disks+=("$nullb")
done
modprobe ext4 2>/dev/null
done=0 total='matrix did not come to its end' status=0
{
	"$(program matrix)" -t "$seconds" -S "$seed" -d "$DRIVER" ${PAIRS:+-o "$PAIRS"} "${disks[@]}" 2>&1 ||
		echo "# matrix ended with status $?, seed $seed"
} | while IFS= read -r line; do
	case $line in
	'row '*) row "$line" ;;
	*)
		total=${line#\# }
		note "$total"
		;;
	esac
done
while [ $done -lt "$planned" ]; do
	ktap_test_fail "$SCRIPT: operations that did not come to their end"
	done=$((done + 1))
done
note "seed $seed, $SECONDS s"
tidy
unload
rm -rf /tmp/matrix.fs?
kernel_log "$SCRIPT: end"
rm -rf "$TMP"
ktap_finished
