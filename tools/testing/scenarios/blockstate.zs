# SPDX-License-Identifier: GPL-2.0
#
# /sys/kernel/debug/zram/zramN/block_state

=== block_state: offsets and sizes of buffers
hot_add
needs block_state
ls /sys/kernel/debug/zram
ls /sys/kernel/debug/zram/zram0
peek 0 0 100 2
set 0 disksize 1M
peek 0 0 100 2
write 0 0 10 mixed 1 direct
write 0 20 1 random 1 direct
write 0 255 1 text 1 direct
each 0 1 2 5 38 39 40 41 42 79 80 81 82 119 120 121 200 4096 5000 100000 1000000 : peek 0 0 % 4
each 0 1 2 3 9 10 11 15 19 20 21 22 100 254 255 256 257 1000 100000000000 : peek 0 % 90 3
each 0 1 9 20 255 256 : peek 0 % 4096 2
each 0 5 10 200 255 : peek 0 % 40 3
each -1 -5 9223372036854775807 : peek 0 % 100 1
setp /sys/kernel/debug/zram/zram0/block_state 1
set 0 reset 1
peek 0 0 100 1
set 0 disksize 4096
peek 0 0 100 2
write 0 0 1 same 1 direct
peek 0 0 100 2
peek 0 0 41 2
peek 0 0 40 2
hot_remove 0
peek 0 0 100 1
ls /sys/kernel/debug/zram

=== block_state: every mark
hot_add
needs block_state recompress
set 0 comp_algorithm lz4
set 0 recomp_algorithm algo=zstd
set 0 backing_dev /dev/loop41
set 0 disksize 256K
write 0 0 5 same 1 direct
write 0 5 5 text 1 direct
write 0 10 5 hex 1 direct
write 0 15 5 random 1 direct
state 0
set 0 idle all
state 0
set 0 recompress type=idle
state 0
set 0 idle all
state 0
peek 0 0 100000 1 # differs: access-time-kept
set 0 writeback page_indexes=8-17
state 0
peek 0 8 100000 1 # differs: access-time-kept
read 0 0 20 direct
peek 0 0 100000 1
set 0 idle all
state 0
write 0 0 20 zero 1 direct
state 0

=== block_state: a file that stays open
hot_add
needs block_state
set 0 disksize 64K
write 0 0 16 same 1
openp 1 /sys/kernel/debug/zram/zram0/block_state
set 0 reset 1
preadh 1 100
set 0 disksize 64K
preadh 1 100
hot_remove 0
preadh 1 100
close 1
