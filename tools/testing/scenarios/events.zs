# SPDX-License-Identifier: GPL-2.0
#
# Uevents, for listeners such as udev.

=== uevents
listen
hot_add
events
set 0 comp_algorithm zstd
events
set 0 mem_limit 1M
set 0 backing_dev /dev/loop41
events
set 0 disksize 256K
events
write 0 0 64 mixed 1
read 0 0 64 direct
set 0 idle all
set 0 writeback idle
set 0 compact 1
events
open 1 0 r w
close 1
events
set 0 disksize 128K
set 0 disksize 0
events
set 0 reset 1
events
set 0 reset 1
events
set 0 disksize 4096
events
hot_add
events
hot_remove 0
events
hot_remove 0
hot_remove 1
events
getp /sys/block/zram1/uevent
hot_add
getp /sys/block/zram0/uevent
setp /sys/block/zram0/uevent "change"
events
hot_remove 0

=== uevents of the module
unload
listen
load num_devices=2
events
set 1 disksize 64K
events
unload
events
