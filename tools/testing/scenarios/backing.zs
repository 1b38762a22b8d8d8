# SPDX-License-Identifier: GPL-2.0
#
# Backing devices.

=== backing_dev: what it takes
hot_add
get 0 backing_dev
each "" " " /dev/nowhere $dir $dir/dict $dir/dict/x /dev/null /proc/self/mem /dev/zram0 none "\0" "/dev/loop40x" " /dev/loop40" "/dev/loop40 " "x"*255 "x"*256 "x/"*500 "/dev/loop99" : set 0 backing_dev %
get 0 backing_dev
raw 0 backing_dev ""
raw 0 backing_dev "\n"
raw 0 backing_dev "\n/dev/loop40"
get 0 backing_dev
raw 0 backing_dev "/dev/loop40\n\n"
get 0 backing_dev
raw 0 backing_dev "/dev/loop40\nx"
get 0 backing_dev
set 0 backing_dev /dev/loop40
get 0 backing_dev
set 0 backing_dev /dev/loop40
set 0 backing_dev /dev/loop41
get 0 backing_dev
openp 1 /dev/loop40 r excl
openp 2 /dev/loop41 r excl
openp 2 /dev/loop41 r w
set 0 backing_dev /dev/nowhere
get 0 backing_dev
set 0 backing_dev /dev/loop40
get 0 backing_dev
close 1
raw 0 backing_dev "/dev/loop40\0garbage"
get 0 backing_dev
raw 0 backing_dev /dev/../dev/./loop42
get 0 backing_dev
setp /proc/self/comm x
set 0 backing_dev /proc/self/root/dev/zs0
get 0 backing_dev
set 0 disksize 64K
each /dev/loop40 /dev/nowhere "" $dir/dict : set 0 backing_dev %
get 0 backing_dev
set 0 reset 1
get 0 backing_dev
openp 1 /dev/zs0 r excl
close 1
set 0 backing_dev /dev/loop40
hot_remove 0
openp 1 /dev/loop40 r excl
close 1

=== backing_dev: sizes
hot_add
loop 50 0
loop 51 4095
loop 52 4096
loop 53 8191
loop 54 20992
each 50 51 52 53 54 : set 0 backing_dev /dev/loop%
get 0 backing_dev
set 0 disksize 64K
write 0 0 16 random 1 direct
set 0 writeback huge
stats 0
read 0 0 16 direct
discard 0 0 16
write 0 0 16 random 2 direct
set 0 writeback page_indexes=3-9
stats 0
read 0 0 16 direct
set 0 reset 1
set 0 backing_dev /dev/loop52
set 0 disksize 64K
write 0 0 16 random 1 direct
set 0 writeback page_indexes=3-4
state 0
write 0 4 1 text 1 direct
set 0 writeback page_indexes=0-15
state 0
stats 0
read 0 0 16 direct
stats 0

=== backing_dev: of two devices
hot_add
hot_add
set 0 backing_dev /dev/loop41
set 1 backing_dev /dev/loop41
get 1 backing_dev
set 0 reset 1
set 1 backing_dev /dev/loop41
set 0 backing_dev /dev/loop41
hot_remove 1
set 0 backing_dev /dev/loop41
get 0 backing_dev

=== backing_dev: a zram device
hot_add
hot_add
set 0 backing_dev /dev/zram1
set 0 backing_dev /dev/zram0
set 1 disksize 256K
set 0 backing_dev /dev/zram1
get 0 backing_dev
set 1 reset 1
hot_remove 1
set 1 backing_dev /dev/zram0 # differs: backing-device-later
set 0 disksize 256K
set 1 backing_dev /dev/zram0 # differs: backing-device-later
write 0 0 64 mixed 1 direct
set 0 writeback huge
get 0 bd_stat
get 0 mm_stat
get 1 mm_stat
read 0 0 64 direct
get 0 bd_stat
set 0 reset 1
read 0 0 64 direct
set 1 reset 1
hot_remove 1
hot_remove 0

=== backing_dev: what is in use
hot_add
openp 1 /dev/loop40 r excl
set 0 backing_dev /dev/loop40
close 1
openp 1 /dev/loop40 r w
set 0 backing_dev /dev/loop40
close 1
openp 1 /dev/loop40 r excl
get 0 backing_dev

=== writeback without a backing device
hot_add
each idle huge x "" page_index=0 page_index=9999 type=x : set 0 writeback %
set 0 disksize 64K
each idle huge x "" page_index=0 page_index=9999 type=x : set 0 writeback %
get 0 bd_stat
get 0 backing_dev
