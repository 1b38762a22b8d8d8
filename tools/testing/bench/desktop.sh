#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: desktop.sh HOW HOUR [ARGUMENT...]
#
# The guest's part of tools/perf/desktop: has swap on a zram disk with a backing device (the first of --disk), runs the
# program desktop with these arguments for an hour, which is so many seconds long, and prints what the machine and the
# disk count, each second, in lines that begin with "csv ". HOW is what is done with cold pages:
#
#	auto	the driver writes them back by itself, compressed
#	packed	the same, packed
#	none	they stay in memory
#	cron	a script marks pages by their age and writes back what is idle, once a minute

driver=${ZR_DRIVER:-zram_rs}
how=$1 hour=$2
shift 2
read -r disk _ <<<"${ZR_DISKS:-}"
# Of the hour: the age of what is cold, that of cold incompressible pages, and a minute.
age=$((hour / 6)) huge_age=$((hour / 18)) minute=$(((hour + 59) / 60))

put() {
	echo "$2" >"$1" || {
		echo "desktop: $2 cannot be written to $1"
		exit 1
	}
}

parameters=() form=compressed_writeback
case $how in
packed) form=packed_writeback ;&
auto) parameters=("$form=1" "auto_writeback=\"age=$age huge_age=$huge_age every=$minute available=5%\"") ;;
esac
modprobe "$driver" "${parameters[@]}" || exit 1
sys=/sys/block/zram0
put $sys/comp_algorithm lz4
[ "$how" = none ] || put $sys/$form 1
[ "$how" = none ] || put $sys/backing_dev "$disk"
put $sys/disksize 1G
# The swap code allocates tables of its clusters to swap out, and prints a warning when it cannot.
put /proc/sys/vm/min_free_kbytes 16384
put /proc/sys/vm/page-cluster 0
mkswap /dev/zram0 >/dev/null && swapon --priority 100 /dev/zram0 || exit 1

# What an administrator of C zram has cron do.
cron() {
	while sleep "$minute"; do
		echo $age >$sys/idle
		echo idle >$sys/writeback
	done 2>/dev/null
}

# look: prints a line of the record.
look() {
	local time name value available original compressed used on_device reads writes some full
	while read -r name value _; do
		[ "$name" != MemAvailable: ] || break
	done </proc/meminfo
	available=$((value * 1024))
	read -r original compressed used _ <$sys/mm_stat
	read -r on_device reads writes <$sys/bd_stat
	read -r _ _ _ _ some </proc/pressure/memory
	{ read -r _ && read -r _ _ _ _ full; } </proc/pressure/memory
	time=$((${EPOCHREALTIME/./} / 1000 - began))
	echo "csv $time,$available,$original,$compressed,$used,$on_device,$reads,$writes,${some#total=},${full#total=}"
}

desktop -t "$hour" "$@" >/tmp/desktop 2>&1 &
pid=$!
until grep -q filled /tmp/desktop; do
	kill -0 $pid 2>/dev/null || {
		cat /tmp/desktop
		exit 1
	}
	sleep 0.2
done
began=$((${EPOCHREALTIME/./} / 1000))
[ "$how" != cron ] || cron &
echo "csv time,available,data,compressed,memory,device,reads,writes,some,full"
while kill -0 $pid 2>/dev/null; do
	look
	sleep 1
done
wait $pid
status=$?
grep desktop: /tmp/desktop | grep -v filled
exit $status
