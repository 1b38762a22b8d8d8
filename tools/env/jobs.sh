# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Runs jobs side by side, for tools/test. Sourced after lib.sh, never run.
#
# A job is a function with arguments, which runs in a subshell and a process group of its own. At most $JOBS jobs run at
# a time, as far as the memory allows. The lines of a job stay together: those of the job that started first appear at
# once, those of the others when it has ended.
#
# The script that sources this file sets $RUN to a directory for the output of the jobs, has a function fail, which is
# told the name of a job that fails, and calls end_jobs when it ends.

RUN=''
# After how many seconds it is looked for what has changed.
TICK=0.3

# Of each job, by its number, in the order of the calls of job: what job was told, and the process while it runs. The
# state is "waiting", "running", "ended", "failed", or "left" if it does not run, as what it needs has failed.
job_names=() job_kinds=() job_memories=() job_needs=() job_commands=() job_states=() job_pids=() job_began=()

# job NAME KIND MEMORY NEEDS COMMAND...: adds a job. MEMORY is what it takes, in MiB. NEEDS are names of jobs, separated
# by commas, which must have succeeded before, or "-". KIND is
#
#	alone	nothing else runs beside it
#	driver	it builds the driver, or needs a build of it: no other of this kind runs beside it
#	...	any other word: jobs of different kinds run beside each other rather than jobs of one kind
job() {
	job_names+=("$1") job_kinds+=("$2") job_memories+=("$3") job_needs+=("$4")
	shift 4
	job_commands+=("$(printf '%q ' "$@")")
	job_states+=(waiting) job_pids+=('') job_began+=(0)
}

# memory: prints how many MiB of memory this machine, and the control group of this process, have left.
memory() {
	local free limit used path
	free=$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo)
	while IFS=: read -r _ _ path; do
		for path in "/sys/fs/cgroup$path" "/sys/fs/cgroup/memory$path" /sys/fs/cgroup /sys/fs/cgroup/memory; do
			for limit in memory.max:memory.current memory.limit_in_bytes:memory.usage_in_bytes; do
				used=$path/${limit#*:} limit=$path/${limit%:*}
				[ -r "$limit" ] && [ -r "$used" ] || continue
				limit=$(<"$limit") used=$(<"$used")
				# "max", or more digits than any machine has bytes.
				[[ $limit =~ ^[0-9]{1,16}$ ]] || continue
				limit=$(((limit - used) / 1048576))
				[ "$limit" -ge "$free" ] || free=$limit
			done
		done
	done </proc/self/cgroup
	echo "$free"
}

# ready NUMBER: succeeds if the job may start now, beside those that run.
ready() {
	local i need sum=${job_memories[$1]} running=0
	[ "${job_states[$1]}" = waiting ] || return 1
	for need in ${job_needs[$1]//,/ }; do
		for i in "${!job_names[@]}"; do
			[ "${job_names[i]}" = "$need" ] || continue
			case ${job_states[i]} in
			waiting | running) return 1 ;;
			failed | left)
				job_states[$1]=left
				return 1
				;;
			esac
		done
	done
	for i in "${!job_names[@]}"; do
		[ "${job_states[i]}" = running ] || continue
		running=$((running + 1)) sum=$((sum + job_memories[i]))
		[ "${job_kinds[i]}" != alone ] || return 1
		[ "${job_kinds[i]}" != driver ] || [ "${job_kinds[$1]}" != driver ] || return 1
	done
	[ $running = 0 ] || { [ "${job_kinds[$1]}" != alone ] && [ $running -lt "$JOBS" ] && [ $sum -le "$total" ]; }
}

# next: sets $next to the job to start now, or to nothing.
next() {
	local i busy=' ' any=''
	next=''
	for i in "${!job_names[@]}"; do
		[ "${job_states[i]}" != running ] || busy+="${job_kinds[i]} "
	done
	for i in "${!job_names[@]}"; do
		ready "$i" || continue
		any=${any:-$i}
		if [[ $busy != *" ${job_kinds[i]} "* ]]; then
			next=$i
			return
		fi
	done
	next=$any
}

# start NUMBER: starts the job, with its output in a file. When it ends, it leaves the time that processors worked for it.
start() {
	job_states[$1]=running job_began[$1]=$EPOCHSECONDS
	: >"$RUN/job.$1"
	set -m
	(
		trap 'times >"$RUN/times.'"$1"'"' EXIT
		eval "${job_commands[$1]}"
	) </dev/null >"$RUN/job.$1" 2>&1 &
	job_pids[$1]=$!
	set +m
}

# reap: notes which jobs have ended.
reap() {
	local i status
	for i in "${!job_names[@]}"; do
		[ "${job_states[i]}" = running ] && ! kill -0 "${job_pids[i]}" 2>/dev/null || continue
		status=0
		wait "${job_pids[i]}" 2>/dev/null || status=$?
		job_states[i]=ended
		[ $status = 0 ] || job_states[i]=failed
		job_began[i]=$((EPOCHSECONDS - job_began[i]))
	done
}

# show: prints what there is to print, in the order in which the jobs started. Uses $shown, the job whose output is open
# as $fd; $printed, how much of it is printed; $order, the jobs that started; and $line, whether a line about the state
# is on the terminal.
show() {
	local state size took
	while :; do
		if [ -z "$shown" ]; then
			[ ${#order[@]} != 0 ] || return 0
			shown=${order[0]} order=("${order[@]:1}")
			exec {fd}<"$RUN/job.$shown"
			printed=0
			clear_line
			echo
		fi
		# What a job has printed before it ended is complete only if the state is read first.
		state=${job_states[shown]}
		size=$(stat -c %s "$RUN/job.$shown")
		if [ "$size" != "$printed" ]; then
			clear_line
			cat <&"$fd"
			printed=$size said=$EPOCHSECONDS
		fi
		[ "$state" != running ] || return 0
		exec {fd}<&-
		took="$(clock "${job_began[shown]}"), $(worked "$shown") of processor time"
		if [ "$state" = failed ]; then
			fail "${job_names[shown]} (after $took)"
		else
			say "${job_names[shown]}: done in $took"
		fi
		shown=''
	done
}

clear_line() {
	[ -z "$line" ] || printf '\r\033[K'
	line=''
}

# worked NUMBER: prints the time that processors worked for a job that has ended. It is not known of one that was killed.
worked() {
	local line word milliseconds=500
	while read -r line; do
		for word in $line; do
			[[ $word =~ ^([0-9]+)m([0-9]+)\.([0-9]{3})s$ ]] || continue
			milliseconds=$((milliseconds + BASH_REMATCH[1] * 60000 + 10#${BASH_REMATCH[2]}${BASH_REMATCH[3]}))
		done
	done < <(cat "$RUN/times.$1" 2>/dev/null)
	clock $((milliseconds / 1000))
}

# clock SECONDS: prints them as minutes and seconds.
clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

# longest_jobs NUMBER: after run_jobs, prints which jobs took longest.
longest_jobs() {
	local i
	for i in "${!job_names[@]}"; do
		[ "${job_states[i]}" = left ] || printf '%d %5s  %s (%s of processor time)\n' "${job_began[i]}" \
			"$(clock "${job_began[i]}")" "${job_names[i]}" "$(worked "$i")"
	done | sort -rn | head -n "$1" | cut -d ' ' -f 2-
}

# tell: says what runs and how much waits: always on a terminal, else when nothing was printed for a minute.
tell() {
	local i text='' waiting=0
	[ -t 1 ] || [ $((EPOCHSECONDS - said)) -ge 60 ] || return 0
	for i in "${!job_names[@]}"; do
		case ${job_states[i]} in
		running) text+="${text:+, }${job_names[i]} ($(clock $((EPOCHSECONDS - job_began[i]))))" ;;
		waiting) waiting=$((waiting + 1)) ;;
		esac
	done
	[ -n "$text" ] || return 0
	[ $waiting = 0 ] || text+="; $waiting to come"
	if [ -t 1 ]; then
		text="[$(elapsed)] $text"
		printf '\r%s\033[K' "${text:0:$((${COLUMNS:-100} - 1))}"
		line=1
	else
		say "... $text"
		said=$EPOCHSECONDS
	fi
}

# end_jobs: ends all jobs. SIGHUP, because unshare blocks the others; the processes that have groups of their own (see
# progress, and vm) are ended by their parents.
end_jobs() {
	local i round
	for round in {1..100}; do
		for i in "${!job_names[@]}"; do
			[ "${job_states[i]}" = running ] || continue
			if [ "$round" = 1 ]; then
				kill -HUP -- "-${job_pids[i]}" 2>/dev/null || :
			elif [ "$round" = 100 ]; then
				kill -KILL -- "-${job_pids[i]}" 2>/dev/null || :
			fi
			kill -0 -- "-${job_pids[i]}" 2>/dev/null || job_states[i]=failed
		done
		[[ " ${job_states[*]} " == *" running "* ]] || break
		sleep 0.1
	done
	{ wait; } 2>/dev/null
}

# run_jobs: runs all jobs that were added. Not for conditions, where bash would have a job go on after an error.
run_jobs() {
	local total next shown='' order=() line='' said=$EPOCHSECONDS printed fd i
	total=$(memory)
	while :; do
		reap
		next
		while [ -n "$next" ]; do
			start "$next"
			order+=("$next")
			next
		done
		show
		[[ " ${job_states[*]} " == *" running "* ]] || break
		tell
		sleep "$TICK"
	done
	clear_line
	for i in "${!job_names[@]}"; do
		[ "${job_states[i]}" != left ] || say "${job_names[i]}: did not run, as something that it needs has failed"
	done
}
