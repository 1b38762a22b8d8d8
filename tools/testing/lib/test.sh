# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the selftests in this directory share. A test script sources this file, defines functions named
# test_*, and ends with run_tests: every test_* function of the script becomes one KTAP result, in the
# order of the file, and the plan is printed first, so that a script that ends early is detected.
#
# Lines of the head of a script say which guests run it, so that a new test is one file:
#
#	# Guest: uml-debug group=writeback seconds=600
#	# Guest: stock memory=512M disk=1G
#
# The first word is a kernel configuration. Then may follow: memory (default 1G), disk (the size of an empty disk; there
# is none by default), seconds (the time that the script may take, default 300), systemd (boots systemd with the files of
# testing/systemd/NAME), build (another build of the driver, by tools/build CONFIGURATION --NAME), and group: scripts with
# the same needs share a guest if they have the same group (default: the name of the script). "quick" has
# "tools/test --quick" run the script.
#
# A test runs in a subshell with the module loaded and no device but those that it adds. It checks its
# expectations with the functions below; each difference is printed in a "# " line and fails the test, and
# the test continues, to print the other differences, too.
#
# On uml-debug, a fork takes a tenth of a second and an exec two, so this is bash and not sh; it uses
# builtins where it can, and does its I/O through pageio (see pageio.c).
#
# Environment:
#   DRIVER   the module under test: zram_rs (default), or zram, whose ABI is the same
#   TESTS    names of the tests to run, without test_ (default: all)

export LC_ALL=C

DRIVER=${DRIVER:-${ZR_DRIVER:-zram_rs}}
CONTROL=/sys/class/zram-control
# shellcheck disable=SC2034 # for the tests
PAGE=4096
SCRIPT=${0##*/}
HERE=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
TMP=${TMP:-/tmp/zram-test.$$}
mkdir -p "$TMP"

# Beside us in a guest; where the kernel keeps it when this directory is in a kernel tree.
for helpers in "$HERE/../../selftests" "$HERE/../../../../../tools/testing/selftests"; do
	[ ! -e "$helpers/kselftest/ktap_helpers.sh" ] || break
done
# shellcheck source=/dev/null
. "$helpers/kselftest/ktap_helpers.sh"

# --- The kernel configuration ---------------------------------------------------------------------

# User Mode Linux is uml-debug: with KASAN and lockdep, every slot takes about 0.1 ms.
on_uml() {
	local line
	while read -r line; do
		[[ $line != *"User Mode Linux"* ]] || return 0
	done </proc/cpuinfo
	return 1
}

# --- What a test expects --------------------------------------------------------------------------

failed=0

note() {
	ktap_print_msg "$*"
}

# fail MESSAGE: with the line of the script that a test came from.
fail() {
	local frame where=
	failed=1
	for ((frame = 1; frame < ${#BASH_SOURCE[@]}; frame++)); do
		[ "${BASH_SOURCE[frame]}" = "$0" ] || continue
		where=" ($SCRIPT, line ${BASH_LINENO[frame - 1]})"
		break
	done
	note "$*$where"
}

# is WHAT GOT WANT
is() {
	[ "$2" = "$3" ] || fail "$1 is '$2', should be '$3'"
}

# at_least WHAT GOT WANT
at_least() {
	[ "$2" -ge "$3" ] || fail "$1 is $2, should be at least $3"
}

# ok COMMAND...: must succeed.
ok() {
	"$@" >"$TMP/out" 2>&1 && return
	fail "'$*' failed with exit status $?: $(<"$TMP/out")"
	return 1
}

# not_ok COMMAND...: must fail. What it said is in $TMP/out.
not_ok() {
	"$@" >"$TMP/out" 2>&1 || return 0
	fail "'$*' succeeded and should not: $(<"$TMP/out")"
}

# skip REASON: ends the test.
skip() {
	note "SKIP: $*"
	exit "$KSFT_SKIP"
}

# eventually SECONDS COMMAND...: until the command succeeds.
eventually() {
	local until=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$until" ] || return 1
		sleep 0.05
	done
}

# now: the time in milliseconds, into $now.
# shellcheck disable=SC2034 # for the tests
now() {
	now=$((${EPOCHREALTIME/./} / 1000))
}

# ended PID...: have all of these processes ended?
ended() {
	local pid
	for pid in "$@"; do
		! kill -0 "$pid" 2>/dev/null || return 1
	done
}

# wait_all PID...: waits for processes, each of which fails the test if it failed.
wait_all() {
	local pid
	for pid in "$@"; do
		wait "$pid" || failed=1
	done
}

# errno_of MESSAGE: the name of the error that a message of the shell or of a tool ends with.
errno_of() {
	case $1 in
	'') errno=OK ;;
	*'Invalid argument'*) errno=EINVAL ;;
	*'Block device required'*) errno=ENOTBLK ;;
	*'Device or resource busy'*) errno=EBUSY ;;
	*'File name too long'*) errno=ENAMETOOLONG ;;
	*'Interrupted system call'*) errno=EINTR ;;
	*'Is a directory'*) errno=EISDIR ;;
	*'Argument list too long'*) errno=E2BIG ;;
	*'Cannot allocate memory'*) errno=ENOMEM ;;
	*'No such device'*) errno=ENODEV ;;
	*'No such file or directory'*) errno=ENOENT ;;
	*'Permission denied'*) errno=EACCES ;;
	*'temporarily unavailable'*) errno=EAGAIN ;;
	*'Numerical result out of range'*) errno=ERANGE ;;
	*'Input/output error'*) errno=EIO ;;
	*'No space left on device'*) errno=ENOSPC ;;
	*'Operation not supported'*) errno=EOPNOTSUPP ;;
	*'Read-only file system'*) errno=EROFS ;;
	*) errno=$1 ;;
	esac
}

# put FILE VALUE: writes VALUE and a newline in one write(2), as echo does; the result is in $errno.
put() {
	local message=
	{ printf '%s\n' "$2" >"$1"; } 2>"$TMP/errno.$BASHPID"
	read -r message <"$TMP/errno.$BASHPID"
	errno_of "$message"
}

# put_to FD VALUE: the same to a file that is open, whatever has become of its name.
put_to() {
	local message=
	{ printf '%s\n' "$2" >&"$1"; } 2>"$TMP/errno.$BASHPID"
	read -r message <"$TMP/errno.$BASHPID"
	errno_of "$message"
}

# put_bare FILE VALUE: the same as put, without the newline.
put_bare() {
	local message=
	{ printf '%s' "$2" >"$1"; } 2>"$TMP/errno.$BASHPID"
	read -r message <"$TMP/errno.$BASHPID"
	errno_of "$message"
}

# stores FILE VALUE [ERRNO]: writing VALUE must give ERRNO (default OK).
stores() {
	put "$1" "$2"
	is "the result of 'echo $2 > $1'" "$errno" "${3:-OK}"
}

# reads FILE TEXT: the file of the disk must hold TEXT, to the byte.
reads() {
	local text=
	IFS= read -rd '' text <"$sys/$1"
	is "$1" "$text" "$2"
}

# --- The module and its devices -------------------------------------------------------------------

loaded() {
	local name
	while read -r name _; do
		[ "$name" != "$1" ] || return 0
	done </proc/modules
	return 1
}

# load [PARAMETER...]: the module, fresh.
load() {
	unload
	ok modprobe "$DRIVER" "$@"
}

unload() {
	! loaded "$DRIVER" || ok rmmod "$DRIVER"
}

# add: one more device; its number is in $id, its files are $sys/... and $dev. Reading hot_add is what adds
# it, and $(<file) reads just once.
add() {
	id=$(<$CONTROL/hot_add)
	[[ $id =~ ^[0-9]+$ ]] || {
		fail "hot_add failed"
		exit 1
	}
	use "$id"
}

use() {
	id=$1
	sys=/sys/block/zram$id
	dev=/dev/zram$id
	eventually 5 [ -b "$dev" ] || fail "$dev did not appear"
}

# disk SIZE [ALGORITHM]: a new device, ready for use. Which algorithms there are depends on the kernel (Debian's
# has no 842) and, for C zram, on its settings (Debian's has no lzo).
disk() {
	add
	if [ -n "${2:-}" ]; then
		has "$2" || skip "there is no $2 here"
		stores "$sys/comp_algorithm" "$2"
	fi
	stores "$sys/disksize" "$1"
}

has() {
	[[ " $(<"$sys/comp_algorithm") " =~ [\ \[]$1[\]\ ] ]]
}

# algorithms: those that there are into $ALGORITHMS.
# shellcheck disable=SC2034 # for the tests
algorithms() {
	add
	ALGORITHMS=$(<"$sys/comp_algorithm")
	ALGORITHMS=${ALGORITHMS//[][]/}
	remove
}

# remove: the device that was used last.
remove() {
	stores $CONTROL/hot_remove "$id"
}

# A device that a dying process of the last test still has open is busy for a moment, so a refusal is
# tried again before it is believed.
hot_remove_all() {
	local path
	for path in /sys/block/zram*; do
		[ ! -e "$path" ] || eventually 5 removed "${path##*/zram}" ||
			fail "${path##*/} cannot be removed: $errno"
	done
}

removed() {
	put $CONTROL/hot_remove "$1"
	[ "$errno" = OK ]
}

# remove_disks: also those that are mounted or used for swap.
remove_disks() {
	local where what
	while read -r where what _; do
		[[ $where != /dev/zram* ]] || umount "$what"
	done </proc/mounts
	while read -r where _; do
		[[ $where != /dev/zram* ]] || swapoff "$where"
	done </proc/swaps
	! loaded "$DRIVER" || hot_remove_all
}

# tidy: removes what a test left behind. Libraries and tests replace it if they make more than disks.
tidy() {
	remove_disks
}

# --- Statistics -----------------------------------------------------------------------------------

# mm_stat: the columns of $sys/mm_stat into variables.
# shellcheck disable=SC2034 # for the tests
mm_stat() {
	local text
	text=$(<"$sys/mm_stat")
	read -r orig compr used limit used_max same compacted huge huge_since <<<"$text"
}

# shellcheck disable=SC2034 # for the tests
io_stat() {
	local text
	text=$(<"$sys/io_stat")
	read -r failed_reads failed_writes invalid_io notify_free <<<"$text"
}

# shellcheck disable=SC2034 # for the tests
bd_stat() {
	read -r bd_count bd_reads bd_writes <"$sys/bd_stat"
}

# no_failed_io: no read or write of the disk has failed.
no_failed_io() {
	io_stat
	is "failed_reads of $dev" "$failed_reads" 0
	is "failed_writes of $dev" "$failed_writes" 0
}

# pool_is_empty: zsmalloc may free an empty page a moment later, in a work item.
pool_is_empty() {
	mm_stat
	[ "$used" = 0 ]
}

# --- Data -----------------------------------------------------------------------------------------

# io COMMAND...: has pageio do it, started at the first call; what it answers is in $reply. The commands and
# the kinds of pages are told at the head of pageio.c.
io() {
	if [ -z "${PAGEIO_PID:-}" ]; then
		coproc PAGEIO { exec "$(program pageio)"; }
	fi
	reply='pageio is not there'
	printf '%s\n' "$*" >&"${PAGEIO[1]}" && read -r reply <&"${PAGEIO[0]}"
}

program() {
	command -v "$1" || command -v "$HERE/../programs/$1"
}

# does COMMAND...: io that must succeed.
does() {
	io "$@"
	is "the result of '$*' on $dev" "$reply" ok
}

# refuses ERRNO COMMAND...: io that must fail so.
refuses() {
	local want=$1
	shift
	io "$@"
	is "the result of '$*' on $dev" "$reply" "$want"
}

# --- Running --------------------------------------------------------------------------------------

kernel_log() {
	printf 'zram-test: %s\n' "$*" >/dev/kmsg
}

run_tests() {
	local tests=() line name status
	while read -r line; do
		[[ ! $line =~ ^test_([a-z0-9_]+)\(\) ]] || tests+=("${BASH_REMATCH[1]}")
	done <"$0"
	[ -z "${TESTS:-}" ] || read -ra tests <<<"$TESTS"
	[ ${#tests[@]} != 0 ] || ktap_exit_fail_msg "$SCRIPT has no tests"
	ktap_print_header
	ktap_set_plan ${#tests[@]}
	kernel_log "$SCRIPT: begin"
	for name in "${tests[@]}"; do
		kernel_log "$SCRIPT: $name"
		# Load once; a test that unloads finds it loaded again by the next.
		loaded "$DRIVER" || load num_devices=0
		tidy
		status=0
		(
			"test_$name"
			exit $failed
		) || status=$?
		case $status in
		0) ktap_test_pass "$SCRIPT: ${name//_/ }" ;;
		"$KSFT_SKIP") ktap_test_skip "$SCRIPT: ${name//_/ }" ;;
		*) ktap_test_fail "$SCRIPT: ${name//_/ }" ;;
		esac
	done
	tidy
	unload
	kernel_log "$SCRIPT: end"
	rm -rf "$TMP"
	if [ "$failed" != 0 ]; then
		ktap_print_msg "$SCRIPT: something outside of a test went wrong, see above"
		exit "$KSFT_FAIL"
	fi
	ktap_finished
}
