#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: blockbench.sh [GIB [PAIRS]]
#
# Measures how long it takes to allocate a block of the backing device, and to free it, on an empty device of 1 GiB and
# on one of GIB (default 64) that is 95 % full, with its free blocks in different places. Writes pages back to both
# devices in turn, and discards them, PAIRS times (default 9); the results are the ratios of the times. The devices
# are null_blk without memory: they discard what is written, and take no time.
#
# Measures C zram in the same guest. The time that C zram takes to fill a device grows with the square of the number of
# pages, so the script fills it for one minute, and prints how far that was.

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

gib=${1:-64}
pairs=${2:-9}
[ "$gib" -ge 4 ] || {
	echo "usage: blockbench.sh [GIB [PAIRS]], where GIB is 4 or more: a twentieth of it has to take what is measured" >&2
	exit 1
}
large=$((gib << 18))
small=$((1 << 18))
count=32768
patience=60

# disks: zram0, whose backing device has 1 GiB, and zram1, whose backing device has $gib.
disks() {
	nullb wb0 1024 memory_backed 0 irqmode 0
	nullb wb1 $((gib << 10)) memory_backed 0 irqmode 0
	load num_devices=0
	backed /dev/wb0 $((2 * small * PAGE)) lz4 1
	backed /dev/wb1 $(((large + 2 * count) * PAGE)) lz4 1
}

bench() {
	"$(program blockbench)" "$@" || {
		fail "blockbench $* failed"
		exit 1
	}
}

# in_use: sets $blocks to the number of blocks in use on the device of zram1.
in_use() {
	read -r blocks _ </sys/block/zram1/bd_stat
}

# compare WHAT SMALL LARGE COUNT: measures in turns on zram0, from page SMALL on, and on zram1, from page LARGE on.
compare() {
	local what=$1 n
	# The first use takes longer.
	bench measure zram0 "$2" "$4" >/dev/null
	bench measure zram1 "$3" "$4" >/dev/null
	for ((n = 0; n < pairs; n++)); do
		bench measure zram0 "$2" "$4"
		bench measure zram1 "$3" "$4"
	done >"$TMP/times"
	gawk -v what="$DRIVER, $what" '
		function at(values, part) {
			n = asort(values, s)
			return s[int((n - 1) * part + 0.5) + 1]
		}
		function tell(name, a, b, r) {
			printf "%s: %s: %.2f and %.2f us a page, ratio %.2f (%.2f to %.2f)\n", what, name,
				at(a, 0.5) / 1000, at(b, 0.5) / 1000, at(r, 0.5), at(r, 0), at(r, 1)
		}
		NR % 2 { write = $1; discard = $2 }
		NR % 2 == 0 {
			i = NR / 2
			a[i] = write; b[i] = $1; r[i] = $1 / write
			c[i] = discard; d[i] = $2; q[i] = $2 / discard
		}
		END {
			tell("write back", a, b, r)
			tell("discard", c, d, q)
			printf "%d %d\n", 100 * at(r, 0.5), 100 * at(q, 0.5)
		}' "$TMP/times" >"$TMP/result"
	while read -r line; do
		[[ $line =~ ^[0-9] ]] || note "$line"
	done <"$TMP/result"
	read -r written discarded <<<"$(tail -n 1 "$TMP/result")"
}

# flat: neither operation may have taken longer on the large device, apart from noise.
flat() {
	[ "$written" -lt 150 ] || fail "the ratio for writeback is $written / 100"
	[ "$discarded" -lt 150 ] || fail "the ratio for discard is $discarded / 100"
}

test_zram_rs() {
	local filled=$((large / 100 * 95)) from
	unload
	DRIVER=zram_rs
	disks
	compare "1 GiB empty / $gib GiB empty" 0 0 $count
	flat
	from=$SECONDS
	bench fill zram1 0 $filled
	in_use
	is "blocks in use" "$blocks" $filled
	note "$DRIVER: $filled pages were written back in $((SECONDS - from)) s"
	compare "1 GiB empty / $gib GiB 95 % full" 0 $filled $count
	flat
	# Fills the device, and then frees every twentieth block.
	bench fill zram1 $filled $((large - filled))
	bench scatter zram1 $large 20
	bench fill zram0 0 $small
	bench scatter zram0 $small 20
	compare "1 GiB / $gib GiB, both 95 % full, with a free block here and there" $small $large $((small / 32))
	flat
	unload
}

test_c_zram() {
	local filled=0 portion=65536 from
	unload
	DRIVER=zram
	modprobe -n -q zram || skip "there is no C zram"
	disks
	compare "1 GiB empty / $gib GiB empty" 0 0 $count
	from=$SECONDS
	while [ $((SECONDS - from)) -lt $patience ] && [ $((filled + portion)) -lt $((large / 100 * 95)) ]; do
		bench fill zram1 $filled $portion
		filled=$((filled + portion))
	done
	note "$DRIVER: $filled pages were written back in $((SECONDS - from)) s"
	compare "1 GiB empty / $((filled >> 18)) of $gib GiB in use" 0 $filled $count
	unload
}

run_tests
