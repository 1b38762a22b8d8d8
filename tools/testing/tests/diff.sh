#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: diff.sh [seed=N] [count=N] [steps=N] [seconds=N] [only=TEXT] [shrink=SECONDS] ...
#
# Runs the same steps on C zram and on the driver under test, under the same kernel: every scenario in scenarios/, and
# random sequences. zscript.c records the return codes, values, data, counters and states of slots of both drivers in
# transcripts, which are compared.
#
# A part of the random sequences runs with packed writeback in zram_rs, and compactions between the steps, of which
# only what depends on blocks may show anything. Another part runs with helpers, which store the pages of a request in
# any order; all others run without helpers, so that the memory in use is the same, too.
#
# Proves that a user cannot tell the drivers apart, except by the differences that Documentation/differences.rst lists,
# and that this list is true.
#
#   seed=N     of the first random sequence (default: random; it is printed); the next has N + 1, and so on
#   count=N    how many sequences (default: as many as there is time for); 0 for none
#   steps=N    length of each (default 50)
#   seconds=N  time limit for the random sequences (default 75, 40 on an emulated machine, or without limit if there is
#              a count)
#   form=F     random sequences with packed writeback (packed), with helpers (helped), without either (plain), or all
#              (default on User Mode Linux; plain and helped on other machines). Of the seconds, each of the first two
#              takes a quarter
#   only=TEXT  only scenarios with TEXT in their names; none if it is "none"
#   without=W  features that a driver or this kernel lacks, of multi, params, strict and state, separated by commas
#   algorithms=A  only these, separated by commas
#   against=D  the driver to compare with (default zram)
#   shrink=N   seconds to spend on shortening the first sequence that differs (default 60)
#
# shellcheck source=tools/testing/lib/test.sh
#
# Guest: uml-debug seconds=540
# Guest: stock group=basic memory=2G seconds=600
# Guest: stock-7.2 group=basic memory=2G seconds=600
# Guest: arm64 group=basic memory=2G seconds=600
# Guest: arm64-16k group=basic memory=2G seconds=600
. "${0%/*}/../lib/test.sh"

count='' steps=50 seconds='' only='' against=zram shrink=60 without='' algorithms='' form=''
seed=$((SRANDOM % 1000000 * 1000))
for argument in "$@"; do
	case $argument in
	seed=* | count=* | steps=* | seconds=* | only=* | against=* | shrink=* | \
		without=* | algorithms=* | form=*)
		declare "${argument%%=*}=${argument#*=}"
		;;
	*) ktap_exit_fail_msg "diff.sh does not know what $argument means" ;;
	esac
done
if [ -z "$seconds" ]; then
	seconds=75
	on_uml || seconds=40
	[ -z "$count" ] || seconds=0
fi

[ "$DRIVER" = zram_rs ] && [ "$against" = zram ] || form=plain
if [ -z "$form" ]; then
	form='plain helped'
	! on_uml || form='plain packed helped'
fi
[ "$form" != all ] || form='plain packed helped'

# The number of sequences to run on one driver before the other is loaded. The transcripts are in memory.
batch=100

# prepare: loads the modules that the drivers need. (zscript loads the drivers.)
prepare() {
	local driver
	for driver in "$against" "$DRIVER"; do
		unload
		ok modprobe "$driver" num_devices=0 && ok rmmod "$driver"
	done
	modprobe loop 2>/dev/null
	modprobe null_blk nr_devices=0 2>/dev/null
}

# what_there_is: sets $less to the options of zgen for what the driver to compare with lacks, $lax to that of zscript.
what_there_is() {
	local names what
	less=() detail=-d lax=''
	for what in ${without//,/ }; do
		less+=(-w "$what")
		[ "$what" != state ] || detail='-d -s'
		[ "$what" != strict ] || lax=-l
	done
	ok modprobe "$against" num_devices=1
	names=$(</sys/block/zram0/comp_algorithm)
	names=${names//[\[\]]/}
	[ -e /sys/block/zram0/recompress ] || less+=(-w multi)
	# C zram stores a large page once for each segment of a bio in it, and so reaches a limit earlier; and it has another
	# order of large pages, which shows where a limit or a full device ends a writeback (large-pages).
	[ "$(getconf PAGESIZE)" = 4096 ] || less+=(-w limit -w order)
	names=${algorithms:-${names% }}
	less+=(-a "${names//,/ }")
	# C zram of Linux 7.2 accepts levels that no algorithm has, and more that it refuses in 7.3.
	put /sys/block/zram0/algorithm_params level=-2147483647
	put /sys/block/zram0/disksize 64K
	[ "$errno" != OK ] || less+=(-w strict) lax=-l
	ok rmmod "$against"
}

# both OPTIONS SECONDS WHAT FILE...: runs zscript on both drivers, with the transcripts in $TMP/1 and $TMP/2. The second
# run has as many sections as the first had time for. SECONDS may be empty.
both() {
	local options=$1 seconds=$2 what=$3
	shift 3
	kernel_log "diff.sh: $what with $against"
	# shellcheck disable=SC2086 # options
	zscript $options $lax ${seconds:+-t "$seconds"} "$against" "$@" >"$TMP/1" || return
	kernel_log "diff.sh: $what with $DRIVER"
	# shellcheck disable=SC2086 # options
	zscript $options $lax -n "$(grep -c '^=== ' "$TMP/1")" "$DRIVER" "$@" >"$TMP/2"
}

compare() {
	[ "$against" != "$DRIVER" ] || set -- -s "$@"
	perl "$HERE/zdiff.pl" compare "$@" "$TMP/1" "$TMP/2" >"$TMP/result"
}

# scenarios: runs the scenarios, and prints one result for each section.
scenarios() {
	local line status='' name='' skipped=''
	[ ${#files[@]} != 0 ] || return
	both '' '' scenarios "${files[@]}" && compare || fail "the scenarios did not come to their end"
	while read -r line; do
		case $line in
		'ok '* | 'not ok '*)
			report
			status=${line%%ok *} name=${line#*ok } skipped=
			[[ $name != *' # SKIP '* ]] || skipped=${name#* # SKIP }
			name=${name% # SKIP *}
			done=$((done + 1))
			;;
		'compared '*) report ;;
		*) ktap_print_msg "${line#\# }" ;;
		esac
	done <"$TMP/result"
	# Sections without a result have failed.
	while [ $done -lt $planned ]; do
		ktap_test_fail "$SCRIPT: a scenario that was not reached"
		done=$((done + 1))
	done
}

report() {
	[ -n "$name" ] || return
	# uml-debug has all features.
	if [ -n "$skipped" ] && on_uml; then
		ktap_test_fail "$SCRIPT: $name ($skipped)"
	elif [ -n "$skipped" ]; then
		ktap_test_skip "$SCRIPT: $name ($skipped)"
	elif [ -z "$status" ]; then
		ktap_test_pass "$SCRIPT: $name"
	else
		ktap_test_fail "$SCRIPT: $name"
	fi
}

# sequences FORM SECONDS: runs random sequences in batches, and shortens the first one that differs.
sequences() {
	local form=$1 seconds=$2 at=0 want until=$((SECONDS + $2)) total=0 different=0 of limit what first='' line
	local less=("${less[@]}") detail=$detail options=(-p -q)
	[ "$form" != helped ] || {
		# What fits into the memory allowed depends on the order.
		less+=(-w limit)
		detail+=' -h'
		options+=(-m)
	}
	[ "$form" != packed ] || {
		# Memory is packed differently, too, after pages have moved.
		less+=(-w blocks -w limit)
		detail+=' -p'
		options+=(-b)
	}
	while :; do
		want=$batch limit=
		[ -z "$count" ] || want=$((count - at < batch ? count - at : batch))
		[ "$want" -gt 0 ] || break
		if [ "$seconds" != 0 ]; then
			[ $SECONDS -lt $until ] || break
			# Half of the time for each driver, and the rest for comparing.
			limit=$(((until - SECONDS) * 45 / 100 + 1))
		fi
		zgen "${less[@]}" $((seed + at)) "$want" "$steps" >"$TMP/script"
		both "$detail" "$limit" "$form seeds from $((seed + at))" "$TMP/script" && compare "${options[@]}" || {
			fail "the sequences from seed $((seed + at)) on did not come to their end"
			break
		}
		while read -r line; do
			case $line in
			'not ok '*)
				ktap_print_msg "different: ${line#not ok }, of $steps steps"
				first=${first:-${line#not ok seed }}
				;;
			'compared '*)
				read -r _ of what line <<<"$line"
				total=$((total + what))
				different=$((different + line))
				;;
			*) ktap_print_msg "${line#\# }" ;;
			esac
		done <"$TMP/result"
		at=$((at + of))
		[ -z "$count" ] || ktap_print_msg "$at of $count sequences, $different different, after $SECONDS s"
		[ "$of" = "$want" ] || break
		[ $different -lt 20 ] || break
	done
	ran="$at random sequences of $steps steps from seed $seed on"
	case $form in
	packed) ran+=", with packed writeback" ;;
	helped) ran+=", with helpers" ;;
	esac
	ktap_print_msg "$ran: $total steps, $different sequences different, $SECONDS s in all"
	[ "$different" = 0 ] || {
		failed=1
		ktap_print_msg "to see it again: tools/vm $ZR_CONFIG tools/testing/tests/diff.sh only=none" \
			"seed=$first count=1 steps=$steps form=$form"
		shorter "$first"
	}
	[ $at -gt 0 ] || fail "no sequence was run"
}

shorter() {
	[ "$shrink" != 0 ] || return
	zgen "${less[@]}" "$1" 1 "$steps" >"$TMP/script"
	ktap_print_msg "of seed $1, this is enough to see a difference:"
	# shellcheck disable=SC2086 # options
	perl "$HERE/zdiff.pl" shrink "$shrink" "$TMP" "$against" "$DRIVER" "$TMP/script" $detail >"$TMP/less"
	while IFS= read -r line; do
		ktap_print_msg "    $line"
	done <"$TMP/less"
	# Prints the transcripts of the shortened sequence.
	mv "$TMP/less" "$TMP/script"
	{
		echo "=== seed $1, shortened"
		cat "$TMP/script"
	} >"$TMP/less"
	ktap_print_msg "it gives:"
	both "$detail" '' "seed $1, shortened" "$TMP/less" && compare "${options[@]}"
	while IFS= read -r line; do
		[[ $line != '# '* ]] || ktap_print_msg "${line#\# }"
	done <"$TMP/result"
}

files=() planned=0 done=0
for file in "$HERE"/../scenarios/*.zs; do
	[[ $only != '' && ${file##*/} != *"$only"* ]] || files+=("$file")
done
for file in "${files[@]}"; do
	while read -r line; do
		[[ $line != '=== '* ]] || planned=$((planned + 1))
	done <"$file"
done
ktap_print_header
read -ra forms <<<"$form"
ktap_set_plan $((planned + (${count:-1} ? ${#forms[@]} : 0)))
kernel_log "$SCRIPT: begin"
prepare
what_there_is
scenarios
for form in "${forms[@]}"; do
	[ "${count:-1}" != 0 ] || break
	failed=0 ran='random sequences'
	time=$seconds
	[ ${#forms[@]} = 1 ] || case $form in
	plain) time=$((seconds - seconds / 4 * (${#forms[@]} - 1))) ;;
	*) time=$((seconds / 4)) ;;
	esac
	sequences "$form" "$time"
	if [ $failed = 0 ]; then
		ktap_test_pass "$SCRIPT: $ran"
	else
		ktap_test_fail "$SCRIPT: $ran"
	fi
done
unload
kernel_log "$SCRIPT: end"
rm -rf "$TMP"
ktap_finished
