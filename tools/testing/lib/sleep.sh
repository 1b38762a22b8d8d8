# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Shared by the tests of suspend: has the machine sleep in memory until its clock wakes it. Sourced after test.sh.
#
# The guest's output goes through a port of virtio-serial, which stands still after a suspend: the driver asks the host
# whether the port is open before it can hear the answer, and waits for that answer. So the output waits in the pipe that
# tools/env/guest/init has made, and goes on through a port of the driver's next binding.
#
# shellcheck disable=SC2154 # variables from test.sh

RTC=/sys/class/rtc/rtc0
OUTPUT=/run/zr.out
READER=/run/zr.reader # for init

# can_sleep: skips the test if this machine does not sleep, or does not wake up by itself.
can_sleep() {
	local states='' kinds=''
	[ ! -r /sys/power/state ] || read -r states </sys/power/state
	[ ! -r /sys/power/mem_sleep ] || read -r kinds </sys/power/mem_sleep
	[[ " $states " == *' mem '* && $kinds == *'[deep]'* ]] || skip "this machine does not suspend to memory"
	[ -w $RTC/wakealarm ] || skip "this machine has no clock that wakes it up"
}

# clocks: sets $boottime and $monotonic to the milliseconds since boot, with the time asleep and without it.
clocks() {
	local text key
	read -r text _ </proc/uptime
	boottime=${text/./}0
	while read -r key _ text _; do
		[ "$key" != now ] || break
	done </proc/timer_list
	monotonic=$((text / 1000000))
}

# sleep_in_memory SECONDS: suspends the machine, which its clock wakes up so many seconds later, and sets $slept to the
# milliseconds that it was asleep.
sleep_in_memory() {
	local before output
	# The pipe stays open while no process reads it.
	exec {output}<>$OUTPUT
	find_reader
	eventually 30 is_waiting "$reader" || fail "the output does not reach the host"
	clocks
	before=$((boottime - monotonic))
	echo 0 >$RTC/wakealarm
	echo "+$1" >$RTC/wakealarm
	put /sys/power/state mem
	clocks
	slept=$((boottime - monotonic - before))
	replace_reader
	exec {output}>&-
	is "the result of the suspend" "$errno" OK
	[ "$slept" -gt 500 ] || fail "the machine was asleep for $slept ms of $1 s"
}

# find_reader: sets $reader to the process that sends the output to the host, and $port to its file.
find_reader() {
	local path
	for port in /dev/vport*p1; do
		for path in /proc/[0-9]*/fd/1; do
			[ "$path" -ef "$port" ] || continue
			path=${path#/proc/}
			reader=${path%%/*}
			return
		done
	done
	fail "no process sends the output to the host"
	exit 1
}

# is_waiting PID: succeeds if the process waits for a pipe to be written.
is_waiting() {
	local where=
	read -r where <"/proc/$1/wchan"
	[[ $where == *pipe* ]]
}

# replace_reader: has a new process send the output to the host, through a new port.
replace_reader() {
	local driver=/sys/bus/virtio/drivers/virtio_console device input host
	find_reader
	kill -KILL "$reader"
	eventually 30 ended "$reader"
	for device in "$driver"/virtio*; do
		echo "${device##*/}" >$driver/unbind
		eventually 30 no_port
		echo "${device##*/}" >$driver/bind
	done
	eventually 30 open_port || exit 1
	exec {input}<$OUTPUT
	cat <&"$input" >&"$host" {output}>&- &
	echo $! >$READER
	disown
	exec {input}<&- {host}>&-
}

# open_port: opens the port as $host. The driver makes its file a moment before that can be opened.
open_port() {
	find_port && { exec {host}>"$port"; } 2>/dev/null
}

no_port() {
	! find_port
}

find_port() {
	for port in /dev/vport*p1; do
		[ ! -c "$port" ] || return 0
	done
	return 1
}
