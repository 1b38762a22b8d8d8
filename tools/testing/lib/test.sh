# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Shared by the selftests. A test script sources this file, defines functions named test_*, and ends with run_tests,
# which runs these functions in the order of the file and prints one KTAP result for each. It prints the plan first, so
# that tools/test detects a script that ends early.
#
# Lines of the head of a script say which guests run it, so that a new test is one file:
#
#	# Guest: uml-debug group=writeback seconds=600
#	# Guest: stock memory=512M disk=1G
#
# The first word is a kernel configuration. Then may follow: memory (default 1G), processors (default 2), disk (the
# size of an empty disk; there is none by default), seconds (the time that the script may take, default 300), systemd
# (boots systemd with the files of testing/systemd/NAME), build (another build of the driver, by tools/build
# CONFIGURATION --NAME), and group: scripts with the same needs share a guest if they have the same group (default: the
# name of the script). "quick" has "tools/test --quick" run the script; "alone" has nothing else run beside its guest,
# for tests that measure time. The line "# Guest: none" is for a script that tools/test does not run by itself.
#
# A test runs in a subshell with the module loaded and no disk but those that it adds. It checks its expectations with
# the functions below. A difference fails the test and is printed in a "# " line; the test continues, to print other
# differences, too. The assertions are
#
#	is, at_least		a value
#	ok, not_ok		the exit status of a command
#	stores, reads		the result of a write to a file of sysfs; the text of such a file
#	does, refuses		the result of an I/O command of pageio
#
# and a test reports other failures with fail. Functions that return a value set a variable, mostly of their own name,
# since $(...) forks.
#
# On uml-debug, a fork takes 0.1 s and an exec 0.2 s. The tests therefore are scripts for bash, which use builtins where
# they can, and do their I/O through pageio (see pageio.c).
#
# Environment:
#   DRIVER   the module under test: zram_rs (default), or zram, whose ABI is the same
#   TESTS    names of the tests to run, without test_ (default: all)

export LC_ALL=C

DRIVER=${DRIVER:-${ZR_DRIVER:-zram_rs}}
CONTROL=/sys/class/zram-control
SCRIPT=${0##*/}
HERE=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
TMP=${TMP:-/tmp/zram-test.$$}
mkdir -p "$TMP"

# A guest has the kernel's selftests beside this directory; in a kernel tree they are where the kernel keeps them.
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

# The size of a page of this machine, the unit of what the tests write.
PAGE=4096
on_uml || PAGE=$(getconf PAGESIZE)
# Files that count pages and blocks count in 4 KiB, so many of them a page.
UNITS=$((PAGE / 4096))

# fewer COUNT LEAST: sets $fewer to COUNT, but where pages are larger than 4 KiB, to as many times less, and at least to
# LEAST: for tests that need an amount of data, which an emulated machine takes long to compress.
fewer() {
	fewer=$(($1 / UNITS))
	[ $fewer -ge "$2" ] || fewer=$2
}

# grow SIZE: sets $grown to the size of a disk that has as many pages as one of SIZE has with pages of 4 KiB. It
# does not change a size in bytes, which has no suffix.
grow() {
	grown=$1
	[[ ! $1 =~ ^([0-9]+)([KMG])$ ]] || grown=$((BASH_REMATCH[1] * UNITS))${BASH_REMATCH[2]}
}

# --- Assertions -----------------------------------------------------------------------------------

failed=0

note() {
	ktap_print_msg "$*"
}

# fail MESSAGE: fails the test, and prints the message with the line of the script that led here.
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

# ok COMMAND...: the command must succeed. Its output is in $TMP/out.
ok() {
	"$@" >"$TMP/out" 2>&1 && return
	fail "'$*' failed with exit status $?: $(<"$TMP/out")"
	return 1
}

# not_ok COMMAND...: the command must fail. Its output is in $TMP/out.
not_ok() {
	"$@" >"$TMP/out" 2>&1 || return 0
	fail "'$*' succeeded and should not: $(<"$TMP/out")"
}

# skip REASON: ends the test and skips it.
skip() {
	note "SKIP: $*"
	exit "$KSFT_SKIP"
}

# eventually SECONDS COMMAND...: repeats the command until it succeeds. Fails after so many seconds.
eventually() {
	local until=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$until" ] || return 1
		sleep 0.05
	done
}

# now: sets $now to the time in milliseconds.
# shellcheck disable=SC2034 # for the tests
now() {
	now=$((${EPOCHREALTIME/./} / 1000))
}

# ended PID...: succeeds if all of these processes have ended.
ended() {
	local pid
	for pid in "$@"; do
		! kill -0 "$pid" 2>/dev/null || return 1
	done
}

# wait_all PID...: waits for the processes. The test fails if one of them failed.
wait_all() {
	local pid
	for pid in "$@"; do
		wait "$pid" || failed=1
	done
}

# errno_of MESSAGE: sets $errno to the name of the error with which a message of the shell or of a tool ends.
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

# put FILE VALUE: writes VALUE and a newline in one write(2), as echo does. Sets $errno to the result.
put() {
	local message=
	{ printf '%s\n' "$2" >"$1"; } 2>"$TMP/errno.$BASHPID"
	read -r message <"$TMP/errno.$BASHPID"
	errno_of "$message"
}

# put_to FD VALUE: like put, for an open file, which may have no name any more.
put_to() {
	local message=
	{ printf '%s\n' "$2" >&"$1"; } 2>"$TMP/errno.$BASHPID"
	read -r message <"$TMP/errno.$BASHPID"
	errno_of "$message"
}

# put_bare FILE VALUE: like put, without the newline.
put_bare() {
	local message=
	{ printf '%s' "$2" >"$1"; } 2>"$TMP/errno.$BASHPID"
	read -r message <"$TMP/errno.$BASHPID"
	errno_of "$message"
}

# stores FILE VALUE [ERRNO]: a write of VALUE and a newline must return ERRNO (default OK). A disksize grows with the
# pages of the machine (see grow).
stores() {
	[[ $1 != */disksize ]] || {
		grow "$2"
		set -- "$1" "$grown" "${@:3}"
	}
	put "$1" "$2"
	is "the result of 'echo $2 > $1'" "$errno" "${3:-OK}"
}

# reads FILE TEXT: a file of the disk must contain TEXT, byte for byte.
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

# load [PARAMETER...]: loads the module; unloads it first if it is loaded.
load() {
	unload
	ok modprobe "$DRIVER" "$@"
}

unload() {
	! loaded "$DRIVER" || ok rmmod "$DRIVER"
}

# add: adds a disk. Sets $id to its number, $sys to its directory in sysfs, and $dev to its device file. $(<file) makes
# one read(2), so it adds one disk.
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

# disk SIZE [ALGORITHM]: adds and initialises a disk. Which algorithms exist depends on the kernel (Debian's has no 842)
# and, for C zram, on its configuration (Debian's has no lzo).
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

# algorithms: sets $ALGORITHMS to the names of all algorithms.
# shellcheck disable=SC2034 # for the tests
algorithms() {
	add
	ALGORITHMS=$(<"$sys/comp_algorithm")
	ALGORITHMS=${ALGORITHMS//[][]/}
	remove
}

# remove: removes the disk that was used last.
remove() {
	stores $CONTROL/hot_remove "$id"
}

# hot_remove_all: removes all disks. A process of the last test may still be about to close a disk, so a removal that
# fails is tried again.
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

# remove_disks: removes all disks, also those that are mounted or used for swap.
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

# mm_stat, io_stat, bd_stat: set variables to the columns of these files; those of bd_stat to numbers of pages.
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
	bd_count=$((bd_count / UNITS)) bd_reads=$((bd_reads / UNITS)) bd_writes=$((bd_writes / UNITS))
}

# no_failed_io: no read or write of the disk has failed.
no_failed_io() {
	io_stat
	is "failed_reads of $dev" "$failed_reads" 0
	is "failed_writes of $dev" "$failed_writes" 0
}

# pool_is_empty: succeeds if the disk uses no memory. Zsmalloc frees an empty page in a work item, so callers wait for
# it with "eventually".
pool_is_empty() {
	mm_stat
	[ "$used" = 0 ]
}

# --- Data -----------------------------------------------------------------------------------------

# io COMMAND...: sends a command to pageio, which the first call starts, and sets $reply to the answer. The head of
# pageio.c describes the commands and the kinds of pages.
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

# does COMMAND...: the command of pageio must succeed.
does() {
	io "$@"
	is "the result of '$*' on $dev" "$reply" ok
}

# refuses ERRNO COMMAND...: the command of pageio must fail with this error.
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
		# All tests use one load of the module, until a test unloads it.
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
