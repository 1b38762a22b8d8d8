#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A page that cannot be decompressed, which any user of the disk can make: written by direct I/O from memory that
# another thread changes meanwhile (see brokenpage.c). Each read of the page fails, but the reads do not flood the
# kernel log, recompression and writeback of other pages go on, and the page can be overwritten.
#
# Guest: uml-debug group=writeback
# Guest: stock group=basic memory=2G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

pages=64
# The broken page is between the others, and larger, so that recompression takes it first.
broken=33

# choose_algorithm: sets $algorithm to one that stores a checksum of each page, as DEFLATE does with a header, and 842.
choose_algorithm() {
	[ "$DRIVER" != zram ] || [ -n "${ALL:-}" ] || skip "C zram prints a backtrace for each read"
	algorithms
	case " $ALGORITHMS " in
	*' deflate '*) algorithm=deflate ;;
	*' 842 '*) algorithm=842 ;;
	*) skip "there is no algorithm here that keeps a checksum" ;;
	esac
}

# make_broken_page: initialises the disk, and writes its pages, one of which cannot be read.
make_broken_page() {
	local seed=$RANDOM
	stores "$sys/comp_algorithm" "$algorithm"
	[ "$algorithm" != deflate ] || stores "$sys/algorithm_params" "algo=deflate level=1 deflate.winbits=15"
	stores "$sys/disksize" $((pages * PAGE))
	does open "$dev" direct
	does bulk 0 $pages text 1
	ok timeout 300 "$(program brokenpage)" -S $seed "$dev" $broken || {
		fail "seed $seed"
		exit 1
	}
	note "$algorithm: $(<"$TMP/out")"
	refuses EIO read $((broken * PAGE)) $PAGE
}

check_other_pages() {
	does bulkcheck 0 $broken text 1
	does bulkcheck $((broken + 1)) $((pages - broken - 1)) text 1
}

overwrite_broken_page() {
	does bulk $broken 1 text 2
	does bulkcheck $broken 1 text 2
	check_other_pages
}

# count_log_lines: sets $logged to the number of messages about the page in the kernel log since mark_log.
count_log_lines() {
	local log
	log=$(dmesg --notime)
	[[ $log == *"$mark"* ]] || fail "the beginning of the test is not in the log any more"
	log=${log##*"$mark"}
	logged=$(grep -c 'Decompression failed! err=.*, page='$broken'$' <<<"$log")
}

mark_log() {
	mark="$SCRIPT: mark $RANDOM$RANDOM"
	kernel_log "$mark"
}

# The kernel log has at most ten lines for each five seconds.
test_the_log_is_not_flooded() {
	local from reads=1000 most
	choose_algorithm
	add
	mark_log
	from=$SECONDS
	make_broken_page
	count_log_lines
	at_least "lines in the log" "$logged" 1
	ok "$(program brokenpage)" -r $reads "$dev" $broken
	most=$(((SECONDS - from + 1) / 5 * 10 + 20))
	count_log_lines
	note "$logged lines, of $reads reads in $((SECONDS - from)) s"
	[ "$logged" -le $most ] || fail "there are $logged lines in the log, not at most $most"
	[ $most -lt $reads ] || fail "the reads took so long that this proves nothing"
	overwrite_broken_page
}

# count_in_state MARKS: sets $in_state to the number of pages with one of these marks in block_state.
count_in_state() {
	in_state=$(grep -c "[0-9] [^ ]*[$1][^ ]*\$" "/sys/kernel/debug/zram/zram$id/block_state")
}

test_recompress_goes_on() {
	choose_algorithm
	add
	[ -e "$sys/recompress" ] || skip "this driver cannot recompress"
	stores "$sys/recomp_algorithm" "algo=zstd"
	stores "$sys/algorithm_params" "priority=1 level=9"
	make_broken_page
	count_in_state rn
	is "pages that were recompressed before" "$in_state" 0
	# The broken page comes first, and does not count.
	stores "$sys/recompress" "algo=zstd max_pages=10" EINVAL
	count_in_state rn
	is "pages that were recompressed, of 10" "$in_state" 10
	stores "$sys/recompress" "algo=zstd" EINVAL
	count_in_state rn
	is "pages that were recompressed" "$in_state" $((pages - 1))
	refuses EIO read $((broken * PAGE)) $PAGE
	check_other_pages
	overwrite_broken_page
	stores "$sys/recompress" "algo=zstd" OK
	count_in_state rn
	is "pages that were recompressed in the end" "$in_state" $pages
	overwrite_broken_page
}

test_writeback_goes_on() {
	local form
	choose_algorithm
	for form in $FORMS; do
		nullb "wb$form" 4
		add
		set_form $form
		stores "$sys/backing_dev" "$nullb"
		make_broken_page
		stores "$sys/idle" all
		# Compressed writeback does not decompress the page.
		case $form in
		0) writes_back idle EINVAL && counts "of all but one" $((pages - 1)) 0 $((pages - 1)) ;;
		1) writes_back idle && counts "of all" $pages 0 $pages ;;
		packed)
			writes_back idle
			pack_stat
			is "pages on the device" "$packed_pages" $pages
			;;
		esac
		refuses EIO read $((broken * PAGE)) $PAGE
		check_other_pages
		overwrite_broken_page
		does close
		remove
	done
}

run_tests
