#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs the kernel's own selftests for zram, unchanged, on this driver. They call "modprobe zram", so the script
# configures zram as an alias of this driver for modprobe, as a user would.
#
# Guest: stock group=basic memory=2G
# Guest: stock-7.2 group=basic memory=2G
# Guest: arm64 group=basic memory=2G
# Guest: arm64-16k group=basic memory=2G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"

conf=/run/modprobe.d/zram.conf

run_zram_sh() {
	if [ "$DRIVER" != zram ]; then
		mkdir -p ${conf%/*}
		echo "alias zram $DRIVER" >$conf
	fi
	is "what 'modprobe zram' would load" \
		"$(modprobe --show-depends zram | sed -n '$s:.*/\(.*\)\.ko.*:\1:p' | tr - _)" "$DRIVER"
	cp -r "$helpers/zram" "$TMP/selftest"
	cd "$TMP/selftest" || exit 1
	ok ./zram.sh
	rm -f $conf
	while IFS= read -r line; do
		note "$line"
	done <"$TMP/out"
	# The selftests end with "rmmod zram", which does not unload this driver: this shows that they used it.
	if [ "$DRIVER" != zram ]; then
		loaded "$DRIVER" || fail "$DRIVER is not loaded"
		! loaded zram || fail "C zram is loaded"
	fi
	is "results" "$(grep -E '^zram0[12] : ' "$TMP/out")" 'zram01 : [PASS]
zram02 : [PASS]'
	! grep -qi 'fail\|skip\|error' "$TMP/out" || fail "something failed or was left out, see above"
}

# The selftests need lzo.
need_lzo() {
	add
	[ "$DRIVER" != zram ] || has lzo || skip "the C zram of this kernel has no lzo"
}

test_zram_sh_loads_the_module() {
	need_lzo
	unload
	run_zram_sh
}

test_zram_sh_finds_the_module_loaded() {
	need_lzo
	load
	run_zram_sh
}

run_tests
