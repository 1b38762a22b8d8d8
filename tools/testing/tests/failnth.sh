#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: failnth.sh [SEED [OPERATION]]
#
# Makes every allocation fail once: for each operation of failnth.c its first allocation, then its second, and so on to
# the last. Whatever the operation returns, the disk is usable or properly gone, its data is unchanged, and nothing
# leaks. Each operation is one test; the last line has the number of failures injected.
#
# SEED selects the sample of later allocations that fail (default: a random one); 0 selects all of them, which takes an
# hour. OPERATION runs only that operation.
#
# Guest: uml-debug seconds=840

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

inject=/sys/kernel/debug

# Makes allocations fail that may wait, too, without messages, which would fail the run.
prepare() {
	local kind
	[ -d $inject/failslab ] && [ -d $inject/fail_page_alloc ] || return 1
	for kind in failslab fail_page_alloc; do
		echo 0 >$inject/$kind/probability
		echo 0 >$inject/$kind/verbose
		echo N >$inject/$kind/ignore-gfp-wait
	done
	echo N >$inject/fail_page_alloc/ignore-gfp-highmem
	# Unloading the module mostly waits for grace periods.
	echo 1 >/sys/kernel/rcu_expedited
	echo 0 >$inject/fail_page_alloc/min-order
}

# The driver's KUnit suites run when it is loaded. They fail when KUnit's own allocations fail.
suites=/sys/module/kunit/parameters/filter_glob
run_suites() {
	[ ! -w $suites ] || echo "$1" >$suites
}

injected=0
refused=0
seed=${1:-$((SRANDOM % 1000000 + 1))}

# sweep NAME: runs failnth for one operation.
sweep() {
	local backing=$nullb report=
	case $1 in
	load* | unload)
		unload
		backing=$(modprobe --show-depends "$DRIVER" | sed -n '$s/^insmod \([^ ]*\).*/\1/p')
		run_suites none
		;;
	*) loaded "$DRIVER" || load num_devices=0 ;;
	esac
	"$(program failnth)" $sample "$backing" "$TMP/dictionary" "$1" 2>&1 | tee "$TMP/report" | sed -u 's/^\(# \)\?/# /'
	[ "${PIPESTATUS[0]}" != 0 ] || report=$(tail -n 1 "$TMP/report")
	run_suites '*'
	if [[ $report =~ ^failnth:\ .*injected=([0-9]+)\ refused=([0-9]+)$ ]]; then
		injected=$((injected + BASH_REMATCH[1]))
		refused=$((refused + BASH_REMATCH[2]))
		ktap_test_pass "$SCRIPT: $1"
	else
		ktap_test_fail "$SCRIPT: $1"
	fi
}

ktap_print_header
if [ "$DRIVER" = zram ] || ! prepare; then
	ktap_skip_all "this kernel does not inject faults, or the driver is not the one that has to stand them"
	exit "$KSFT_SKIP"
fi
mapfile -t operations <<<"$("$(program failnth)" list)"
[ -z "${2:-}" ] || operations=("$2")
sample="-s $seed"
[ "$seed" != 0 ] || sample=
ktap_set_plan ${#operations[@]}
loaded "$DRIVER" || load num_devices=0
tidy
nullb wb0 2
for ((i = 0; i < 4096; i += 64)); do
	printf 'What all pages have in common is in here: %20d.\n' $((i * i * i))
done >"$TMP/dictionary"
kernel_log "$SCRIPT: begin"
for operation in "${operations[@]}"; do
	kernel_log "$SCRIPT: $operation"
	sweep "$operation"
done
note "$injected allocations failed, and $refused operations did (seed $seed)"
loaded "$DRIVER" || load num_devices=0
tidy
unload
kernel_log "$SCRIPT: end"
rm -rf "$TMP"
ktap_finished
