#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Checks the admin guide, Documentation/zram_rs.rst: runs all of its commands in order, in one shell, and compares their
# output with the guide. Then runs the commands of README.md that use the driver.
#
# A line of a literal block that begins with "# " is a command; the lines after it are its output, where "..." stands
# for any text, and a line "..." for any lines. A command without output must succeed. Literal blocks without commands
# are those of a "code-block" directive. /dev/sdb2 is the first disk of the guest, or a null_blk device.
#
# Guest: uml-debug group=basic
# Guest: stock group=storage disk=1G

# shellcheck source=tools/testing/lib/test.sh
. "${0%/*}/../lib/test.sh"
# shellcheck source=tools/testing/lib/writeback.sh
. "${0%/*}/../lib/writeback.sh"

GUIDE=/zr/zram_rs.rst
[ -e $GUIDE ] || GUIDE=$HERE/../../../Documentation/zram_rs.rst

# read_guide: reads the commands, their expected output, and their places in the guide into arrays.
read_guide() {
	local line section='' previous='' number=0 literal='' n=-1
	commands=() wanted=() places=() mute=()
	while IFS= read -r line; do
		number=$((number + 1))
		[[ ! $line =~ ^(=+|-+)$ ]] || section=$previous
		case $line in
		$'\t# '*)
			literal=''
			n=$((n + 1))
			commands[n]=${line#$'\t# '} places[n]="line $number ($section)"
			;;
		$'\t'*)
			[ -z "$literal" ] || mute+=("line $number ($section)")
			literal=''
			[ $n = -1 ] || [ "$behind" = no ] || wanted[n]+=${line#$'\t'}$'\n'
			;;
		*'.. code-block::'*) behind=no ;;
		*::) literal=1 behind='' ;;
		'') ;;
		*) [[ $line == ' '* ]] || behind=no ;;
		esac
		[[ $line != $'\t# '* ]] || behind=''
		previous=$line
	done <"$GUIDE"
}

# as_bash_says FILE: sets $said to the contents of FILE, with the shell's messages as an interactive shell prints them.
as_bash_says() {
	local line
	said=
	while IFS= read -r line || [ -n "$line" ]; do
		[[ ! $line =~ ^.*guide\.sh:\ line\ [0-9]+:\ (.*)$ ]] || line="bash: ${BASH_REMATCH[1]}"
		while [[ $line == *[[:blank:]] ]]; do line=${line%?}; done
		said+=$line$'\n'
	done <"$1"
}

# as_pattern TEXT: sets $pattern to a pattern that matches TEXT
as_pattern() {
	local any=$'\1'
	pattern=${1//$'...\n'/$any}
	pattern=${pattern//.../$any}
	pattern=${pattern//\\/\\\\}
	pattern=${pattern//'*'/\\*}
	pattern=${pattern//'?'/\\?}
	pattern=${pattern//'['/\\[}
	pattern=${pattern//']'/\\]}
	pattern=${pattern//$any/*}
}

test_literal_blocks_are_commands() {
	local place
	read_guide
	at_least "the number of commands" ${#commands[@]} 50
	for place in ${mute[@]+"${mute[@]}"}; do
		fail "$place: a literal block without a command"
	done
}

# The variables have names that no command of the guide uses.
test_every_command_does_what_is_shown() {
	local guide_n guide_status number disk
	read -r disk _ <<<"${ZR_DISKS:-}"
	if [ ! -b "${disk:-/nothing}" ]; then
		nullb wbguide 64
		disk=$nullb
	fi
	number=$(<"/sys/class/block/${disk##*/}/dev")
	ok mknod /dev/sdb2 b "${number%:*}" "${number#*:}"
	read_guide
	unload
	for ((guide_n = 0; guide_n < ${#commands[@]}; guide_n++)); do
		guide_status=0
		eval "${commands[guide_n]}" >"$TMP/said" 2>&1 || guide_status=$?
		as_bash_says "$TMP/said"
		as_pattern "${wanted[guide_n]:-}"
		# shellcheck disable=SC2053 # a pattern
		if [[ $said != $pattern ]]; then
			fail "${places[guide_n]}: '${commands[guide_n]}' says"
			note "  ${said//$'\n'/$'\n#   '}"
		elif [ -z "${wanted[guide_n]:-}" ]; then
			is "${places[guide_n]}: the status of '${commands[guide_n]}'" $guide_status 0
		fi
	done
	cd / || fail "there is no /"
	rm /dev/sdb2
}

# The commands of README.md from insmod on.
test_the_readme_uses_it_without_installing() {
	local readme=${GUIDE%/*}/README.md guide_line guide_lines guide_ran=0 module
	[ -e "$readme" ] || readme=$HERE/../../../README.md
	mapfile -t guide_lines <"$readme"
	module=$(modinfo -n zram_rs)
	unload
	cd "${module%/*}" || exit
	for guide_line in "${guide_lines[@]}"; do
		case $guide_line in
		'```') [ $guide_ran = 0 ] || break ;;
		*'insmod zram-rs.ko' | zramctl\ --find\ *4G* | mkswap\ *)
			eval "$guide_line" >"$TMP/said" 2>&1 || fail "'$guide_line' failed: $(<"$TMP/said")"
			guide_ran=$((guide_ran + 1))
			;;
		esac
	done
	is "the number of commands" $guide_ran 3
	is "the swap device" "$(swapon --raw --noheadings --show=NAME,SIZE,PRIO)" "/dev/zram0 4G 100"
	is "the algorithm" "$(zramctl --noheadings --output ALGORITHM /dev/zram0)" zstd
	ok swapoff /dev/zram0
	ok zramctl --reset /dev/zram0
	ok rmmod zram_rs
}

run_tests
