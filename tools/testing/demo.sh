#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: demo.sh [MIB]
#
# The main use, in a guest, with common tools: a swap device and a file system on compressed memory. A workload of MIB
# (default: one and a half times the memory) is swapped out; while one half of it is in use again, the driver writes the
# other half back to a disk (the first of --disk) by itself, as pages that were not used meanwhile, and compresses some
# of them once more before. Then all of it is read back, and every page is verified. Files are written to ext4, which is
# mounted again, and compared. Ends with a report, and with the record of the swap device by zram-watch, in lines that
# begin with "csv "; the exit status is 1 if anything failed.

DRIVER=${ZR_DRIVER:-zram_rs}
# When the driver writes back pages by itself, at first: after a day, which this demo does not last.
AUTO='age=86400 every=60 max=67108864'
failed=0

# --- Output ---------------------------------------------------------------------------------------

now() { echo "${EPOCHREALTIME/./}"; }
begun=$(now)

# step WHAT REMARK: prints that a step has succeeded.
step() { printf '  ok   %-36s %s\n' "$1" "$2"; }

wrong() {
	printf '  NO   %s\n' "$*"
	failed=$((failed + 1))
}

# must WHAT COMMAND...: ends the demo if the command fails.
must() {
	local what=$1 said
	shift
	said=$("$@" 2>&1) && return
	wrong "$what: $said"
	exit 1
}

# put FILE VALUE: a write to a file, as a command for must.
put() { echo "$2" >"$1"; }

# is WHAT GOT WANTED: counts a failure if the values differ.
is() {
	[ "$2" = "$3" ] || wrong "$1 is '$2', should be '$3'"
}

mib() { echo $((($1 + 524288) >> 20)); }

# grouped NUMBER: prints the number with commas between thousands.
grouped() {
	local n=$1 out=''
	while [ ${#n} -gt 3 ]; do
		out=,${n: -3}$out
		n=${n:0:-3}
	done
	echo "$n$out"
}

# ratio A B: prints A / B with two decimals.
ratio() {
	local hundred=$(($2 ? ($1 * 100 + $2 / 2) / $2 : 0))
	printf '%d.%02d' $((hundred / 100)) $((hundred % 100))
}

seconds_since() {
	local tenth=$((($(now) - $1) / 100000))
	printf '%d.%d s' $((tenth / 10)) $((tenth % 10))
}

# bar LABEL VALUE FULL: prints VALUE MiB as a bar, to the scale of FULL.
bar() {
	local width=34 n i line=''
	n=$((($2 * width + $3 / 2) / $3))
	for ((i = 0; i < width; i++)); do
		[ "$i" -lt "$n" ] && line+='#' || line+='.'
	done
	row "$(printf '%-18s %s %5d MiB' "$1" "$line" "$2")"
}

rule() { printf '  +----------------------------------------------------------------------+\n'; }
row() { printf '  | %-68s |\n' "$*"; }

# counter NAME: prints a counter of /proc/vmstat, including the processors' parts.
counter() {
	local name value
	echo 1 >/proc/sys/vm/stat_refresh
	while read -r name value; do
		[ "$name" != "$1" ] || echo "$value"
	done </proc/vmstat
}

# stats_of NAME: prints a number of the disk's stats.
stats_of() {
	local name value
	while read -r name value; do
		[ "$name" != "$1" ] || echo "$value"
	done <<<"$(cat "/sys/block/${swap#/dev/}/stats")"
}

# --- Steps ----------------------------------------------------------------------------------------

load() {
	zspages=$(counter nr_zspages)
	must "modprobe $DRIVER" modprobe "$DRIVER" packed_writeback=1 "auto_writeback=\"$AUTO\""
	[ -d "/sys/module/$DRIVER" ] || wrong "there is no module $DRIVER"
	for other in zram zram_rs; do
		[ $other = "$DRIVER" ] || [ ! -d /sys/module/$other ] || wrong "$other is loaded too"
	done
	step "modprobe $DRIVER" "$(modinfo -F description "$DRIVER")"
}

# watch PID FILE: writes the line of mm_stat with the most data to FILE, until PID has ended.
watch() {
	local original used rest most=0
	while kill -0 "$1" 2>/dev/null; do
		read -r original _ used rest <"/sys/block/${swap#/dev/}/mm_stat"
		if [ "$original" -gt "$most" ]; then
			most=$original
			echo "$original $used $rest" >"$2"
		fi
		sleep 0.2
	done
}

# until_it_says TEXT: waits until swapcheck prints TEXT.
until_it_says() {
	until grep -q "$1" /tmp/swapcheck; do
		kill -0 "$pid" 2>/dev/null || must "swapcheck" false
		sleep 0.1
	done
}

make_swap() {
	local sys id size=$((workload * 5 / 4))
	read -r backing _ <<<"${ZR_DISKS:-}"
	must "a disk to write back to (vm --disk)" [ -b "$backing" ]
	id=$(cat /sys/class/zram-control/hot_add)
	swap=/dev/zram$id sys=/sys/block/zram$id
	# zramctl resets the disk first, and does not support backing devices.
	is "auto_writeback of a new disk" "$(cat "$sys/auto_writeback")" "$AUTO"
	must "backing_dev" put "$sys/backing_dev" "$backing"
	must "comp_algorithm" put "$sys/comp_algorithm" lz4
	must "recomp_algorithm" put "$sys/recomp_algorithm" "algo=zstd"
	must "disksize" put "$sys/disksize" "${size}M"
	step "hot_add, backing_dev, disksize" "$swap of $size MiB, with $(cat "$sys/backing_dev") behind it"
	is "the algorithm, as zramctl says," "$(zramctl --output ALGORITHM --noheadings "$swap")" lz4
	# The swap code allocates tables of its clusters to swap out, and prints a warning when it cannot.
	must "min_free_kbytes" put /proc/sys/vm/min_free_kbytes 16384
	must "mkswap $swap" mkswap "$swap"
	must "swapon $swap" swapon --priority 100 "$swap"
	step "mkswap, swapon" "$(swapon --show=NAME,TYPE,SIZE --noheadings)"
	[ "$(cat "/sys/module/$DRIVER/refcnt")" -gt 0 ] || wrong "$DRIVER is not in use with swap on its device"
}

# uptime: prints the seconds since boot.
uptime() {
	local seconds
	read -r seconds _ </proc/uptime
	echo "${seconds%.*}"
}

# wait_for_cold_pages: waits until automatic turns have written back as many pages as are cold, and one has found no
# more. Gives up when nothing happens for a minute.
wait_for_cold_pages() {
	local last=-1 since=$SECONDS pages shown=0
	while true; do
		pages=$(stats_of auto_writeback_pages)
		[ "$pages" -lt "$cold" ] || [ "$(stats_of auto_writeback_ends_done)" = 0 ] || return 0
		[ "$pages" = "$last" ] || last=$pages since=$SECONDS
		[ $((SECONDS - since)) -lt 60 ] || {
			wrong "automatic writeback has stopped after $pages pages: $(grep ^auto_ "/sys/block/${swap#/dev/}/stats")"
			return
		}
		[ $((pages * 4)) -lt $(((shown + 1) * cold)) ] || {
			shown=$((pages * 4 / cold))
			printf '      %s of %s cold pages are on the disk\n' "$(grouped "$pages")" "$(grouped "$cold")"
		}
		sleep 0.5
	done
}

# Has the driver write back the pages that were not used since so many seconds of uptime. No command does: it takes each
# page as soon as the page is old enough, compressed, several to a block. The first pages are recompressed before.
cold_pages_go() {
	local sys=/sys/block/${swap#/dev/} disk_before disk_after
	read -ra disk_before <"/sys/block/${backing#/dev/}/stat"
	read -r _ _ idle_used _ <"$sys/mm_stat"
	is "pages on the disk before they are old enough" "$(stats_of pages_device)" 0
	wb_age=$(($(uptime) - $1))
	must "auto_recompress" put "$sys/auto_recompress" "age=$wb_age every=3600 max=16M"
	must "auto_writeback" put "$sys/auto_writeback" "age=$wb_age every=1 max=1G"
	wait_for_cold_pages
	# The turn that is on its way ends, so that the numbers below are of one moment.
	must "auto_recompress" put "$sys/auto_recompress" off
	must "auto_writeback" put "$sys/auto_writeback" "$AUTO"
	read -r _ _ rest_used _ <"$sys/mm_stat"
	read -r _ wb_back wb_written <"$sys/bd_stat"
	read -r _ wb_data wb_blocks _ <"$sys/bd_pack_stat"
	read -ra disk_after <"/sys/block/${backing#/dev/}/stat"
	wb_pages=$(stats_of auto_writeback_pages)
	wb_ms=$(stats_of auto_writeback_milliseconds)
	re_pages=$(stats_of auto_recompress_pages)
	re_bytes=$(stats_of auto_recompress_bytes)
	wb_requests=$((disk_after[4] - disk_before[4]))
	wb_bytes=$(((disk_after[6] - disk_before[6]) * 512))
	# A process may have used a page since, which frees its swap slot.
	if [ "$wb_written" -lt "$wb_blocks" ] || [ "$wb_written" -gt $((wb_blocks + wb_back)) ]; then
		wrong "$wb_written blocks were written, $wb_back pages read since, and $wb_blocks blocks are in use"
	fi
	is "what the disk was written, in blocks," $((wb_bytes / 4096)) "$wb_written"
	is "what automatic turns have written, in blocks," $(($(stats_of auto_writeback_bytes) / 4096)) "$wb_written"
	[ $((wb_blocks * 4096)) -lt $((wb_data * 5 / 4)) ] || wrong "$wb_data bytes of data take $wb_blocks blocks"
	[ "$cold" -gt $((workload * 256 / 2 / 2)) ] || wrong "only $cold pages are idle"
	[ "$wb_pages" -ge "$cold" ] || wrong "only $wb_pages pages of $cold were written back"
	[ "$rest_used" -lt $((idle_used * 3 / 4)) ] || wrong "$idle_used bytes of memory became $rest_used"
	[ "$re_pages" -gt 0 ] && [ "$re_bytes" -gt 0 ] || wrong "recompression of $re_pages pages has saved $re_bytes bytes"
	step "auto_writeback of what was cold" "$(grouped "$wb_pages") pages to $backing by themselves"
}

swap_out_and_in() {
	local from watcher recorder since sys=/sys/block/${swap#/dev/}
	echo
	echo "  $workload MiB of text, records, noise and zeros into $memory MiB of memory:"
	from=$(now)
	out=$(counter pswpout) in=$(counter pswpin) zero=$(counter swpout_zero)
	rm -f /tmp/go
	swapcheck -m "$workload" -j 2 -w /tmp/go >/tmp/swapcheck &
	pid=$!
	watch $pid /tmp/most &
	watcher=$!
	tail -n +1 -s 0.2 -f --pid=$pid /tmp/swapcheck | sed -u -n 's/^swapcheck: \( *[0-9]*%\).*/      \1/p' &
	zram-watch --csv /tmp/record "${swap#/dev/}" &
	recorder=$!
	until_it_says 'waiting for'
	cold=0
	eval "$(sed -n 's/^swapcheck: \(cold=[0-9]*\),.*/\1/p' /tmp/swapcheck)"
	must "marking all as idle" put "$sys/idle" all
	kill -USR1 $recorder
	since=$(uptime)
	# What is used from here on is younger.
	sleep 1
	: >/tmp/go
	until_it_says 'one half is in use'
	kill -USR1 $recorder
	cold_pages_go "$since"
	kill -USR1 $recorder
	rm /tmp/go
	wait $pid || wrong "swapcheck ended with $?"
	kill $recorder
	wait $recorder || wrong "zram-watch ended with $?"
	swap_time=$(seconds_since "$from")
	wait $watcher
	out=$(($(counter pswpout) - out)) in=$(($(counter pswpin) - in)) zero=$(($(counter swpout_zero) - zero))
	read -r original used _ </tmp/most
	read -r _ rb_pages _ <"$sys/bd_stat"
	read -r failed_reads failed_writes _ <"$sys/io_stat"
	pages=0 mismatches=unknown
	eval "$(sed -n 's/^swapcheck: \(pages=[0-9]*\) .*\(mismatches=[0-9]*\) .*/\1 \2/p' /tmp/swapcheck)"
	is "the number of pages verified" "$pages" $((workload * 256 / 2 * 2))
	is "the number of wrong pages" "$mismatches" 0
	[ "$out" -gt $((workload * 256 / 3)) ] || wrong "only $out pages were swapped out"
	[ "$in" -gt $((workload * 256 / 3)) ] || wrong "only $in pages were swapped in"
	[ "$original" -gt "$used" ] || wrong "$original bytes were stored in $used"
	[ "$rb_pages" -ge "$cold" ] || wrong "only $rb_pages pages of $cold were read back from $backing"
	is "the number of failed reads and writes" "$failed_reads $failed_writes" "0 0"
	echo
	step "every page read back and verified" "$(grouped "$pages") pages in $swap_time"
}

files() {
	local id from
	disk=$(zramctl --find --size 192M --algorithm zstd 2>&1) || {
		wrong "zramctl --find: $disk"
		exit 1
	}
	id=${disk#/dev/zram}
	must "mkfs.ext4 $disk" mkfs.ext4 -q "$disk"
	must "mount $disk" mount "$disk" /mnt
	step "zramctl --find, mkfs.ext4, mount" "$disk of 192 MiB, zstd"

	from=$(now)
	mkdir /mnt/{programs,text}
	cp /usr/bin/[a-m]* /mnt/programs/
	cp -r /usr/share/perl5 /usr/share/common-licenses /mnt/text/ 2>/dev/null
	head -c 8M /dev/urandom >/mnt/noise
	head -c 8M /dev/zero >/mnt/zeros
	(cd /mnt && find . -type f -exec sha256sum {} + >/tmp/hashes)
	must "umount $disk" umount /mnt
	echo 3 >/proc/sys/vm/drop_caches
	must "mount $disk again" mount -o ro "$disk" /mnt
	(cd /mnt && sha256sum --quiet -c /tmp/hashes) || wrong "files differ after the remount"
	must "umount $disk" umount /mnt
	must "e2fsck $disk" e2fsck -fn "$disk"
	file_count=$(wc -l </tmp/hashes)
	file_time=$(seconds_since "$from")
	read -r file_original _ file_used _ <"/sys/block/zram$id/mm_stat"
	[ "$file_count" -gt 100 ] || wrong "only $file_count files were written"
	step "files written, remounted, compared" "$file_count files, $(mib "$file_original") MiB in $file_time"
}

# reset_and_remove DEVICE: resets the disk, checks that it is like a new one, and removes it.
reset_and_remove() {
	local sys=/sys/block/${1#/dev/}
	must "reset $1" put "$sys/reset" 1
	is "initstate of $1" "$(cat "$sys/initstate")" 0
	is "disksize of $1" "$(cat "$sys/disksize")" 0
	# shellcheck disable=SC2046,SC2005 # squeezes the blanks
	is "mm_stat of $1" "$(echo $(cat "$sys/mm_stat"))" "0 0 0 0 0 0 0 0 0"
	must "zramctl --reset $1" zramctl --reset "$1"
	[ ! -e "$1" ] || wrong "$1 is there after its removal"
}

clean_up() {
	must "swapoff $swap" swapoff "$swap"
	reset_and_remove "$swap"
	reset_and_remove "$disk"
	step "swapoff, reset, zramctl --reset" "nothing was left in $swap and $disk"
	must "rmmod $DRIVER" rmmod "$DRIVER"
	for left in "/sys/module/$DRIVER" /sys/class/zram-control /dev/zram0; do
		[ ! -e "$left" ] || wrong "$left is there after rmmod"
	done
	is "the memory of zsmalloc, in pages," "$(counter nr_zspages)" "$zspages"
	step "rmmod $DRIVER" "the module and all its memory are gone"
}

report() {
	local full=$workload
	echo
	rule
	row "$DRIVER on Linux $(uname -r), $(nproc) CPUs"
	rule
	row "swap on zram, lz4"
	bar "  this machine has" "$memory" "$full"
	bar "  workload used" "$workload" "$full"
	bar "  in zram at most" "$(mib "$original")" "$full"
	bar "  which took" "$(mib "$used")" "$full"
	row ""
	row "  pages out $(grouped "$out") (and $(grouped "$zero") zero pages), pages in $(grouped "$in")"
	row "  ratio $(ratio "$original" "$used") : 1, memory saved $(mib $((original - used))) MiB, time $swap_time"
	row ""
	row "writeback by itself to $backing, packed: not used for $wb_age s"
	bar "  memory before" "$(mib "$idle_used")" "$full"
	bar "  memory after" "$(mib "$rest_used")" "$full"
	bar "  on the disk" "$(mib $((wb_blocks * 4096)))" "$full"
	bar "  data in that" "$(mib "$wb_data")" "$full"
	row "  $(grouped "$wb_pages") pages in $(grouped "$wb_blocks") blocks," \
		"$(ratio $((wb_blocks * 4096)) "$wb_data") times their data"
	row "  $(grouped "$wb_requests") requests, memory saved $(mib $((idle_used - rest_used))) MiB"
	row "  the turns took $wb_ms ms; zstd made $(grouped "$re_pages") pages $(grouped $((re_bytes >> 10))) KiB smaller"
	row "  pages read back from the disk, decompressed: $(grouped "$rb_pages")"
	row ""
	row "ext4 on zram, zstd"
	bar "  files" "$(mib "$file_original")" "$full"
	bar "  which took" "$(mib "$file_used")" "$full"
	row "  ratio $(ratio "$file_original" "$file_used") : 1, $file_count files, time $file_time"
	rule
	row "$(grouped "$pages") pages and $file_count files verified, $mismatches mismatches," \
		"$(seconds_since "$begun") in all"
	rule
}

memory=$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)
workload=${1:-$((memory * 3 / 2))}

load
make_swap
swap_out_and_in
files
clean_up
report
sed 's/^/csv /' /tmp/record
if [ $failed != 0 ]; then
	echo "  $failed thing(s) went wrong: see the lines that begin with NO"
	exit 1
fi
