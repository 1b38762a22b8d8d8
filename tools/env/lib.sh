# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Shared by the scripts of tools/: paths, progress messages, and commands inside the build root. Sourced, never run.
#
# Environment:
#   ZRAM_RS_CACHE   directory of the build root, the kernels and all other build products (default:
#                   $XDG_CACHE_HOME/zram_rs or ~/.cache/zram_rs)
#   ZRAM_RS_MIRROR  the Debian mirror to use (default: the one that this machine's apt uses); options of apt may stand
#                   before the address, in brackets
#   KDIR            a kernel build tree that "tools/build stock" builds for, instead of Debian's (an x86-64 build with
#                   CONFIG_RUST=y)
#   JOBS            number of parallel jobs (default: all processors)
#   V=1             shows the output of each step instead of a progress line
#
# --help as the first argument prints the head of the script.

set -euo pipefail

case ${1:-} in
-h | --help)
	sed -n '4,/^[^#]*$/s/^# \{0,1\}//p' "$0"
	exit 0
	;;
esac

die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SRC=$(dirname "$TOOLS")
CACHE=${ZRAM_RS_CACHE:-${XDG_CACHE_HOME:-${HOME:?is not set}/.cache}/zram_rs}
if [ -n "${KDIR:-}" ]; then
	KDIR=$(realpath -m -- "$KDIR")
	grep -qs '^CONFIG_RUST=y' "$KDIR/.config" ||
		die "KDIR must name a kernel build tree with CONFIG_RUST=y, which $KDIR/.config does not have."
fi
JOBS=${JOBS:-$(nproc)}
export JOBS

mkdir -p "$CACHE/log" "$CACHE/stamp" 2>/dev/null && [ -w "$CACHE/log" ] && [ -w "$CACHE/stamp" ] ||
	die "$CACHE, which holds all build products, is not writable. Set ZRAM_RS_CACHE to a directory that is."

# The versions of Linux that the driver supports, the newest first.
mapfile -t KERNELS < <(grep '^[0-9]' "$TOOLS/config/kernels")

# use_kernel VERSION SUITE: sets the version of the kernels that are made, and the Debian release of the build root and of
# the guests, with its compilers that built this kernel.
# shellcheck disable=SC2034 # for the scripts that source this file
use_kernel() {
	KERNEL=$1 SUITE=$2
	case $SUITE in
	trixie) GCC_VERSION=14 LLVM_VERSION=19 ;;
	*) GCC_VERSION=16 LLVM_VERSION=22 ;;
	esac
	export GCC_VERSION LLVM_VERSION
}

# use_chosen_kernel: the same for what make-root has chosen (see choose_kernel), if the driver still supports it.
use_chosen_kernel() {
	local kernel suite
	read -r kernel suite _ 2>/dev/null <"$CACHE/stamp/kernel" || kernel=none
	[[ " ${KERNELS[*]} " == *" $kernel "* ]] || kernel=${KERNELS[0]} suite=trixie
	use_kernel "$kernel" "$suite"
}

use_chosen_kernel

# --- Progress messages ----------------------------------------------------------------------------

# The start of the command that the user typed, which may call others of these scripts.
export ZRAM_RS_STARTED=${ZRAM_RS_STARTED:-$EPOCHSECONDS}

elapsed() {
	local s=$((EPOCHSECONDS - ${1:-$ZRAM_RS_STARTED}))
	printf '%d:%02d' $((s / 60)) $((s % 60))
}

say() { printf '[%s] %s\n' "$(elapsed)" "$*"; }

# mib_free: prints the free space of the cache, in MiB.
mib_free() { df --output=avail -B1M "$CACHE" | tail -n 1 | tr -d ' '; }

# progress LABEL LOG EXPECTED COMMAND...: runs COMMAND with its output in LOG and shows its progress, as the number of
# lines of output relative to EXPECTED.
progress() {
	local label=$1 log=$CACHE/log/$2 expected=$3 from=$EPOCHSECONDS rc=0 pid lines percent tick
	shift 3
	if [ "${V:-0}" = 1 ]; then
		say "$label"
		"$@" </dev/null
		return
	fi
	: >"$log"
	# In a process group of its own, so that an interrupt ends the whole build.
	set -m
	"$@" </dev/null >"$log" 2>&1 &
	pid=$!
	set +m
	# unshare, and the first process of a PID namespace, ignore less.
	trap 'kill -KILL -- -$pid 2>/dev/null; exit 130' INT TERM HUP
	tick=0
	[ -t 1 ] || say "$label (log: $log)"
	while kill -0 $pid 2>/dev/null; do
		sleep 0.5
		tick=$((tick + 1))
		lines=$(wc -l <"$log")
		percent=$((lines * 100 / expected))
		[ $percent -gt 99 ] && percent=99
		if [ -t 1 ]; then
			printf '\r[%s] %s ... %d%%  (%s)\033[K' "$(elapsed)" "$label" $percent "$(elapsed $from)"
		elif [ $((tick % 60)) = 0 ]; then
			say "    $label: $percent%"
		fi
	done
	wait $pid || rc=$?
	trap - INT TERM HUP
	[ -t 1 ] && printf '\r\033[K'
	if [ $rc != 0 ]; then
		tail -n 25 "$log" >&2
		[ "$(mib_free)" -ge 200 ] || printf 'The disk is full: %s has %s MiB left. Make room there, or set %s\n' \
			"$CACHE" "$(mib_free)" 'ZRAM_RS_CACHE to a directory on a larger disk.' >&2
		die "$label failed (exit $rc); the whole output is in $log. Run the command again to resume."
	fi
	say "$label: done in $(elapsed $from)"
}

# --- What is made once ----------------------------------------------------------------------------

# key TEXT...: prints a short hash of the inputs of a build product.
key() { printf '%s\n' "$@" | sha256sum | cut -c1-12; }

# made NAME KEY: succeeds if NAME was made from the inputs of KEY.
made() { [ "$(cat "$CACHE/stamp/$1" 2>/dev/null)" = "$2" ]; }

mark_made() { printf '%s\n' "$2" >"$CACHE/stamp/$1"; }

# lock_cache [WHAT]: takes the lock under which one script at a time makes files (of that sort) in the cache.
lock_cache() {
	exec 9>"$CACHE/lock${1:+.$1}"
	flock -n 9 && return
	say "waiting for another run that makes the same files"
	flock 9
}

# --- The driver's source --------------------------------------------------------------------------

# driver_sources: prints the files that the driver is compiled from, relative to the checkout, in order.
driver_sources() {
	(cd "$SRC" && find . -path './.?*' -prune -o -path ./tools -prune -o -path ./Documentation -prune -o \
		-type f \( -name '*.rs' -o -name '*.[ch]' \) ! -name bindings_generated.rs -print) | sed 's:^\./::' | sort
}

# --- Kernel configurations ------------------------------------------------------------------------

ARM64="ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- CC=aarch64-linux-gnu-gcc-$GCC_VERSION"
ARM64+=" HOSTCC=gcc-$GCC_VERSION"
# The cross compilers, of which that for 32 bits is for the vDSO, and QEMU.
# shellcheck disable=SC2034 # for make-kernel
ARM64_PACKAGES=("gcc-$GCC_VERSION-aarch64-linux-gnu" binutils-aarch64-linux-gnu libc6-dev-arm64-cross
	"gcc-$GCC_VERSION-arm-linux-gnueabihf"
	qemu-system-arm ipxe-qemu)

# What the driver is built for and what guests run. "flavour" is Debian's name of an unmodified kernel of Debian's, or
# "-" for a kernel that is built here; "source" is the source tree in the build root, "arguments" are those of make. The
# kernel of stock-X.Y is Linux X.Y, all others are Linux $KERNEL.
#	name      machine architecture flavour     source             arguments
CONFIGURATIONS="
	uml-debug uml     um           -           /cache/linux-um    ARCH=um LLVM=-$LLVM_VERSION
	uml-perf  uml     um           -           /cache/linux-um    ARCH=um LLVM=-$LLVM_VERSION
	stock     qemu    amd64        cloud-amd64 /cache/linux       CC=x86_64-linux-gnu-gcc-$GCC_VERSION HOSTCC=gcc-$GCC_VERSION
	stock-7.2 qemu    amd64        cloud-amd64 /cache/linux-7.2   CC=x86_64-linux-gnu-gcc-$GCC_VERSION HOSTCC=gcc-$GCC_VERSION
	arm64     qemu    arm64        cloud-arm64 /cache/linux       $ARM64
	arm64-16k qemu    arm64        arm64-16k   /cache/linux       $ARM64
	kcsan     qemu    amd64        -           /cache/linux-kcsan ARCH=x86_64 LLVM=-$LLVM_VERSION
	arm64-kcsan     qemu arm64 -       /cache/linux-kcsan ARCH=arm64 LLVM=-$LLVM_VERSION
	arm64-64k-debug qemu arm64 -       /cache/linux       ARCH=arm64 LLVM=-$LLVM_VERSION
"

# configurations: prints the names.
configurations() { awk 'NF { print $1 }' <<<"$CONFIGURATIONS"; }

# by_name_only NAME: succeeds if tools/test uses the kernel configuration only where its name is given, as its kernel
# takes long to build.
by_name_only() { [[ $1 == *kcsan || $1 == arm64-64k-debug ]]; }

# stock_of VERSION: prints the name of the kernel configuration with Debian's kernel of this version, or fails.
stock_of() {
	local versions
	versions=$(configurations | sed -n "s/^stock\$/$KERNEL/p; s/^stock-//p" | paste -sd " ")
	[[ " $versions " == *" ${1:-none} "* ]] || die "--kernel wants the version of a stock kernel, one of: $versions."
	[ "$1" = "$KERNEL" ] && echo stock || echo "stock-$1"
}

# use_configuration NAME: sets $config to NAME, and $machine, $architecture, $flavour, $source and $arguments to what the
# table has; $linux to the version of the kernel; $directory to the build directory in the build root; $suffix to the
# end of the names of what only guests of another architecture than this machine's have. Fails if the table has no such
# line.
# shellcheck disable=SC2034 # for the scripts that source this file
use_configuration() {
	local name rest
	while read -r name rest; do
		[ -n "$name" ] && [ "$name" = "$1" ] || continue
		config=$name
		read -r machine architecture flavour source arguments <<<"$rest"
		linux=$KERNEL
		[[ $config != stock-* ]] || linux=${config#stock-}
		suffix=''
		[ "$architecture" != arm64 ] || suffix=-arm64
		directory=/cache/$config
		[ "$flavour" = - ] || directory+=/build
		return
	done <<<"$CONFIGURATIONS"
	return 1
}

# --- The build root -------------------------------------------------------------------------------

ROOT=$CACHE/root

# as_root COMMAND...: runs COMMAND with the rights to mount and chroot: as root, or as root of a user namespace.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		unshare --mount --pid --fork --kill-child -- "$@"
	else
		unshare --user --map-auto --map-root-user --mount --pid --fork --kill-child -- "$@"
	fi
}

# in_root COMMAND...: runs COMMAND inside the build root, with the checkout at /src (read only), the cache at /cache,
# KDIR, if set, at its own path, and with SAME_PATHS=1 the checkout and the cache at theirs, too. The mounts vanish with
# their mount namespace.
in_root() {
	# shellcheck disable=SC2016 # expanded by the inner shell
	as_root /bin/sh -ec '
		root=$1 src=$2 cache=$3 kdir=$4 same=$5
		shift 5
		PATH=$PATH:/usr/sbin:/sbin
		mount --make-rprivate /
		mkdir -p "$root/src" "$root/cache"
		mount --rbind "$src" "$root/src"
		mount -o remount,bind,ro "$root/src" 2>/dev/null || :
		mount --rbind "$cache" "$root/cache"
		mount -t proc proc "$root/proc"
		mount --rbind /dev "$root/dev"
		mount -t tmpfs tmpfs "$root/tmp"
		if [ -n "$kdir" ]; then
			mkdir -p "$root$kdir"
			mount --rbind "$kdir" "$root$kdir"
		fi
		if [ -n "$same" ]; then
			mkdir -p "$root$src" "$root$cache"
			mount --rbind "$src" "$root$src"
			mount --rbind "$cache" "$root$cache"
		fi
		exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb \
			LC_ALL=C.UTF-8 JOBS="$JOBS" GCC_VERSION="$GCC_VERSION" LLVM_VERSION="$LLVM_VERSION" \
			TMPDIR=/tmp PYTHONDONTWRITEBYTECODE=1 "$@"
	' sh "$ROOT" "$SRC" "$CACHE" "${KDIR:-}" "${SAME_PATHS:-}" "$@"
}

# use_mirror: has the apt of the build root use the same mirror as these tools now, which may be another one than when the
# build root was made.
use_mirror() {
	local lines
	# shellcheck disable=SC2046 # words
	lines=$(sources $(suites "$SUITE")) || return
	[ "$lines" = "$(cat "$ROOT/etc/apt/sources.list")" ] ||
		in_root sh -c 'printf "%s\n" "$1" >/etc/apt/sources.list' sh "$lines"
}

# add_to_root WHAT LINES PACKAGES...: installs more Debian packages in the build root. They are not in make-root's list,
# as a change of that list rebuilds all kernels.
add_to_root() (
	want=$(key "$(cat "$CACHE/stamp/root")" "${@:3}")
	lock_cache in-root
	made "in-root-${1// /-}" "$want" && return
	use_mirror
	progress "$1 from Debian" "in-root-${1// /-}.log" "$2" in_root sh -ec \
		'apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"' \
		sh "${@:3}"
	mark_made "in-root-${1// /-}" "$want"
)

# in_root_of ARCHITECTURE COMMAND...: runs COMMAND inside the build root with an apt that knows the packages of this
# architecture only, and installs nothing.
in_root_of() {
	local architecture=$1 dir=/cache/apt/$1
	shift
	if [ "$architecture" = amd64 ]; then
		in_root "$@"
		return
	fi
	mkdir -p "$CACHE/apt/$architecture/lists" "$CACHE/apt/$architecture/cache"
	printf '%s;\n' "APT::Architecture \"$architecture\"" "APT::Architectures { \"$architecture\" }" \
		"Dir::State::lists \"$dir/lists\"" "Dir::Cache \"$dir/cache\"" 'Dir::State::status "/dev/null"' \
		'Dir::Cache::pkgcache ""' 'Dir::Cache::srcpkgcache ""' \
		>"$CACHE/apt/$architecture/apt.conf"
	in_root env "APT_CONFIG=$dir/apt.conf" "$@"
}

# mirror: prints the Debian mirror of this machine's apt. A new machine may have no package lists yet; only root can
# update them.
mirror() {
	local site
	if [ -n "${ZRAM_RS_MIRROR:-}" ]; then
		echo "$ZRAM_RS_MIRROR"
		return
	fi
	for _ in first second; do
		# shellcheck disable=SC2016 # apt's own placeholders
		site=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(SITE)' 2>/dev/null |
			sed -n '/^Debian|Debian|/{s///p;q}')
		if [ -n "$site" ]; then
			echo "$site"
			return
		fi
		[ "$(id -u)" = 0 ] && apt-get update >&2 || break
	done
	die "this machine's apt knows no Debian mirror. Run 'apt-get update' as root, or, if this is not Debian, set" \
		"ZRAM_RS_MIRROR to the address of a Debian mirror and install debian-archive-keyring."
}

# sources SUITE...: prints the lines of sources.list for these suites. A mirror of testing or of unstable may be days old.
sources() {
	local from suite options
	from=$(mirror) || return
	for suite in "$@"; do
		options=''
		[[ $from != \[* ]] || options=${from%%]*} options=${options#[}
		case $suite in
		forky | sid) options+=' check-valid-until=no' ;;
		esac
		echo "deb ${options:+[${options# }] }${from#*] } $suite main"
	done
}

# suites SUITE: prints those that a system of this release takes packages from.
suites() {
	case $1 in
	trixie) echo trixie trixie-updates trixie-backports ;;
	*) echo "$1" ;;
	esac
}

# apt_of DIR COMMAND...: runs a command of this machine's apt that knows DIR/sources.list only.
apt_of() {
	local dir=$1 command=$2
	shift 2
	"$command" -o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State="$dir" \
		-o Dir::State::status=/dev/null -o Dir::Cache="$dir" -o APT::Architecture=amd64 -o APT::Architectures=amd64 \
		-o APT::Sandbox::User=root -o APT::Update::Error-Mode=any -o Acquire::Languages=none "$@"
}

# has_kernel DIR VERSION: prints the newest package version of the source of this Linux that the mirror has with headers
# and images of the same one, as far as DIR/sources.list goes.
has_kernel() {
	apt_of "$1" apt-cache search --names-only "^linux-(source-$2|(headers|binary)-$2[^0-9].*-cloud-amd64)\$" |
		awk '{ print $1 }' | xargs -r bash -c "$(declare -f apt_of)"'; apt_of "$0" apt-cache madison "$@"' "$1" | awk '
		$1 ~ /^linux-source-/ { source[$3] = 1 }
		$1 ~ /^linux-headers-/ { sub(/^linux-headers-/, "", $1); headers[$3] = $1 }
		$1 ~ /^linux-binary-/ { sub(/^linux-binary-/, "", $1); binary[$3] = $1 }
		END {
			for (version in source)
				if (headers[version] && headers[version] == binary[version])
					print version
		}' | sort -rV | head -n 1
}

# choose_kernel: asks the mirror for the newest kernel that the driver supports, in backports, testing and unstable, and
# sets what use_kernel does, and $PACKAGES to the version of the kernel's packages. Fails, and says why, if the mirror has
# none or does not answer.
choose_kernel() {
	local dir=$CACHE/apt/kernel from kernel suite asked=''
	from=$(mirror) || return
	PACKAGES=''
	for kernel in "${KERNELS[@]}"; do
		for suite in trixie-backports forky sid; do
			if [[ " $asked " != *" $suite "* ]]; then
				mkdir -p "$dir/$suite/lists/partial" "$dir/$suite/archives/partial"
				sources "$suite" >"$dir/$suite/sources.list"
				apt_of "$dir/$suite" apt-get update >"$CACHE/log/kernel-$suite.log" 2>&1 || {
					grep '^[EW]:' "$CACHE/log/kernel-$suite.log" | tail -n 3 >&2
					(die "the mirror $from does not answer, or has no $suite. Try again later, or set" \
						"ZRAM_RS_MIRROR to another mirror.")
					return
				}
				asked+=" $suite"
			fi
			PACKAGES=$(has_kernel "$dir/$suite" "$kernel")
			[ -z "$PACKAGES" ] || break 2
		done
	done
	[ -n "$PACKAGES" ] || {
		(die "the mirror $from has no kernel with its headers that the driver supports (Linux ${KERNELS[*]}). Set" \
			"ZRAM_RS_MIRROR to an older one: '[check-valid-until=no]" \
			"https://snapshot.debian.org/archive/debian/20261125T000000Z' has Linux 7.3.")
		return
	}
	use_kernel "$kernel" "${suite%-backports}"
	say "Linux $kernel ($PACKAGES) from $suite: the newest that the driver supports and the mirror has"
}

# bootstrap DIR PACKAGES [ARCHITECTURE]: makes a Debian tree, complete or not at all. apt verifies all signatures. The
# packages of an ARCHITECTURE are unpacked and not configured: their scripts cannot run on this machine.
bootstrap() {
	local dir=$1 packages=$2 lines=() variant=(--variant=apt)
	[ -z "${3:-}" ] || variant=(--variant=extract --architectures="$3" --include='?essential')
	# shellcheck disable=SC2046 # words
	mapfile -t lines < <(sources $(suites "$SUITE"))
	[ ${#lines[@]} != 0 ] || return
	remove_tree "$dir.part"
	mkdir -p "$dir.part"
	# By way of an archive: mmdebstrap's own user namespace gives files to other ids than as_root's.
	mmdebstrap "${variant[@]}" --format=tar --include="$packages" \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--aptopt='APT::Install-Recommends "false"' \
		"$SUITE" - "${lines[@]}" |
		as_root tar -x --numeric-owner -p -C "$dir.part" --exclude='./dev/*' -f -
	remove_tree "$dir"
	mv "$dir.part" "$dir"
}

# export_bootstrap: a command that is run by bash can call bootstrap.
export_bootstrap() {
	export -f bootstrap sources suites mirror die remove_tree as_root
	export SUITE
}

# remove_tree DIR: removes a tree with the rights that made it (in a user namespace its files belong to other ids).
remove_tree() {
	[ -e "$1" ] || return 0
	as_root rm -rf "$1"
}
