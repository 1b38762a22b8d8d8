#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The file writeback_budget: what it accepts, and that no period has more writes than the budget, whatever a user does to
# the disk, the limit and the budget meanwhile.
#
# Proves that the wear of a backing device is bounded.
#
# Guest: uml-debug group=writeback

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

# last_log PATTERN: the last line of the log must match.
last_log() {
	local line
	line=$(dmesg | tail -n 1)
	# shellcheck disable=SC2053 # a pattern
	[[ $line == $1 ]] || fail "the last line of the log is '$line'"
}

test_writeback_budget() {
	local value want
	add
	reads writeback_budget $'off\n'
	while read -r value want; do
		stores "$sys/writeback_budget" "$value"
		is "writeback_budget after '$value'" "$(<"$sys/writeback_budget")" "$want"
	done <<-END
		4096/1 4096/1
		1M/60 1048576/60
		10000/60 8192/60
		2G/day 2147483648/day
		1M/86400 1048576/day
		off off
	END
	put_bare "$sys/writeback_budget" 1M/60
	reads writeback_budget $'1048576/60\n'
	for value in '' on 0 1M 1M/ /60 1M/0 1M/-1 1M/x 1M/hour x/60 4095/60 1M/60/60 '1M / 60' 1M/4294967296; do
		stores "$sys/writeback_budget" "$value" EINVAL
		reads writeback_budget $'1048576/60\n'
		last_log '*writeback_budget: need <bytes>/<seconds>, <bytes>/day or off'
	done
}

# Writes text to writeback, and sets $written to the number of blocks that this wrote.
write_back_some() {
	local before
	bd_stat
	before=$bd_writes
	put "$sys/writeback" "$1"
	bd_stat
	written=$((bd_writes - before))
}

test_budget_is_the_limit() {
	nullb wb0 1
	backed "$nullb" 256K
	stores "$sys/writeback_limit" 7
	stores "$sys/writeback_limit_enable" 1
	stores "$sys/writeback_budget" 40K/100000
	reads writeback_limit $'10\n'
	reads writeback_limit_enable $'1\n'
	stores "$sys/writeback_limit" 5 EBUSY
	stores "$sys/writeback_limit_enable" 0 EBUSY
	does open "$dev" direct
	does bulk 0 64 random 1
	writes_back huge EIO
	counts "with a budget of 10 blocks" 10 0 10
	reads writeback_limit $'0\n'
	writes_back huge EIO
	counts "with the budget used up" 10 0 10
	# What was written stays written, also with the limit of before, and with another budget.
	stores "$sys/writeback_budget" off
	reads writeback_limit $'7\n'
	reads writeback_limit_enable $'1\n'
	stores "$sys/writeback_budget" 40K/100000
	reads writeback_limit $'0\n'
	stores "$sys/writeback_budget" 60K/100000
	reads writeback_limit $'5\n'
	stores "$sys/writeback_budget" 20K/1000000
	reads writeback_limit $'0\n'
	does close
	# A reset changes neither the setting nor what was written.
	stores "$sys/reset" 1
	reads writeback_budget $'20480/1000000\n'
	reads writeback_limit $'0\n'
}

test_failed_writes_do_not_count() {
	nullb wb0 1
	backed "$nullb" 256K
	stores "$sys/writeback_budget" 40K/100000
	does open "$dev" direct
	does bulk 0 64 random 1
	bad_sectors wb0 0 2047
	writes_back page_indexes=0-3 EIO
	reads writeback_limit $'10\n'
	good_sectors wb0 0 2047
	writes_back page_indexes=0-3
	reads writeback_limit $'6\n'
	does close
}

# Each step writes as much as it may; the sum of any period must be at most the budget, and three periods must have about
# three budgets.
test_three_periods() {
	local -a times=() counts=()
	local index other sum all=0 seconds=6 budget=12 start
	nullb wb0 4
	backed "$nullb" 1M
	stores "$sys/writeback_budget" $((budget * PAGE))/$seconds
	does open "$dev" direct
	start=$SECONDS
	while [ $((SECONDS - start)) -lt $((3 * seconds + 2)) ]; do
		does bulk 0 32 random $((SECONDS + 1))
		now
		write_back_some huge
		[ "$written" = 0 ] || {
			times+=("$now")
			counts+=("$written")
			all=$((all + written))
		}
		sleep 0.3
	done
	for index in "${!times[@]}"; do
		sum=0
		for ((other = index; other < ${#times[@]}; other++)); do
			# A second is the grain of the driver's clock.
			[ $((times[other] - times[index])) -ge $((seconds * 1000)) ] || sum=$((sum + counts[other]))
		done
		[ $sum -le $budget ] || fail "$sum blocks were written in $seconds s, with a budget of $budget"
	done
	note "$all blocks in three periods with $budget each"
	at_least "blocks in three periods" "$all" $((2 * budget))
	does close
}

run_tests
