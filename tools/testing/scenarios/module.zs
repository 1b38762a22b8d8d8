# SPDX-License-Identifier: GPL-2.0
#
# The module and its parameter.

=== loading
modinfo # differs: helpers
getp /sys/module/$driver/parameters/num_devices
ls /sys/module/$driver/parameters # differs: helpers
load
load num_devices=3
unload
unload
hot_add
hot_remove 0
ls /sys/class/zram-control
ls /sys/kernel/debug/zram
load
each 0 1 : get % disksize
ls /sys/class/zram-control
ls /sys/kernel/debug/zram
tree 0 queue
unload
get 0 disksize
load num_devices=0
each 0 1 : get % disksize
hot_add
unload
load num_devices=3
each 0 1 2 3 : get % disksize
getp /sys/module/$driver/parameters/num_devices
hot_add
hot_remove 1
hot_add
unload
load num_devices=2 num_devices=1
each 0 1 : get % disksize
unload
load num_devices=17
each 15 16 17 : get % disksize
unload
load num_devices=0x2
each 1 2 : get % disksize
unload

=== loading with wrong parameters
unload
each num_devices=x num_devices=-1 num_devices= num_devices num_devices=1x num_devices=4294967296 "num_devices=x num_devices=1" "num_devices=\"2 \"" num-devices=x Num_devices=x : load %
get 0 disksize
load foo=1
get 0 disksize
unload
load num-devices=2
each 1 2 : get % disksize
unload
load "num_devices=\"2\""
each 1 2 : get % disksize
unload

=== unloading
hot_add
hot_add
hot_add
set 1 disksize 64K
set 2 disksize 64K
write 1 0 16 mixed 1
open 1 2 r
unload
close 1
openp 1 /sys/block/zram1/mm_stat
unload
preadh 1 100
close 1
load num_devices=0
hot_add
stats 0
mkswap 0
set 0 disksize 64K
mkswap 0
swapon 0
unload
swapoff 0
unload
load num_devices=1
set 0 disksize 64K
set 0 backing_dev /dev/loop40 # differs: backing-device-later
unload
load num_devices=0
hot_add
set 0 backing_dev /dev/loop40
set 0 disksize 64K
write 0 0 16 mixed 1
set 0 writeback huge
unload
openp 1 /dev/loop40 r excl
getp /proc/devices
load num_devices=0
getp /proc/devices
