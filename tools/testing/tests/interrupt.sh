#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A long writeback can be observed and controlled while it runs: read the statistics, change limits, interrupt it, reset
# or remove the disk, unload the module, start another writeback and interrupt that. Also tests the effect of signals
# on all operations that take long.
#
# Proves that no other task waits for the end of the writeback, and that an interrupted writeback accounts for all pages
# that it has written: pages are right, none is written twice, and the others can be written later.
#
# C zram holds the lock of the disk until the end, so it fails all of these tests; ALL=1 runs them on C zram.
#
# Guest: uml-debug group=writeback seconds=900 alone
#
# Alone, since it measures time: beside other guests, freeing a pool took up to 0.7 s of a reset, in which the kernel
# waits for RCU (kmem_cache_destroy()), as it does for C zram.

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

# The time of a request in milliseconds. A request has up to 32 pages.
latency=80
pages=2048

skip_c_zram() {
	[ "$DRIVER" != zram ] || [ -n "${ALL:-}" ] || skip "C zram lets all others wait until a writeback has ended"
}

# long_disk [FORM [BATCH [SIZE]]]: adds a disk with pages whose writeback takes seconds, within its limit. SIZE is
# the size of the disk, if it is larger than these pages.
long_disk() {
	slow_nullb wb0 16 $((latency * 1000000))
	backed "$nullb" "${3:-$((pages * PAGE))}" lz4 "${1:-0}"
	fill_disk "${2:-1}"
}

fill_disk() {
	# A request of C zram has one page.
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

# wait_for_progress PAGES: waits until so many pages were written.
wait_for_progress() {
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

# ends_with NAME PID ERRNO[|ERRNO] MILLISECONDS: the process must end within that time, with one of these results.
ends_with() {
	local from
	now
	from=$now
	wait "$2"
	now
	note "writeback $1 ended after $((now - from)) ms: $(<"$TMP/$1")"
	[[ "|$3|" == *"|$(<"$TMP/$1")|"* ]] || fail "the result of writeback $1 is '$(<"$TMP/$1")', should be $3"
	[ $((now - from)) -le "$4" ] || fail "writeback $1 took $((now - from)) ms to end, not at most $4"
}

# within MILLISECONDS COMMAND...: the command must not take longer.
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

# check_partial: some of the pages have been written back, and not all, and the statistics and the limit account for
# them. A page that cannot be compressed fills a block in each form, and these pages are written first: they are the first
# ones on the disk.
check_partial() {
	bd_stat
	mm_stat
	note "$bd_count blocks were written, for $pages pages"
	[ "$bd_writes" -gt 0 ] || fail "nothing was written back"
	[ "$bd_writes" -lt $pages ] || fail "everything was written back"
	is "bd_count" "$bd_count" "$bd_writes"
	is "writeback_limit" "$(<"$sys/writeback_limit")" $((10000 - bd_writes))
	# The first pages of the disk go first.
	if [ "$bd_writes" -le $((pages / 2)) ]; then
		is "huge_pages" "$huge" $((pages / 2 - bd_writes))
		is "compr_data_size" "$compr" $((huge * PAGE + text))
	fi
}

check_data() {
	does open "$dev" direct
	does bulkcheck 0 $((pages / 2)) random 1
	does bulkcheck $((pages / 2)) $((pages / 2)) text 1
	does close
}

# write_the_rest [FORM]: writes back the other pages. (An interrupted writeback leaves no page selected.)
write_the_rest() {
	stores "$sys/writeback_batch_size" 64
	writes_back page_indexes=0-$((pages - 1))
	bd_stat
	if [ "${1:-}" = packed ]; then
		pack_stat
		is "pages after writing the rest" "$packed_pages" $pages
		is "blocks after writing the rest" "$packed_blocks" "$bd_count"
	else
		is "bd_count after writing the rest" "$bd_count" $pages
	fi
	is "bd_writes after writing the rest" "$bd_writes" "$bd_count"
	is "writeback_limit" "$(<"$sys/writeback_limit")" $((10000 - bd_count))
	mm_stat
	is "compr_data_size after writing the rest" "$compr" 0
	eventually 5 pool_is_empty || fail "$used bytes are in use"
	check_data
}

# --- Statistics -----------------------------------------------------------------------------------

# Reads and writes all of these files repeatedly. The machine may be busy with other tasks for a moment, so one access
# in a hundred may be late.
test_statistics_answer_at_once() {
	skip_c_zram
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
	ends_with a $pid OK 100
	note "$samples answers, $late took 100 ms or more; the longest of each file:"
	for file in "${!longest[@]}"; do
		note "    $file: ${longest[$file]} us"
		[ "${longest[$file]}" -lt 1000000 ] || fail "$file took ${longest[$file]} us"
	done
	at_least "the number of answers during writeback" $samples 300
	[ $((late * 100)) -le $samples ] || fail "$late of $samples answers took 100 ms or more"
	counts "after writeback" $pages 0 $pages
	check_data
}

# To mark the pages of a large disk takes seconds.
test_settings_change_while_idle_pages_are_marked() {
	skip_c_zram
	add
	stores "$sys/disksize" 16G
	store_in_background a "$sys/idle" all
	sleep 0.3
	within 1000 stores "$sys/mem_limit" 64M
	within 1000 mm_stat
	! ended $pid || fail "all pages are marked, so this proves nothing"
	within 1000 stores "$sys/reset" 1
	ends_with a $pid EINTR 1000
}

# --- Signals --------------------------------------------------------------------------------------

# interrupt_with SIGNAL FORM BATCH ERRNO
interrupt_with() {
	local signal=$1 form=$2 batch=$3 want=$4
	long_disk "$form" "$batch"
	store_in_background a "$sys/writeback" idle
	wait_for_progress 200
	kill "-$signal" $pid
	ends_with a $pid "$want" 1000
	check_partial
	check_data
	# Reads the pages before the next writeback, which does not depend on idleness.
	write_the_rest "$form"
}

test_sigint() {
	skip_c_zram
	interrupt_with INT 0 1 EINTR
}

test_sigint_compressed() {
	skip_c_zram
	interrupt_with INT 1 2 EINTR
}

test_sigint_packed() {
	skip_c_zram
	interrupt_with INT packed 1 EINTR
}

# A compaction ends at once, too. At any time a page is in memory or on the device, and no block is lost.
test_sigint_and_reset_during_compaction() {
	skip_c_zram
	local how index kept=0 before
	slow_nullb wb0 16 $((latency * 1000000 / 4))
	for how in signal reset; do
		backed "$nullb" 16M zstd packed
		does open "$dev" direct
		does bulk 0 $pages hex 1
		stores "$sys/writeback_batch_size" 64
		writes_back page_indexes=0-$((pages - 1))
		kept=0
		for ((index = 0; index < pages; index += 8)); do
			does discard $(((index + 1) * PAGE)) $((7 * PAGE))
			kept=$((kept + 1))
		done
		does close
		pack_stat
		is "pages on the device" "$packed_pages" $kept
		at_least "sparse blocks" "$sparse" $((kept / 2))
		stores "$sys/writeback_batch_size" 1
		bd_stat
		before=$bd_reads
		store_in_background a "$sys/writeback" compact
		until
			bd_stat
			[ "$bd_reads" -ge $((before + 20)) ]
		do
			! ended $pid || fail "the compaction has ended, so this proves nothing"
			[ "$failed" = 0 ] || break
			sleep 0.02
		done
		if [ $how = reset ]; then
			within 1000 stores "$sys/reset" 1
			ends_with a $pid EINTR 200
			nothing_is_left
			continue
		fi
		kill -INT $pid
		ends_with a $pid EINTR 1000
		pack_stat
		mm_stat
		note "$packed_pages pages of $kept are on the device, $packed_blocks blocks, $compr bytes are in memory"
		check_kept
		# What is in memory now, and the rest.
		stores "$sys/writeback_batch_size" 64
		writes_back page_indexes=0-$((pages - 1))
		writes_back compact
		pack_stat
		is "pages on the device in the end" "$packed_pages" $kept
		at_least "the most blocks for $packed_bytes bytes" $((packed_bytes / 2048 + 2)) "$packed_blocks"
		mm_stat
		is "bytes in memory in the end" "$compr" 0
		check_kept
		no_failed_io
		remove
	done
}

# check_kept: every eighth page is there, and no other.
check_kept() {
	does open "$dev" direct
	for ((index = 0; index < pages; index += 64)); do
		does check $index 1 hex 1
		does check $((index + 1)) 7 zero 0
		does check $((index + 8)) 1 hex 1
	done
	does close
}

# Without a limit, a worker takes part. It gets no signals, but ends with the task that it helps.
test_sigint_with_help() {
	skip_c_zram
	local compressed
	for compressed in 0 1; do
		[ $compressed = 0 ] || { remove && tidy; }
		long_disk $compressed 4
		stores "$sys/writeback_limit_enable" 0
		store_in_background a "$sys/writeback" idle
		wait_for_progress 300
		kill -INT $pid
		ends_with a $pid EINTR 1000
		bd_stat
		mm_stat
		note "$bd_count of $pages pages were written back, $((pages / 2 - huge)) of them incompressible"
		is "bd_count" "$bd_count" "$bd_writes"
		[ "$bd_writes" -lt $pages ] || fail "everything was written back"
		[ "$huge" -lt $((pages / 2)) ] || fail "none of the first pages was written back"
		is "writeback_limit" "$(<"$sys/writeback_limit")" 10000
		check_data
		stores "$sys/writeback_limit_enable" 1
		stores "$sys/writeback_limit" $((10000 - bd_writes))
		write_the_rest
	done
}

test_reset_with_help() {
	skip_c_zram
	long_disk 0 4
	stores "$sys/writeback_limit_enable" 0
	store_in_background a "$sys/writeback" idle
	wait_for_progress 300
	within 1000 stores "$sys/reset" 1
	is "the backing device" "$(<"$sys/backing_dev")" none
	ends_with a $pid EINTR 200
	is "opening the backing device exclusively" "$(wbtool exclusive "$nullb")" OK
	counts "after reset" 0 0 0
	mm_stat
	is "mm_stat" "$orig $compr $used" "0 0 0"
}

# The process is gone and returns no error.
test_sigkill() {
	skip_c_zram
	interrupt_with KILL 0 1 '' 2>/dev/null
}

# As by Ctrl-Z and fg, or when the machine is suspended.
test_stopped_and_continued() {
	skip_c_zram
	local n
	long_disk 0 1
	store_in_background a "$sys/writeback" idle
	wait_for_progress 100
	kill -STOP $pid
	eventually 5 eval '[[ $(<"/proc/$pid/stat") == *") T "* ]]' || fail "the process was not stopped"
	bd_stat
	n=$bd_writes
	[ "$n" -lt $pages ] || fail "everything was written back, so this proves nothing"
	sleep 0.3
	bd_stat
	is "bd_writes some time later" "$bd_writes" "$n"
	kill -CONT $pid
	wait_for_progress $((n + 100))
	kill -INT $pid
	ends_with a $pid EINTR 1000
	check_partial
	check_data
	write_the_rest
}

# An interrupted writeback leaves no page selected: a repetition of the request writes the rest.
test_same_request_again() {
	skip_c_zram
	local n
	long_disk 0 1
	for n in 200 600 1000; do
		store_in_background a "$sys/writeback" idle
		wait_for_progress $n
		kill -INT $pid
		ends_with a $pid EINTR 1000
		check_partial
	done
	stores "$sys/writeback_batch_size" 64
	writes_back idle
	counts "after the rest" $pages 0 $pages
	check_data
}

# All writes to a slow device fail: an interrupted writeback does not retry the pages of a failed request one by one.
test_a_failing_device_is_left_soon() {
	skip_c_zram
	local how
	long_disk 0 4
	bad_sectors wb0 0 32767
	for how in signal reset; do
		store_in_background a "$sys/writeback" idle
		# No counter shows progress.
		sleep 1
		! ended $pid || fail "the writeback has ended, so this proves nothing"
		if [ $how = signal ]; then
			kill -INT $pid
			ends_with a $pid 'EINTR|EIO' 1000
			counts "of a device that fails" 0 0 0
			is "writeback_limit" "$(<"$sys/writeback_limit")" 10000
			check_data
			stores "$sys/idle" all
		else
			within 1000 stores "$sys/reset" 1
			ends_with a $pid 'EINTR|EIO' 200
		fi
	done
}

# --- Signals that do not end an operation ---------------------------------------------------------

# with_signals MODE FILE [TEXT]: starts a system call in the background, with signals during it (see signals.c), as the
# process $pid. Its result will be in $TMP/a.
with_signals() {
	: >"$TMP/a"
	{ exec "$(program signals)" "$@" >"$TMP/a" 2>"$TMP/ticks"; } &
	pid=$!
	wait_for_open "$2"
}

# check_timer: the handler of the timer must have run.
check_timer() {
	note "the handler of the timer ran $(<"$TMP/ticks") times"
	at_least "the number of times that the timer's handler ran" "$(<"$TMP/ticks")" 1
}

# The size of a disk to scan whose pages takes much longer than the period of the timer of signals.c.
large=16G

# A profiler uses such a timer. The walk over all pages once restarted at each tick, and never ended.
test_a_timer_does_not_keep_idle_from_ending() {
	skip_c_zram
	disk $large
	with_signals restart "$sys/idle" all
	ends_with a $pid OK 60000
	check_timer
}

test_a_timer_does_not_keep_block_state_from_ending() {
	skip_c_zram
	disk $large
	eventually 5 [ -e "/sys/kernel/debug/zram/zram$id/block_state" ] || skip "this kernel has no debugfs"
	with_signals restart "/sys/kernel/debug/zram/zram$id/block_state"
	ends_with a $pid OK 60000
	check_timer
}

test_a_timer_does_not_keep_writeback_from_ending() {
	skip_c_zram
	local limited
	for limited in 1 0; do
		[ $limited = 1 ] || { remove && tidy; }
		long_disk 0 4 $large
		# Without a limit, a worker takes part, which checks the task's signals.
		stores "$sys/writeback_limit_enable" $limited
		with_signals restart "$sys/writeback" idle
		ends_with a $pid OK 60000
		check_timer
		counts "after the writeback" $pages 0 $pages
		check_data
	done
}

# recompression_disk: adds a large disk with pages that recompression makes smaller.
recompression_disk() {
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
	skip_c_zram
	local what
	for what in threshold=0 max_pages=$((pages / 2)); do
		recompression_disk
		with_signals restart "$sys/recompress" $what
		ends_with a $pid OK 60000
		check_timer
		mm_stat
		note "the pages took $text bytes, and $compr after '$what'"
		[ "$compr" -lt "$text" ] || fail "the pages were not recompressed"
		does open "$dev" direct
		does bulkcheck 0 $pages text 1
		does close
		remove
	done
}

# The timer interrupts these operations if its handler does not restart system calls.
test_a_timer_without_restart_ends_them() {
	skip_c_zram
	disk $large
	with_signals interrupt "$sys/idle" all
	ends_with a $pid EINTR 60000
	check_timer
	remove
	recompression_disk
	with_signals interrupt "$sys/recompress" threshold=0
	ends_with a $pid EINTR 60000
	check_timer
	remove
	long_disk 0 1
	with_signals interrupt "$sys/writeback" idle
	ends_with a $pid EINTR 60000
	check_timer
	write_the_rest
}

# A signal that ends, kills or stops a writeback does so at once, also while the timer's signal is pending.
test_what_ends_a_writeback_with_a_timer() {
	skip_c_zram
	long_disk 0 1
	with_signals restart "$sys/writeback" idle
	wait_for_progress 100
	kill -INT $pid
	ends_with a $pid EINTR 1000
	check_partial
	with_signals restart "$sys/writeback" idle
	wait_for_progress 300
	kill -KILL $pid
	ends_with a $pid '' 1000 2>/dev/null
	check_partial
	check_data
	# The check has read the pages.
	stores "$sys/idle" all
	with_signals restart "$sys/writeback" idle
	wait_for_progress 500
	kill -STOP $pid
	eventually 5 eval '[[ $(<"/proc/$pid/stat") == *") T "* ]]' || fail "the process was not stopped"
	check_partial
	kill -CONT $pid
	ends_with a $pid OK 60000
	check_timer
	bd_stat
	is "bd_count and bd_writes after the writeback" "$bd_count $bd_writes" "$pages $pages"
	check_data
}

# A writeback that ends with a reset must not be restarted on the new disk.
test_reset_with_a_timer() {
	skip_c_zram
	long_disk 0 1
	with_signals restart "$sys/writeback" idle
	wait_for_progress 100
	within 1000 stores "$sys/reset" 1
	ends_with a $pid EINTR 200
	check_timer
}

# The process is gone and returns no error, as after SIGKILL.
test_sigint_that_kills() {
	skip_c_zram
	long_disk 0 1
	with_signals default "$sys/writeback" idle
	wait_for_progress 200
	kill -INT $pid
	ends_with a $pid '' 1000 2>/dev/null
	check_partial
	check_data
	write_the_rest
}

# --- Reset, remove, unload ------------------------------------------------------------------------

test_reset() {
	skip_c_zram
	local n compressed
	long_disk 0 1
	for n in 1 2 3 4; do
		store_in_background a "$sys/writeback" idle
		wait_for_progress 100
		within 1000 stores "$sys/reset" 1
		# At once, even before the interrupted task has ended.
		is "the backing device" "$(<"$sys/backing_dev")" none
		stores "$sys/backing_dev" "$nullb"
		ends_with a $pid EINTR 200
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
	write_the_rest
}

# A reset also ends tasks that wait for their turn.
test_reset_with_others_waiting() {
	skip_c_zram
	local first
	long_disk 0 1
	store_in_background a "$sys/writeback" idle
	first=$pid
	wait_for_progress 100
	store_in_background b "$sys/writeback" huge
	sleep 0.3
	within 1000 stores "$sys/reset" 1
	is "opening the backing device exclusively" "$(wbtool exclusive "$nullb")" OK
	ends_with a $first EINTR 200
	wait $pid
	note "writeback b: $(<"$TMP/b")"
	[[ $(<"$TMP/b") =~ ^(EINTR|EINVAL)$ ]] || fail "the result of writeback b is $(<"$TMP/b")"
	counts "after reset" 0 0 0
}

test_an_open_disk_goes_on() {
	skip_c_zram
	long_disk 0 2
	exec 7<"$dev"
	store_in_background a "$sys/writeback" idle
	wait_for_progress 100
	# Each waits a second for the opener, and longer on a busy machine.
	within 5000 stores "$sys/reset" 1 EBUSY
	within 5000 stores $CONTROL/hot_remove "$id" EBUSY
	not_ok rmmod "$DRIVER"
	exec 7<&-
	ends_with a $pid OK 20000
	counts "after writeback" $pages 0 $pages
	check_data
}

test_hot_remove() {
	skip_c_zram
	local n
	for n in 1 2 3; do
		[ $n != 1 ] || long_disk 0 1
		[ $n = 1 ] || {
			backed "$nullb" $((pages * PAGE))
			fill_disk 1
		}
		store_in_background a "$sys/writeback" idle
		wait_for_progress 100
		within 1500 remove
		[ ! -e "$sys" ] || fail "$sys is still there"
		is "opening the backing device exclusively" "$(wbtool exclusive "$nullb")" OK
		ends_with a $pid EINTR 200
	done
}

test_rmmod() {
	skip_c_zram
	local first
	long_disk 0 1
	store_in_background a "$sys/writeback" idle
	first=$pid
	wait_for_progress 100
	store_in_background b "$sys/writeback" huge
	sleep 0.2
	within 2000 ok rmmod "$DRIVER"
	! loaded "$DRIVER" || fail "$DRIVER is still loaded"
	ends_with a $first EINTR 200
	wait $pid
	is "opening the backing device exclusively" "$(wbtool exclusive "$nullb")" OK
	load num_devices=0
	backed "$nullb" 1M
	does open "$dev" direct
	does bulk 0 64 random 1
	writes_back huge
	does bulkcheck 0 64 random 1
}

# --- Two at a time --------------------------------------------------------------------------------

test_a_second_one_waits_and_can_be_interrupted() {
	skip_c_zram
	local first
	long_disk 0 1
	store_in_background a "$sys/writeback" huge
	first=$pid
	wait_for_progress 100
	store_in_background b "$sys/writeback" page_indexes=$((pages / 2))-$((pages - 1))
	sleep 0.3
	! ended $pid || fail "the second writeback did not wait: $(<"$TMP/b")"
	kill -INT $pid
	ends_with b $pid EINTR 500
	! ended "$first" || fail "the first writeback has ended, so this proves nothing"
	# A third writeback gets its turn.
	store_in_background c "$sys/writeback" page_indexes=$((pages / 2))-$((pages / 2 + 99))
	sleep 0.2
	! ended $pid || fail "the third writeback did not wait: $(<"$TMP/c")"
	! ended "$first" || fail "the first writeback has ended, so this proves nothing"
	bd_stat
	[ "$bd_count" -lt $((pages / 2)) ] || fail "there is something of the third writeback already"
	ends_with a "$first" OK 10000
	ends_with c $pid OK 5000
	counts "after both" $((pages / 2 + 100)) 0 $((pages / 2 + 100))
	check_data
}

# Another disk, which has its own backing device, does not wait.
test_other_disks_do_not_wait() {
	local slow slow_pid
	long_disk 0 1
	slow=$id
	store_in_background a "$sys/writeback" idle
	slow_pid=$pid
	[ "$DRIVER" = zram ] || wait_for_progress 100
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
	ends_with a $slow_pid OK 20000
	check_data
}

# Pages can be read, written and discarded during a writeback; each keeps the right data, in one place.
test_using_pages_meanwhile() {
	skip_c_zram
	local index step=64
	long_disk 0 1
	store_in_background a "$sys/writeback" huge
	wait_for_progress 64
	does open "$dev" direct
	for ((index = 0; index < pages / 2; index += step)); do
		does write $index 1 text 2
		does read $(((index + 1) * PAGE)) $PAGE
		does discard $(((index + 2) * PAGE)) $PAGE
		does write $((index + 3)) 1 same 2
		does write $((index + 4)) 1 random 2
	done
	! ended $pid || fail "the writeback has ended, so this proves nothing"
	ends_with a $pid OK 20000
	for ((index = 0; index < pages / 2; index += step)); do
		does check $index 1 text 2
		does check $((index + 1)) 1 random 1
		does check $((index + 2)) 1 zero 0
		does check $((index + 3)) 1 same 2
		does check $((index + 4)) 1 random 2
		does bulkcheck $((index + 5)) $((step - 5)) random 1
	done
	does bulkcheck $((pages / 2)) $((pages / 2)) text 1
	# Each page is in one place: all others fit exactly.
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
