#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The file idle: marks all pages, or those that were not used for some time. A page that is read or written is idle no
# longer.
#
# Guest: uml-debug group=writeback

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

test_idle() {
	local value uptime
	nullb wb0 1
	backed "$nullb" 256K
	does open "$dev" direct
	for value in garbage '' -1 all1 ALL '1 2' 4294967296; do
		stores "$sys/idle" "$value" EINVAL
	done
	does bulk 0 64 text 1
	writes_back idle
	counts "with nothing idle" 0 0 0
	sleep 3.1
	does read $((8 * PAGE)) $((4 * PAGE))
	does bulk 16 4 text 1
	# Marks all but these.
	stores "$sys/idle" 2
	# An age before the boot changes nothing.
	stores "$sys/idle" 4294967295
	# A page that is read or written is not idle any more.
	does read 0 $PAGE
	does bulk 1 1 text 1
	does discard $((2 * PAGE)) $PAGE
	writes_back idle
	find_places 0 64
	repeat_letter d 34
	is "pages after writing back what was idle for 2 seconds" "$places" \
		"mmmdddddmmmmddddmmmmdddddddddd$times"
	counts "after that" 53 53 53
	# A number in another base. It clears the marks of younger pages, if the machine was booted longer ago than that.
	until read -r uptime _ </proc/uptime && [ "${uptime%.*}" -gt 17 ]; do
		sleep 0.2
	done
	stores "$sys/idle" all
	stores "$sys/idle" 0x10
	writes_back idle
	bd_stat
	is "bd_count after marking as idle what was not used for 16 seconds" "$bd_count" 53
	put_bare "$sys/idle" all
	writes_back idle
	bd_stat
	is "bd_count after marking all as idle" "$bd_count" 63
	does bulkcheck 3 61 text 1
	does bulkcheck 0 2 text 1
}

run_tests
