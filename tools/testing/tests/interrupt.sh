#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A long writeback can be observed and controlled while it runs: read the statistics, change limits, interrupt it, reset
# or remove the disk, unload the module, start another writeback and interrupt that. Also tests the effect of signals
# on all operations that take long.
#
# Proves that no other task waits for the end of the writeback, and that all pages written until an interruption are
# accounted for: pages are right, none is written twice, and the others can be written later.
#
# C zram holds the lock of the disk until the end, so it fails all of these tests; ALL=1 runs them on C zram.
#
# Guest: uml-debug group=writeback seconds=900

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

# Each request takes this many milliseconds, and has at most 32 pages.
latency=80
pages=2048

c_waits() {
	[ "$DRIVER" != zram ] || [ -n "${ALL:-}" ] || skip "C zram lets all others wait until a writeback has ended"
}

# long_disk [COMPRESSED [BATCH [SIZE]]]: a disk with pages whose writeback takes seconds, with a limit that suffices.
# It is full of them, unless SIZE is larger.
long_disk() {
	slow_nullb wb0 16 $((latency * 1000000))
	backed "$nullb" "${3:-$((pages * PAGE))}" lz4 "${1:-0}"
	fill_disk "${2:-1}"
}

fill_disk() {
	# C zram has one page in a request.
	case $DRIVER in
	zram) stores "$sys/writeback_batch_size" $((32 * $1)) ;;
	*) stores "$sys/writeback_batch_size" "$1" ;;
	esac
	stores "$sys/writeback_limit" 10000
	stores "$sys/writeback_limit_enable" 1
	does open "$dev" direct
	does bulk 0 $((pages / 2)) random 1
	does bulk $((pages / 2)) $((pages / 2)) text 1
	does close
	mm_stat
	text=$((compr - pages * PAGE / 2))
	stores "$sys/idle" all
}

# progress PAGES: until so many were written.
progress() {
	until
		bd_stat
		[ "$bd_writes" -ge "$1" ]
	do
		! ended "$pid" || {
			fail "the writeback ended before it had written $1 pages: $(<"$TMP/a")"
			return
		}
		sleep 0.02
	done
}

# ends NAME PID ERRNO[|ERRNO] MILLISECONDS: the writeback must end so, that soon.
ends() {
	local from
	now
	from=$now
	wait "$2"
	now
	note "writeback $1 ended after $((now - from)) ms: $(<"$TMP/$1")"
	[[ "|$3|" == *"|$(<"$TMP/$1")|"* ]] || fail "the result of writeback $1 is '$(<"$TMP/$1")', should be $3"
	[ $((now - from)) -le "$4" ] || fail "writeback $1 took $((now - from)) ms to end, not at most $4"
}

# within MILLISECONDS COMMAND...
within() {
	local limit=$1 from
	shift
	now
	from=$now
	"$@"
	now
	note "'$*' took $((now - from)) ms"
	[ $((now - from)) -le "$limit" ] || fail "'$*' took $((now - from)) ms, not at most $limit"
}

# partial: what was written until now is accounted for, and more than nothing, less than all; data is right.
partial() {
	bd_stat
	mm_stat
	note "$bd_count of $pages pages were written back"
	[ "$bd_writes" -gt 0 ] || fail "nothing was written back"
	[ "$bd_writes" -lt $pages ] || fail "everything was written back"
	is "bd_count" "$bd_count" "$bd_writes"
	is "writeback_limit" "$(<"$sys/writeback_limit")" $((10000 - bd_writes))
	# The largest go first.
	if [ "$bd_writes" -le $((pages / 2)) ]; then
		is "huge_pages" "$huge" $((pages / 2 - bd_writes))
		is "compr_data_size" "$compr" $((huge * PAGE + text))
	fi
}

data_is_right() {
	does open "$dev" direct
	does bulkcheck 0 $((pages / 2)) random 1
	does bulkcheck $((pages / 2)) $((pages / 2)) text 1
	does close
}

# rest_can_be_written: no page in memory is still selected, so that all can be written back.
rest_can_be_written() {
	stores "$sys/writeback_batch_size" 64
	writes_back page_indexes=0-$((pages - 1))
	bd_stat
	is "bd_count after writing the rest" "$bd_count" $pages
	is "bd_writes after writing the rest" "$bd_writes" $pages
	is "writeback_limit" "$(<"$sys/writeback_limit")" $((10000 - pages))
	mm_stat
	is "compr_data_size after writing the rest" "$compr" 0
	eventually 5 pool_is_empty || fail "$used bytes are in use"
	data_is_right
}

# --- Statistics -----------------------------------------------------------------------------------

# Each of these files is read, or written to, again and again. This machine may be busy with something else for
# a moment, so one answer in a hundred may be late.
test_statistics_answer_at_once() {
	c_waits
	local file from samples=0 late=0 took line
	local -A longest
	long_disk
	store_in_background a "$sys/writeback" idle
	until ended $pid; do
		for file in mm_stat bd_stat io_stat debug_stat disksize initstate backing_dev comp_algorithm \
			writeback_limit writeback_limit_enable writeback_batch_size compressed_writeback; do
			from=${EPOCHREALTIME/./}
			read -r line <"$sys/$file"
			took=$((${EPOCHREALTIME/./} - from))
			[ $took -le "${longest[$file]:=0}" ] || longest[$file]=$took
			[ $took -lt 100000 ] || late=$((late + 1))
			samples=$((samples + 1))
		done
		for file in writeback_limit_enable mem_limit mem_used_max; do
			from=${EPOCHREALTIME/./}
			case $file in
			writeback_limit_enable) echo 1 >"$sys/$file" ;;
			*) echo 0 >"$sys/$file" ;;
			esac
			took=$((${EPOCHREALTIME/./} - from))
			[ $took -le "${longest[$file]:=0}" ] || longest[$file]=$took
			[ $took -lt 100000 ] || late=$((late + 1))
			samples=$((samples + 1))
		done
		sleep 0.01
	done
	ends a $pid OK 100
	note "$samples answers, $late took 100 ms or more; the longest of each file:"
	for file in "${!longest[@]}"; do
		note "    $file: ${longest[$file]} us"
		[ "${longest[$file]}" -lt 1000000 ] || fail "$file took ${longest[$file]} us"
	done
	at_least "the number of answers during writeback" $samples 300
	[ $((late * 100)) -le $samples ] || fail "$late of $samples answers took 100 ms or more"
	counts "after writeback" $pages 0 $pages
	data_is_right
}

# Marking the pages of a large disk takes seconds, too.
test_marking_idle_pages_holds_nobody_up() {
	c_waits
	add
	stores "$sys/disksize" 16G
	store_in_background a "$sys/idle" all
	sleep 0.3
	within 1000 stores "$sys/mem_limit" 64M
	within 1000 mm_stat
	! ended $pid || fail "all pages are marked, so this proves nothing"
	within 1000 stores "$sys/reset" 1
	ends a $pid EINTR 1000
}

# --- Signals --------------------------------------------------------------------------------------

interrupted_by() {
	local signal=$1 compressed=$2 batch=$3 want=$4
	long_disk "$compressed" "$batch"
	store_in_background a "$sys/writeback" idle
	progress 200
	kill "-$signal" $pid
	ends a $pid "$want" 1000
	partial
	data_is_right
	# Before anything else, since reading is using.
	rest_can_be_written
}

test_sigint() {
	c_waits
	interrupted_by INT 0 1 EINTR
}

test_sigint_compressed() {
	c_waits
	interrupted_by INT 1 2 EINTR
}

# Without a limit, a worker takes part, from the other end: the smallest pages go first there. It gets no signals, but
# ends with the task that it helps.
test_sigint_with_help() {
	c_waits
	local compressed
	for compressed in 0 1; do
		[ $compressed = 0 ] || { remove && tidy; }
		long_disk $compressed 4
		stores "$sys/writeback_limit_enable" 0
		store_in_background a "$sys/writeback" idle
		progress 300
		kill -INT $pid
		ends a $pid EINTR 1000
		bd_stat
		mm_stat
		note "$bd_count of $pages pages were written back, $((pages / 2 - huge)) of them incompressible"
		is "bd_count" "$bd_count" "$bd_writes"
		[ "$bd_writes" -lt $pages ] || fail "everything was written back"
		[ "$huge" -lt $((pages / 2)) ] || fail "none of the largest pages was written back"
		[ "$compr" -lt $((huge * PAGE + text)) ] || fail "none of the smallest pages was written back"
		is "writeback_limit" "$(<"$sys/writeback_limit")" 10000
		data_is_right
		stores "$sys/writeback_limit_enable" 1
		stores "$sys/writeback_limit" $((10000 - bd_writes))
		rest_can_be_written
	done
}

test_reset_with_help() {
	c_waits
	long_disk 0 4
	stores "$sys/writeback_limit_enable" 0
	store_in_background a "$sys/writeback" idle
	progress 300
	within 1000 stores "$sys/reset" 1
	is "the backing device" "$(<"$sys/backing_dev")" none
	ends a $pid EINTR 200
	is "opening the backing device exclusively" "$(tool exclusive "$nullb")" OK
	counts "after reset" 0 0 0
	mm_stat
	is "mm_stat" "$orig $compr $used" "0 0 0"
}

# The process is gone and returns no error.
test_sigkill() {
	c_waits
	interrupted_by KILL 0 1 '' 2>/dev/null
}

# As with Ctrl-Z and fg, or when the machine is suspended.
test_stopped_and_continued() {
	c_waits
	local n
	long_disk 0 1
	store_in_background a "$sys/writeback" idle
	progress 100
	kill -STOP $pid
	eventually 5 eval '[[ $(<"/proc/$pid/stat") == *") T "* ]]' || fail "the process was not stopped"
	bd_stat
	n=$bd_writes
	[ "$n" -lt $pages ] || fail "everything was written back, so this proves nothing"
	sleep 0.3
	bd_stat
	is "bd_writes some time later" "$bd_writes" "$n"
	kill -CONT $pid
	progress $((n + 100))
	kill -INT $pid
	ends a $pid EINTR 1000
	partial
	data_is_right
	rest_can_be_written
}

# Pages that were selected and not used since are not selected any more: the very same request completes the rest.
test_same_request_again() {
	c_waits
	local n
	long_disk 0 1
	for n in 200 600 1000; do
		store_in_background a "$sys/writeback" idle
		progress $n
		kill -INT $pid
		ends a $pid EINTR 1000
		partial
	done
	stores "$sys/writeback_batch_size" 64
	writes_back idle
	counts "after the rest" $pages 0 $pages
	data_is_right
}

# A slow device on which every write fails: after an interruption, pages that failed in one request are not retried
# one by one.
test_a_failing_device_is_left_soon() {
	c_waits
	local how
	long_disk 0 4
	bad_sectors wb0 0 32767
	for how in signal reset; do
		store_in_background a "$sys/writeback" idle
		# There is no progress that could be seen.
		sleep 1
		! ended $pid || fail "the writeback has ended, so this proves nothing"
		if [ $how = signal ]; then
			kill -INT $pid
			ends a $pid 'EINTR|EIO' 1000
			counts "of a device that fails" 0 0 0
			is "writeback_limit" "$(<"$sys/writeback_limit")" 10000
			data_is_right
			stores "$sys/idle" all
		else
			within 1000 stores "$sys/reset" 1
			ends a $pid 'EINTR|EIO' 200
		fi
	done
}

# --- Signals that are no reason to end --------------------------------------------------------------

# with_signals MODE FILE [TEXT]: a system call in the background, with signals meanwhile (see signals.c); its process
# is $pid, and it is called a.
with_signals() {
	: >"$TMP/a"
	{ exec "$(program signals)" "$@" >"$TMP/a" 2>"$TMP/ticks"; } &
	pid=$!
	wait_for_open "$2"
}

# ticked: the timer of the system call was there.
ticked() {
	note "the handler of the timer ran $(<"$TMP/ticks") times"
	at_least "the number of times that the timer's handler ran" "$(<"$TMP/ticks")" 1
}

# The size of a disk whose pages take much longer to be looked at than the timer of signals.c takes to come again.
large=16G

# A profiler has such a timer. The walk through all pages used to begin again at each tick, for ever.
test_a_timer_does_not_keep_idle_from_ending() {
	c_waits
	disk $large
	with_signals restart "$sys/idle" all
	ends a $pid OK 60000
	ticked
}

test_a_timer_does_not_keep_block_state_from_ending() {
	c_waits
	disk $large
	eventually 5 [ -e "/sys/kernel/debug/zram/zram$id/block_state" ] || skip "this kernel has no debugfs"
	with_signals restart "/sys/kernel/debug/zram/zram$id/block_state"
	ends a $pid OK 60000
	ticked
}

test_a_timer_does_not_keep_writeback_from_ending() {
	c_waits
	local limited
	for limited in 1 0; do
		[ $limited = 1 ] || { remove && tidy; }
		long_disk 0 4 $large
		# Without a limit, a worker takes part, and looks at the same signals.
		stores "$sys/writeback_limit_enable" $limited
		with_signals restart "$sys/writeback" idle
		ends a $pid OK 60000
		ticked
		counts "after the writeback" $pages 0 $pages
		data_is_right
	done
}

# to_recompress: a large disk with pages that recompression makes smaller.
to_recompress() {
	add
	if ! has lz4 || ! has zstd; then
		skip "there is no lz4, or no zstd"
	fi
	stores "$sys/comp_algorithm" lz4
	stores "$sys/recomp_algorithm" "algo=zstd priority=1"
	stores "$sys/disksize" $large
	does open "$dev" direct
	does bulk 0 $pages text 1
	does close
	mm_stat
	text=$compr
}

test_a_timer_does_not_keep_recompress_from_ending() {
	c_waits
	local what
	for what in threshold=0 max_pages=$((pages / 2)); do
		to_recompress
		with_signals restart "$sys/recompress" $what
		ends a $pid OK 60000
		ticked
		mm_stat
		note "the pages took $text bytes, and $compr after '$what'"
		[ "$compr" -lt "$text" ] || fail "the pages were not recompressed"
		does open "$dev" direct
		does bulkcheck 0 $pages text 1
		does close
		remove
	done
}

# The same timer ends what goes on for so long when its handler does not let system calls go on.
test_a_timer_without_restart_ends_them() {
	c_waits
	disk $large
	with_signals interrupt "$sys/idle" all
	ends a $pid EINTR 60000
	ticked
	remove
	to_recompress
	with_signals interrupt "$sys/recompress" threshold=0
	ends a $pid EINTR 60000
	ticked
	remove
	long_disk 0 1
	with_signals interrupt "$sys/writeback" idle
	ends a $pid EINTR 60000
	ticked
	rest_can_be_written
}

# Whatever else is pending: a signal to end the writeback, to kill its process or to stop it does so at once.
test_what_ends_a_writeback_with_a_timer() {
	c_waits
	long_disk 0 1
	with_signals restart "$sys/writeback" idle
	progress 100
	kill -INT $pid
	ends a $pid EINTR 1000
	partial
	with_signals restart "$sys/writeback" idle
	progress 300
	kill -KILL $pid
	ends a $pid '' 1000 2>/dev/null
	partial
	data_is_right
	# Reading is using.
	stores "$sys/idle" all
	with_signals restart "$sys/writeback" idle
	progress 500
	kill -STOP $pid
	eventually 5 eval '[[ $(<"/proc/$pid/stat") == *") T "* ]]' || fail "the process was not stopped"
	partial
	kill -CONT $pid
	ends a $pid OK 60000
	ticked
	bd_stat
	is "bd_count and bd_writes after the writeback" "$bd_count $bd_writes" "$pages $pages"
	data_is_right
}

# A writeback whose disk is reset must not be done again on the disk that is made of it.
test_reset_with_a_timer() {
	c_waits
	long_disk 0 1
	with_signals restart "$sys/writeback" idle
	progress 100
	within 1000 stores "$sys/reset" 1
	ends a $pid EINTR 200
	ticked
}

# The process is gone and returns no error, as after SIGKILL.
test_sigint_that_kills() {
	c_waits
	long_disk 0 1
	with_signals default "$sys/writeback" idle
	progress 200
	kill -INT $pid
	ends a $pid '' 1000 2>/dev/null
	partial
	data_is_right
	rest_can_be_written
}

# --- Reset, remove, unload ------------------------------------------------------------------------

test_reset() {
	c_waits
	local n compressed
	long_disk 0 1
	for n in 1 2 3 4; do
		store_in_background a "$sys/writeback" idle
		progress 100
		within 1000 stores "$sys/reset" 1
		# At once, and not only when the last one who did something has noticed.
		is "the backing device" "$(<"$sys/backing_dev")" none
		stores "$sys/backing_dev" "$nullb"
		ends a $pid EINTR 200
		is "disksize" "$(<"$sys/disksize")" 0
		is "initstate" "$(<"$sys/initstate")" 0
		counts "after reset" 0 0 0
		mm_stat
		is "mm_stat" "$orig $compr $used" "0 0 0"
		stores "$sys/compressed_writeback" $((n % 2))
		stores "$sys/disksize" $((pages * PAGE))
		does open "$dev" direct
		does bulkcheck 0 $pages zero 0
		does close
		fill_disk 1
	done
	rest_can_be_written
}

# Also those who still wait for their turn.
test_reset_with_others_waiting() {
	c_waits
	local first
	long_disk 0 1
	store_in_background a "$sys/writeback" idle
	first=$pid
	progress 100
	store_in_background b "$sys/writeback" huge
	sleep 0.3
	within 1000 stores "$sys/reset" 1
	is "opening the backing device exclusively" "$(tool exclusive "$nullb")" OK
	ends a $first EINTR 200
	wait $pid
	note "writeback b: $(<"$TMP/b")"
	[[ $(<"$TMP/b") =~ ^(EINTR|EINVAL)$ ]] || fail "the result of writeback b is $(<"$TMP/b")"
	counts "after reset" 0 0 0
}

test_an_open_disk_goes_on() {
	c_waits
	long_disk 0 2
	exec 7<"$dev"
	store_in_background a "$sys/writeback" idle
	progress 100
	within 500 stores "$sys/reset" 1 EBUSY
	within 500 stores $CONTROL/hot_remove "$id" EBUSY
	not_ok rmmod "$DRIVER"
	exec 7<&-
	ends a $pid OK 20000
	counts "after writeback" $pages 0 $pages
	data_is_right
}

test_hot_remove() {
	c_waits
	local n
	for n in 1 2 3; do
		[ $n != 1 ] || long_disk 0 1
		[ $n = 1 ] || {
			backed "$nullb" $((pages * PAGE))
			fill_disk 1
		}
		store_in_background a "$sys/writeback" idle
		progress 100
		within 1500 remove
		[ ! -e "$sys" ] || fail "$sys is still there"
		is "opening the backing device exclusively" "$(tool exclusive "$nullb")" OK
		ends a $pid EINTR 200
	done
}

test_rmmod() {
	c_waits
	local first
	long_disk 0 1
	store_in_background a "$sys/writeback" idle
	first=$pid
	progress 100
	store_in_background b "$sys/writeback" huge
	sleep 0.2
	within 2000 ok rmmod "$DRIVER"
	! loaded "$DRIVER" || fail "$DRIVER is still loaded"
	ends a $first EINTR 200
	wait $pid
	is "opening the backing device exclusively" "$(tool exclusive "$nullb")" OK
	load num_devices=0
	backed "$nullb" 1M
	does open "$dev" direct
	does bulk 0 64 random 1
	writes_back huge
	does bulkcheck 0 64 random 1
}

# --- Two at a time --------------------------------------------------------------------------------

test_a_second_one_waits_and_can_be_interrupted() {
	c_waits
	local first
	long_disk 0 1
	store_in_background a "$sys/writeback" huge
	first=$pid
	progress 100
	store_in_background b "$sys/writeback" page_indexes=$((pages / 2))-$((pages - 1))
	sleep 0.3
	! ended $pid || fail "the second writeback did not wait: $(<"$TMP/b")"
	kill -INT $pid
	ends b $pid EINTR 500
	! ended "$first" || fail "the first writeback has ended, so this proves nothing"
	# One more, which gets its turn.
	store_in_background c "$sys/writeback" page_indexes=$((pages / 2))-$((pages / 2 + 99))
	sleep 0.2
	! ended $pid || fail "the third writeback did not wait: $(<"$TMP/c")"
	! ended "$first" || fail "the first writeback has ended, so this proves nothing"
	bd_stat
	[ "$bd_count" -lt $((pages / 2)) ] || fail "there is something of the third writeback already"
	ends a "$first" OK 10000
	ends c $pid OK 5000
	counts "after both" $((pages / 2 + 100)) 0 $((pages / 2 + 100))
	data_is_right
}

# The other disk has a device of its own, and does not wait.
test_other_disks_do_not_wait() {
	local slow slow_pid
	long_disk 0 1
	slow=$id
	store_in_background a "$sys/writeback" idle
	slow_pid=$pid
	[ "$DRIVER" = zram ] || progress 100
	nullb wb1 1
	within 5000 backed "$nullb" 1M
	does open "$dev" direct
	does bulk 0 128 random 1
	within 1000 writes_back huge
	counts "of the other disk" 128 0 128
	does bulkcheck 0 128 random 1
	does close
	within 1000 remove
	! ended $slow_pid || fail "the writeback has ended, so this proves nothing"
	use "$slow"
	ends a $slow_pid OK 20000
	data_is_right
}

# Pages can be read, written and thrown away meanwhile; each ends where it should.
test_using_pages_meanwhile() {
	c_waits
	local index step=64
	long_disk 0 1
	store_in_background a "$sys/writeback" huge
	progress 64
	does open "$dev" direct
	for ((index = 0; index < pages / 2; index += step)); do
		does write $index 1 text 2
		does read $(((index + 1) * PAGE)) $PAGE
		does discard $(((index + 2) * PAGE)) $PAGE
		does write $((index + 3)) 1 same 2
		does write $((index + 4)) 1 random 2
	done
	! ended $pid || fail "the writeback has ended, so this proves nothing"
	ends a $pid OK 20000
	for ((index = 0; index < pages / 2; index += step)); do
		does check $index 1 text 2
		does check $((index + 1)) 1 random 1
		does check $((index + 2)) 1 zero 0
		does check $((index + 3)) 1 same 2
		does check $((index + 4)) 1 random 2
		does bulkcheck $((index + 5)) $((step - 5)) random 1
	done
	does bulkcheck $((pages / 2)) $((pages / 2)) text 1
	# Each page is in one place: writing all that is left fits exactly.
	bd_stat
	mm_stat
	is "limit and writes" $((bd_writes + $(<"$sys/writeback_limit"))) 10000
	stores "$sys/writeback_batch_size" 64
	writes_back page_indexes=0-$((pages - 1))
	bd_stat
	mm_stat
	is "compr_data_size" "$compr" 0
	is "bd_count" "$bd_count" $((orig / PAGE - same))
	does discard 0 $((pages * PAGE))
	bd_stat
	is "bd_count after discard" "$bd_count" 0
	does close
}

run_tests
