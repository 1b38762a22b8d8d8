#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: bench.sh SIZE PAIRS SECONDS JOBS GROUP,... [PAIR:VISIT...]
#
# The guest's part of tools/bench: runs C zram and zram_rs in turn, in the same guest. A visit is one setup, with which
# several cells are measured. Each visit runs on both drivers, one right after the other, and the driver that goes first
# changes with each pair. All visits of a pair run before the next pair begins, so that a run that has no more time
# (after SECONDS) has about the same number of pairs of each visit. The visits given as arguments are done already.
#
# SIZE is full or smoke. JOBS selects the visits: "one" selects those with one job and no kernel worker, "more" the
# others, "any" all. The groups are those of the table below; with a slash, GROUP is a pattern for visits of that group.
# The output is for tools/bench:
#
#   plan NUMBER                               of visits to run, counted for each pair
#   begin PAIR VISIT
#   sample PAIR DRIVER CELL METRIC VALUE
#   skip PAIR VISIT REASON                    this kernel or driver cannot do it
#   end PAIR VISIT
#   late                                      there was no time for the other visits

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

size=$1 pairs=$2 seconds=$3 jobs=$4 groups=$5
shift 5
paid=" $* "
export ZBENCH_DATA=$TMP
cpus=$(grep -c '^processor' /proc/cpuinfo)

# Sizes and times.
case $size in
full) io_pages=4096 io_ms=80 large_ms=300 fio_size=64M crowd_s=2 floor_ms=200 swap_pages=16384 readback_pages=16384 readback_ms=400 pack_pages=65536 narrow_mbps=400 stat_pages=65536 block_gib=64 block_s=40 free_pages=262144 ;;
smoke) io_pages=1024 io_ms=8 large_ms=30 fio_size=8M crowd_s=1 floor_ms=20 swap_pages=2048 readback_pages=2048 readback_ms=20 pack_pages=8192 narrow_mbps=20 stat_pages=8192 block_gib=4 block_s=2 free_pages=8192 ;;
*) exit 1 ;;
esac
algorithms=(lzo-rle lz4 zstd)
kinds=(text binary random same mixed)

# --- The visits -----------------------------------------------------------------------------------

# Each function prints one line for each visit: its name, and zbench's arguments.
visits_floor() {
	local algorithm kind
	for algorithm in "${algorithms[@]}"; do
		for kind in text binary random mixed; do
			echo "floor/$algorithm/$kind floor $algorithm $kind $io_pages $floor_ms"
		done
	done
}

visits_io() {
	local algorithm kind jobs
	for jobs in 1 2; do
		for algorithm in "${algorithms[@]}"; do
			for kind in "${kinds[@]}"; do
				echo "io/$algorithm/$kind/j$jobs io $algorithm $kind $jobs $io_pages $io_ms"
			done
		done
	done
}

# Requests of the sizes of large folios, by one job with a processor to spare, and by as many jobs as processors.
visits_large() {
	local algorithm kind jobs
	for jobs in 1 2; do
		for algorithm in lz4 zstd; do
			for kind in mixed text; do
				echo "large/$algorithm/$kind/j$jobs large $algorithm $kind $jobs $io_pages $large_ms"
			done
		done
	done
}

# The same measured by fio, for fewer kinds, to confirm the numbers of zbench.
visits_fio() {
	local algorithm
	for algorithm in "${algorithms[@]}"; do
		echo "fio/$algorithm fio $algorithm"
	done
}

# Tasks that write to one page at the same time, and so wait for the lock of its slot.
visits_contention() {
	echo "contention/lz4 contention lz4"
}

visits_swap() {
	echo "swap/lz4 swap lz4 mixed $swap_pages"
	echo "swap/zstd swap zstd mixed $swap_pages"
}

visits_writeback() {
	local name mode few
	for mode in raw compressed packed; do
		for name in ram slow file; do
			few=$1
			[ $name != slow ] || few=$(($1 / 8))
			echo "writeback/$name/$mode/$(($1 / 1024))k writeback $name $(backing $name) $mode binary $1 $few ${*:2}"
		done
	done
}

# To a device of which bandwidth is what limits it, pages that leave much of a block unused.
visits_bandwidth() {
	local mode
	for mode in raw compressed packed; do
		echo "writeback/narrow/$mode/$(($1 / 1024))k writeback narrow $(backing narrow) $mode text $1 $1 32"
	done
}

visits_readback() {
	local name mode
	for mode in raw compressed packed; do
		for name in ram slow; do
			echo "readback/$name/$mode readback $name $(backing $name) $mode binary $readback_pages $readback_ms"
		done
	done
}

# Pages of a request of 1 MiB, which the driver can read together.
visits_readlarge() {
	local name mode
	for mode in raw compressed packed; do
		for name in ram slow; do
			echo "readlarge/$name/$mode readlarge $name $(backing $name) $mode binary $readback_pages $readback_ms"
		done
	done
}

visits_pack() {
	local algorithm kind pages
	for algorithm in lz4 zstd; do
		for kind in text binary mixed; do
			for pages in 1000 $pack_pages; do
				echo "pack/$algorithm/$kind/$pages pack $(backing slow) $algorithm $kind $pages"
			done
		done
	done
}

visits_stat() {
	echo "stat stat $(backing ram) binary $stat_pages"
}

visits_memory() {
	echo "memory memory /dev/wbidle"
}

visits_free() {
	local kind
	for kind in mixed text random same; do
		echo "free/lz4/$kind free lz4 $kind $free_pages"
	done
}

# On two processors, helpers take part in these folios, but for reads of 64 KiB with lz4.
visits_folios() {
	local algorithm kib
	for algorithm in lz4 zstd; do
		for kib in 64 2048; do
			echo "folios/$algorithm/mixed/${kib}k folios $algorithm mixed $kib $swap_pages"
		done
	done
}

visits_scale() {
	local algorithm
	for algorithm in lz4 zstd; do
		echo "scale/$algorithm/c$cpus io $algorithm mixed $cpus $io_pages $io_ms"
	done
}

visits_blocks() {
	echo "blocks/${block_gib}g blocks /dev/wbnone $block_gib 32768 0"
}

# To fill a device takes long, with C zram hours, so this runs once, at the end.
visits_fullblocks() {
	echo "blocks/full blocks /dev/wbnone $block_gib 32768 $block_s"
}

visits_of() {
	case $1 in
	writeback)
		if [ "$size" = smoke ]; then
			visits_writeback 4096 1 32 128
			visits_bandwidth 4096
		else
			visits_writeback 65536 1 32 128
			visits_bandwidth 65536
			# Only the default batch size: all would take more than an hour.
			visits_writeback 262144 32
		fi
		;;
	*) "visits_$1" ;;
	esac
}

visits() {
	local group all visit
	IFS=, read -ra all <<<"$groups"
	for group in "${all[@]}"; do
		visits_of "${group%%/*}" | while read -r visit; do
			# shellcheck disable=SC2053 # a pattern
			[[ $group != */* || ${visit%% *} == $group ]] || continue
			case $jobs:$visit in
			any:* | one:floor/* | one:fio/* | one:readback/* | one:io/*/j1\ *) echo "$visit" ;;
			one:* | more:floor/* | more:fio/* | more:readback/* | more:io/*/j1\ *) ;;
			more:*) echo "$visit" ;;
			esac
		done
	done
}

# --- Devices --------------------------------------------------------------------------------------

backing() {
	case $1 in
	ram) echo /dev/ram0 ;;
	slow) echo /dev/wbslow ;;
	narrow) echo /dev/wbnarrow ;;
	file) echo "${ZR_DISKS%% *}" ;;
	esac
}

# A RAM disk; one whose requests take 100 microseconds, up to 128 of them at a time; one that takes 400 MiB a second, or
# 20 if there are few pages; one that keeps nothing, and is so large that blocks can be looked for; and one that keeps
# nothing, and takes a millisecond for that. What --disk gave is the file. Visits that need one which this kernel does
# not have are skipped.
devices() {
	local mib=1088
	[ "$size" = full ] || mib=64
	modprobe brd rd_nr=1 rd_size=$((mib << 10))
	# In subshells, because they end where there is no null_blk.
	(slow_nullb wbslow $mib 100000 hw_queue_depth 128)
	(nullb wbnarrow $mib mbps $narrow_mbps)
	(nullb wbnone $(((block_gib + 1) << 10)) memory_backed 0 irqmode 0)
	(slow_nullb wbidle 64 1000000 memory_backed 0 hw_queue_depth 1024)
}

# forget: frees the memory that a visit has left in use.
forget() {
	blkdiscard -f /dev/ram0 2>/dev/null
	blkdiscard -f /dev/wbslow 2>/dev/null
	blkdiscard -f /dev/wbnarrow 2>/dev/null
	sync
	echo 3 >/proc/sys/vm/drop_caches
}

# --- Measuring ------------------------------------------------------------------------------------

# with_fio ALGORITHM: measures all patterns with one run of fio, and prints the results as zbench does.
with_fio() {
	local name options=()
	disk "$fio_size" "$1"
	for name in write-1m randwrite-4k write-4k randwrite-1m randread-4k read-4k randread-1m read-1m; do
		options+=("--name=$name" "--rw=${name%-*}" "--bs=${name#*-}" --stonewall)
	done
	fio --filename="$dev" --size="$fio_size" --loops=2 --direct=1 --ioengine=libaio --iodepth=32 \
		--iodepth_batch_submit=32 --iodepth_batch_complete_min=1 --randseed=7 --norandommap=0 \
		--buffer_compress_percentage=60 --buffer_compress_chunk=4k --output-format=terse --terse-version=3 \
		"${options[@]}" >"$TMP/fio" || exit 1
	while IFS=';' read -ra field; do
		[ "${#field[@]}" -gt 50 ] || continue
		name=${field[2]}
		# KiB per second, read or written.
		bandwidth=${field[6]}
		[ "$bandwidth" != 0 ] || bandwidth=${field[47]}
		[ "$bandwidth" != 0 ] || exit 1
		echo "fio/$1/mixed/j1/$name ns $((4 * 1000000000 / bandwidth)).0"
	done <"$TMP/fio"
	remove
}

# with_contention ALGORITHM: measures writes of one incompressible page, which the driver copies with the slot locked.
# The time of a page is that of all jobs together. The number of context switches does not depend on the machine's load.
with_contention() {
	local jobs options=() field
	disk 1M "$1"
	for jobs in 1 32 128; do
		options+=("--name=j$jobs" "--numjobs=$jobs" --new_group --stonewall)
	done
	fio --filename="$dev" --size=4k --bs=4k --direct=1 --rw=randwrite --thread --group_reporting --time_based \
		--runtime="$crowd_s" --randseed=7 --output-format=terse --terse-version=3 "${options[@]}" \
		>"$TMP/fio" || exit 1
	while IFS=';' read -ra field; do
		[ "${#field[@]}" -gt 90 ] || continue
		[ "${field[47]}" != 0 ] || exit 1
		echo "contention/$1/randwrite-4k/${field[2]} ns $((4 * 1000000000 / field[47])).0"
		echo "contention/$1/randwrite-4k/${field[2]} switches $((4000 * field[89] / field[46])).0"
	done <"$TMP/fio"
	remove
}

# measure PAIR VISIT ARGUMENTS...: measures the loaded driver.
measure() {
	local pair=$1 visit=$2 cell metric value status=0 who=$DRIVER
	shift 2
	[ "$1" != floor ] || who=floor
	if [ "$1" = fio ] || [ "$1" = contention ]; then
		("with_$1" "$2") >"$TMP/result" 2>"$TMP/error" || status=$?
	else
		"$(program zbench)" "$@" >"$TMP/result" 2>"$TMP/error" || status=$?
	fi
	case $status in
	0) ;;
	4)
		echo "skip $pair $visit $who: $(<"$TMP/error")"
		return 4
		;;
	*)
		echo "# $visit with $who ended with status $status: $(<"$TMP/error")"
		return 1
		;;
	esac
	while read -r cell metric value; do
		case $cell:$visit in
		'#:'*) echo "# $visit, $who: $metric $value" ;;
		memory/*:scale/*) ;;
		*:scale/*) echo "sample $pair $who ${cell/#io/scale} $metric $value" ;;
		*) echo "sample $pair $who $cell $metric $value" ;;
		esac
	done <"$TMP/result"
}

# pay PAIR VISIT ARGUMENTS...: measures both drivers.
pay() {
	local pair=$1 order=(zram zram_rs) bad=0 word
	echo "begin $1 $2"
	for word in "${@:3}"; do
		[[ $word != /dev/* ]] || [ -b "$word" ] || {
			echo "skip $1 $2 there is no $word"
			echo "end $1 $2"
			return
		}
	done
	[ $((pair % 2)) = 1 ] || order=(zram_rs zram)
	[ "$3" != floor ] || order=(none)
	for DRIVER in "${order[@]}"; do
		if [ "$DRIVER" = none ]; then
			measure "$@" || bad=$?
			continue
		fi
		load num_devices=0 || exit 1
		measure "$@" || bad=$?
		[ $bad = 0 ] || hot_remove_all
		unload
		[[ $3 != writeback && $3 != readback && $3 != readlarge && $3 != pack && $3 != stat ]] || forget
		[ $bad = 0 ] || break
	done
	# A visit that failed, or was skipped, is not repeated.
	case $bad in
	0 | 4) echo "end $1 $2" ;;
	*) failures=$((failures + 1)) ;;
	esac
}

# Touches all memory and the disk before the measurement. The host allocates the guest's memory, and the file of its
# disk, page by page, which takes as long as what is measured, and longer on two processors at the same time.
touch_memory() {
	local available
	available=$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo)
	mkdir "$TMP/all"
	mount -t tmpfs -o size=100% all "$TMP/all" || exit 1
	dd if=/dev/zero of="$TMP/all/zeroes" bs=1M count=$((available / 1024 * 9 / 10)) status=none
	umount "$TMP/all"
	[ ! -b "$(backing file)" ] || dd if=/dev/zero of="$(backing file)" bs=1M oflag=direct status=none 2>/dev/null
}

visits >"$TMP/visits"
mapfile -t all <"$TMP/visits"
if [ ${#all[@]} = 0 ]; then
	# A pattern may match no visit with so many jobs.
	[ "$jobs" != any ]
	exit
fi
kernel_log "bench.sh: begin"
unload
touch_memory
devices
zbench prepare "$io_pages" || exit 1
# On a kernel without debugfs or the floor module, the visits that need it are skipped.
[ -d /sys/kernel/debug/block ] || mount -t debugfs none /sys/kernel/debug
modprobe zram_floor || echo "# there is no zram_floor"
failures=0

plan=()
for ((pair = 1; pair <= pairs; pair++)); do
	for line in "${all[@]}"; do
		[[ $paid != *" $pair:${line%% *} "* ]] || continue
		# The floor is measured for one driver only, and varies little.
		[[ $line != floor/* || $pair -le 3 ]] || continue
		plan+=("$pair $line")
	done
done
echo "plan ${#plan[@]}"
from=$SECONDS
for line in "${plan[@]}"; do
	if [ $((SECONDS - from)) -ge "$seconds" ]; then
		echo late
		break
	fi
	# shellcheck disable=SC2086 # words
	pay $line
done
loaded zram_floor && rmmod zram_floor
[ $failures = 0 ]
