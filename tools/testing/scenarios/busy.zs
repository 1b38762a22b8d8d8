# SPDX-License-Identifier: GPL-2.0
#
# Devices that are in use.

=== open devices
hot_add
each "r" "w" "r w" "r excl" "r w excl" "r direct" : open 1 0 %
set 0 reset 1
hot_remove 0
unload
close 1
each r w : open 1 0 %
set 0 disksize 64K
close 1
open 1 0 r w
write 0 0 16 mixed 1
read 0 0 16 direct
set 0 reset 1
hot_remove 0
unload
get 0 initstate
set 0 idle all
set 0 compact 1
set 0 mem_limit 1M
set 0 mem_used_max 0
stats 0
close 1
set 0 reset 1
stats 0
hot_remove 0

=== exclusively open devices
hot_add
set 0 disksize 64K
open 1 0 r excl
open 2 0 r
open 3 0 r excl
swapon 0
mount 0 ext4
hot_remove 0
set 0 reset 1
close 1
set 0 reset 1
close 2
close 3
set 0 reset 1

=== two of several are open
hot_add
hot_add
hot_add
each 0 1 2 : set % disksize 64K
open 0 0 r
open 1 1 w
each 0 1 2 : set % reset 1
each 0 1 2 : hot_remove %
hot_add
close 0
each 0 1 2 : hot_remove %
close 1
each 0 1 2 : hot_remove %

=== files of a device that is gone
hot_add
set 0 disksize 64K
openp 1 /sys/block/zram0/mm_stat
openp 2 /sys/block/zram0/reset w
openp 3 /sys/block/zram0/disksize r w
openp 4 /sys/block/zram0/queue/max_sectors_kb r w
openp 5 /sys/block/zram0/writeback w
openp 6 /sys/class/zram-control/hot_remove w
preadh 1 200
preadh 3 200
pwriteh 6 "0"
preadh 1 200
pwriteh 2 "1"
preadh 3 100
pwriteh 3 "64K"
preadh 4 100
pwriteh 4 "64"
pwriteh 5 "idle"
pwriteh 6 "0"
hot_add
preadh 1 200
pwriteh 6 "0"

=== a file read and written in parts
hot_add
openp 1 /sys/block/zram0/mm_stat
preadh 1 5
preadh 1 200
openp 2 /sys/block/zram0/mem_limit w
pwriteh 2 "1"
pwriteh 2 "2M"
get 0 mm_stat
