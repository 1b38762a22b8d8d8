#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The driver's KUnit tests run when the driver is loaded, and report to the kernel log. Loads the driver, and prints all
# of their results as one KTAP list; with TESTS, those of these suites.
#
# Guest: uml-debug group=basic quick
# Guest: arm64-64k-debug group=basic memory=2G seconds=1200

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

unload
kernel_log "$SCRIPT: begin"
load num_devices=0
unload
kernel_log "$SCRIPT: end"

log=$(dmesg --notime)
log=${log##*"$SCRIPT: begin"}
log=${log%%"$SCRIPT: end"*}

# Results of single tests are indented once; each suite says before how many there will be.
suite='' planned=0 results=()
while IFS= read -r line; do
	if [[ $line =~ ^\ +'# Subtest: '(.*) ]]; then
		suite=${BASH_REMATCH[1]}
	elif [ -n "${TESTS:-}" ] && [[ " $TESTS " != *" $suite "* ]]; then
		continue
	elif [[ $line =~ ^\ +1\.\.([0-9]+)$ ]]; then
		planned=$((planned + BASH_REMATCH[1]))
	elif [[ $line =~ ^\ +((not\ )?ok)\ [0-9]+\ (.*) ]]; then
		results+=("${BASH_REMATCH[1]} $suite: ${BASH_REMATCH[3]}")
	elif [[ $line =~ ^\ +#\ .*(EXPECTATION|ASSERTION)\ FAILED || $line == *': ASSERTION FAILED'* ]]; then
		note "$suite: $line"
	fi
done <<<"$log"

ktap_print_header
# One more result: the log has as many results as KUnit announced, and at least one.
ktap_set_plan $((${#results[@]} + 1))
for result in "${results[@]}"; do
	case $result in
	*'# SKIP'*) ktap_test_skip "kunit: ${result#ok }" ;;
	ok*) ktap_test_pass "kunit: ${result#ok }" ;;
	*) ktap_test_fail "kunit: ${result#not ok }" ;;
	esac
done
if [ "$planned" -gt 0 ] && [ "$planned" = ${#results[@]} ] && [ $failed = 0 ]; then
	ktap_test_pass "kunit: all $planned tests ran"
else
	ktap_test_fail "kunit: all tests ran ($planned announced, ${#results[@]} reported)"
fi
rm -rf "$TMP"
ktap_finished
