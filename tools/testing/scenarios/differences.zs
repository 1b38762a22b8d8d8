# SPDX-License-Identifier: GPL-2.0
#
# The intended differences: see Documentation/differences.rst.

=== access-time-kept
hot_add
needs recompress block_state
set 0 comp_algorithm lz4
set 0 recomp_algorithm algo=zstd
set 0 disksize 64K
write 0 0 16 hex 1 direct
set 0 recompress foo=bar
peek 0 0 4096 1 # differs: access-time-kept
set 0 idle $uptime-1
state 0 # differs: access-time-kept
read 0 0 16 direct
peek 0 0 4096 1

=== backing-device-later
hot_add
set 0 disksize 256K
write 0 0 64 random 1 direct
set 0 writeback huge
set 0 backing_dev /dev/nowhere # differs: backing-device-later
set 0 backing_dev /dev/zs0 # differs: backing-device-later
get 0 backing_dev # differs: backing-device-later
set 0 backing_dev /dev/loop42
set 0 writeback page_indexes=0-31 # differs: backing-device-later
get 0 bd_stat # differs: backing-device-later
read 0 0 64 direct
set 0 reset 1
get 0 backing_dev
openp 1 /dev/zs0 r excl
close 1

=== config-kept
hot_add
needs lzo-rle strict
set 0 comp_algorithm zstd
set 0 algorithm_params level=99
set 0 mem_limit 1M
set 0 disksize 64K
get 0 comp_algorithm # differs: config-kept
get 0 mm_stat
get 0 disksize
get 0 initstate
set 0 algorithm_params level=3
set 0 disksize 64K # differs: config-kept
get 0 comp_algorithm # differs: config-kept

=== duplicate-pages
hot_add
set 0 backing_dev /dev/zs0
set 0 disksize 256K
write 0 0 64 random 1 direct
set 0 writeback page_index=3 page_index=3
get 0 bd_stat # differs: duplicate-pages
set 0 writeback page_index=5 type=huge
state 0
read 0 0 64 direct

=== limit-is-no-space
hot_add
needs 4K-pages
set 0 disksize 1M
write 0 0 16 random 1 direct
set 0 mem_limit 64K
write 0 16 1 random 1 direct # differs: limit-is-no-space
write 0 0 1 random 2 direct # differs: limit-is-no-space
write 0 0 1 random 2
stats 0
write 0 0 1 zero 2 direct
read 0 0 16 direct
set 0 mem_limit 0
write 0 16 1 random 1 direct
stats 0

=== failed-block
hot_add
null zs1 1
set 0 backing_dev /dev/zs1
setp /sys/kernel/config/nullb/zs1/badblocks "+0-7"
set 0 disksize 256K
write 0 0 64 random 1 direct
set 0 writeback page_index=3
get 0 bd_stat
get 0 mm_stat
set 0 writeback page_index=3 # differs: failed-block
get 0 bd_stat # differs: failed-block
read 0 0 64 direct
set 0 reset 1

=== failed-reads
hot_add
needs 4K-pages
null zs1 1
set 0 backing_dev /dev/zs1
set 0 disksize 256K
write 0 0 64 random 1 direct
set 0 writeback page_indexes=0-3
setp /sys/kernel/config/nullb/zs1/badblocks "+0-2047"
read 0 2 1 direct
get 0 io_stat # differs: failed-reads
get 0 bd_stat
read 0 10 20 direct
setp /sys/kernel/config/nullb/zs1/badblocks "-0-2047"
read 0 0 64 direct
set 0 reset 1

=== large-dictionary
hot_add
set 0 comp_algorithm lz4hc
set 0 algorithm_params dict=$dir/big
set 0 disksize 64K # differs: large-dictionary
write 0 0 1 text 1 direct # differs: large-dictionary
set 0 reset 1

=== recomp-algorithm-gap
hot_add
needs recompress
get 0 recomp_algorithm
set 0 recomp_algorithm algo=zstd priority=1
get 0 recomp_algorithm # differs: recomp-algorithm-gap
set 0 recomp_algorithm algo=lz4 priority=2
get 0 recomp_algorithm # differs: recomp-algorithm-gap
words 0 recomp_algorithm

=== named-order
hot_add
needs block_state
set 0 backing_dev /dev/zs0
set 0 writeback_limit_enable 1
set 0 disksize 256K
write 0 0 64 random 6 direct
set 0 writeback_limit 4
set 0 writeback page_index=3 page_index=1 page_index=5 page_index=4 page_index=2 page_index=0
state 0 # differs: named-order
get 0 bd_stat
set 0 writeback_limit 4
set 0 writeback page_indexes=40-44 page_indexes=20-24 page_indexes=30-34
state 0 # differs: named-order
stats 0
