#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The smallest test of a guest: loads the driver, which adds a disk, and unloads it.

set -e
uname -r
modprobe "$ZR_DRIVER"
lsmod
zramctl --find --size 64M
dd if=/dev/urandom of=/dev/zram0 bs=1M count=16 status=none
cat /sys/block/zram0/mm_stat
echo "disks: $ZR_DISKS"
zramctl --reset /dev/zram0
rmmod "$ZR_DRIVER"
exit "${1:-0}"
