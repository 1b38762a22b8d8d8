# SPDX-License-Identifier: GPL-2.0
#
# The input that each attribute accepts and refuses, on an uninitialised and on an initialised device.

=== access: what cannot be read or written
hot_add
needs recompress
each reset compact mem_limit mem_used_max idle writeback recompress algorithm_params : get 0 %
each initstate bd_stat io_stat mm_stat debug_stat : set 0 % 1
each initstate bd_stat io_stat mm_stat debug_stat : raw 0 % ""
setp /sys/class/zram-control/hot_add "1\n"
getp /sys/class/zram-control/hot_remove
get 0 nothing
set 0 nothing 1
get 7 disksize

=== disksize
hot_add
each 0 0K "" " " x -1 -4096 +4096 " 4096" K M4 0x "\0" : set 0 disksize %
get 0 disksize
stats 0
set 0 disksize 1
get 0 disksize
get 0 size
set 0 reset 1
set 0 disksize 4095
get 0 disksize
get 0 size
set 0 reset 1
set 0 disksize 4096
get 0 disksize
get 0 size
set 0 reset 1
set 0 disksize 4097
get 0 disksize
get 0 size
set 0 reset 1
set 0 disksize 1k
get 0 disksize
get 0 size
set 0 reset 1
set 0 disksize 5K
get 0 disksize
get 0 size
set 0 reset 1
set 0 disksize 1m
get 0 disksize
get 0 size
set 0 reset 1
set 0 disksize 3M
get 0 disksize
get 0 size
set 0 reset 1
set 0 disksize 0x100000
get 0 disksize
get 0 size
set 0 reset 1
set 0 disksize 0X10k
get 0 disksize
get 0 size
set 0 reset 1
set 0 disksize 0100000
get 0 disksize
get 0 size
set 0 reset 1
set 0 disksize 1048576xyz
get 0 disksize
get 0 size
set 0 reset 1
set 0 disksize 2Mgarbage
get 0 disksize
get 0 size
set 0 reset 1
set 0 disksize 2MB
get 0 disksize
get 0 size
set 0 reset 1
set 0 disksize 12K,5
get 0 disksize
get 0 size
set 0 reset 1
set 0 disksize "8192\0"
get 0 disksize
get 0 size
set 0 reset 1
set 0 disksize "8192\0garbage"
get 0 disksize
get 0 size
set 0 reset 1
set 0 disksize "64k "
get 0 disksize
get 0 size
set 0 reset 1
set 0 disksize "64K\n\n"
get 0 disksize
get 0 size
set 0 reset 1
raw 0 disksize 8192
get 0 disksize
get 0 initstate
each 2M 8192 0 x "" : set 0 disksize %
stats 0

=== disksize of one page
hot_add
set 0 disksize 4096
write 0 0 1 random 1 direct
write 0 1 1 random 1 direct
write 0 0 2 random 1 direct
read 0 0 1 direct
read 0 0 2 direct
read 0 1 1 direct
read 0 1000 1 direct
discard 0 0 1
discard 0 0 2
discard 0 1 1
rawdiscard 0 0 0
rawdiscard 0 100 4096
rawdiscard 0 0 512
rawdiscard 0 0 4095
rawzeroout 0 0 512
rawzeroout 0 512 4096
rawzeroout 0 0 4096
punch 0 0 1
zerorange 0 0 1
punch 0 0 2
state 0
stats 0

=== reset
hot_add
needs recompress lzo
each 0 00 x "" " " -1 -0 "1 1" 0x1 1x "\0" 65536 99999999999999999999 " 1" : set 0 reset %
set 0 reset 1
set 0 reset 1
set 0 reset +1
set 0 reset 65535
set 0 reset 2
raw 0 reset 1
raw 0 reset "1\n\n"
raw 0 reset "1\0x"
raw 0 reset ""
set 0 comp_algorithm zstd
set 0 mem_limit 1M
set 0 backing_dev /dev/loop40
set 0 compressed_writeback 1
set 0 writeback_limit 77
set 0 writeback_limit_enable 1
set 0 writeback_batch_size 5
set 0 disksize 512K
write 0 0 128 mixed 3 direct
set 0 idle all
set 0 writeback idle
read 0 0 128 direct
stats 0
set 0 reset 1
tree 0
stats 0
set 0 disksize 64K
read 0 0 16 direct
get 0 backing_dev
stats 0
set 0 reset 1
set 0 mem_limit 8M
stats 0
set 0 reset 1
stats 0

=== initstate
hot_add
get 0 initstate
set 0 disksize 4K
get 0 initstate
set 0 reset 1
get 0 initstate

=== compact
hot_add
set 0 compact 1
set 0 disksize 1M
each 1 0 x "" "\0" -1 "a"*4000 : set 0 compact %
raw 0 compact ""
write 0 0 256 noise30 1 direct
stats 0
each 0 2 4 6 8 10 12 14 16 18 20 22 24 26 28 30 32 34 36 38 40 42 44 46 48 50 : discard 0 % 1
each 100 103 106 109 112 115 118 121 124 127 130 133 136 139 142 145 148 151 154 157 : discard 0 % 2
stats 0
set 0 compact 1
stats 0
read 0 0 256 direct
write 0 0 256 noise60 2 direct
each 0 2 4 6 8 10 12 14 16 18 20 22 24 26 28 30 32 34 36 38 40 42 44 46 48 50 : discard 0 % 1
set 0 compact 1
stats 0
read 0 0 256 direct

=== mem_limit
hot_add
needs 4K-pages
each x "" " " -1 " 4096" "\0" K = : set 0 mem_limit %
each 0 1 4096 4097 1k 1K 1m 1M 0x10000 010000 1G 1T 1P 1E 15E 16E 18446744073709551615 18446744073709547520 18446744073709551616 99999999999999999999 1Z 5xyz "12K,5" : set 0 mem_limit %
get 0 mm_stat
each 1 4096 4097 1k 5K 1M 1G 16E 18446744073709551615 0 : set 0 mem_limit %
raw 0 mem_limit 64K
get 0 mm_stat
set 0 mem_limit 3Mx
get 0 mm_stat
set 0 mem_limit 5000
get 0 mm_stat
raw 0 mem_limit "64K\n\n"
set 0 disksize 1M
stats 0
write 0 0 15 random 1 direct single
stats 0
write 0 15 1 random 1 direct
write 0 16 1 random 1 direct # differs: limit-is-no-space
write 0 17 1 same 1 direct
stats 0
write 0 20 20 random 1 direct single # differs: limit-is-no-space
write 0 40 20 random 1 direct # differs: limit-is-no-space
write 0 60 20 random 1
stats 0
state 0
read 0 0 256 direct
set 0 mem_limit 32K
write 0 0 1 text 5 direct # differs: limit-is-no-space
stats 0
write 0 0 2 zero 0 direct
write 0 2 5 random 7 direct single # differs: limit-is-no-space
discard 0 0 10
stats 0
write 0 0 10 random 7 direct # differs: limit-is-no-space
stats 0
set 0 mem_limit 0
write 0 100 20 random 7 direct
stats 0
read 0 0 256 direct

=== mem_limit while there is more in memory
hot_add
set 0 disksize 1M
write 0 0 64 random 1 direct
set 0 mem_limit 128K
stats 0
write 0 0 1 random 9 direct # differs: limit-is-no-space
write 0 1 1 text 9 direct # differs: limit-is-no-space
read 0 0 64 direct
stats 0
set 0 mem_used_max 0
stats 0

=== mem_limit: a page of zeroes fits
hot_add
needs 4K-pages
set 0 disksize 1M
write 0 0 64 random 1 direct
set 0 mem_limit 128K
write 0 2 1 zero 9 direct
read 0 0 64 direct
stats 0

=== mem_used_max
hot_add
each 1 x "" -1 -0 0x0 " 0" 00 0 +0 "0\0x" "0 " 00000000000000000000000000000000000 : set 0 mem_used_max %
raw 0 mem_used_max ""
raw 0 mem_used_max 0
set 0 disksize 1M
write 0 0 100 random 1 direct
stats 0
discard 0 0 50
stats 0
set 0 mem_used_max 1
stats 0
set 0 mem_used_max 0
stats 0
write 0 0 10 random 2 direct
stats 0

=== idle
hot_add
needs block_state
each all 0 1 x "" ALL -1 4294967296 "all " " all" allx "all\n\n" "al\0l" : set 0 idle %
raw 0 idle ""
raw 0 idle all
set 0 disksize 256K
write 0 0 60 mixed 4 direct
set 0 idle all
state 0
read 0 10 10 direct
write 0 20 5 text 1 direct
discard 0 30 5
state 0
each x "" ALL -1 4294967296 "all " " all" allx "al\0l" "all\n\n" : set 0 idle %
state 0
set 0 idle $uptime-1
state 0
raw 0 idle all
state 0
raw 0 idle "all\0x"
state 0

=== idle by age
hot_add
needs block_state
set 0 disksize 256K
write 0 0 20 mixed 4 direct
sleep 4200
write 0 20 20 mixed 4 direct
read 0 5 5 direct
set 0 idle 3
state 0
set 0 idle all
state 0
set 0 idle 3
state 0
tick
set 0 idle 0
state 0
set 0 idle 0x3
state 0
set 0 idle 03
state 0

=== idle by an age of more than the time since boot
hot_add
needs block_state strict
each 4294967295 0x100000 1000000000 : set 0 idle %
set 0 disksize 256K
write 0 0 60 mixed 4 direct
each 4294967295 1000000 0xffffffff 037777777777 : set 0 idle %
state 0

=== writeback_limit and others that take numbers
hot_add
each 0 1 5 4096 18446744073709551615 18446744073709551616 -1 +1 " 1" 0x10 010 x "" 1x "1\0" "1 " "3\n\n" : set 0 writeback_limit %
get 0 writeback_limit
raw 0 writeback_limit 7
get 0 writeback_limit
each 0 1 2 4096 18446744073709551615 18446744073709551616 -1 +1 y n on off x "" "\0" : set 0 writeback_limit_enable %
get 0 writeback_limit_enable
set 0 writeback_limit_enable 256
get 0 writeback_limit_enable
set 0 writeback_limit_enable 4294967296
get 0 writeback_limit_enable
set 0 writeback_limit_enable 0
get 0 writeback_limit_enable
each 0 00 -1 x "" 4294967296 +0 "\0" : set 0 writeback_batch_size %
get 0 writeback_batch_size
each 1 2 4294967295 +5 007 : set 0 writeback_batch_size %
get 0 writeback_batch_size
each 0 1 y n Y N on off oN oF of o 2 x "" t f yes no true enable 10 "\0" : set 0 compressed_writeback %
get 0 compressed_writeback
set 0 compressed_writeback yikes
get 0 compressed_writeback
set 0 disksize 64K
each 0 1 x "" : set 0 compressed_writeback %
each 0 9 x "" : set 0 writeback_limit %
each 0 9 x "" : set 0 writeback_limit_enable %
each 0 9 x "" : set 0 writeback_batch_size %
each compressed_writeback writeback_limit writeback_limit_enable writeback_batch_size : get 0 %

=== hot_add and hot_remove
each x "" -1 -2147483648 0x0 "0 0" 0,0 1.0 " 0" "\0" : hot_remove %
each 0 1 99 2147483647 : hot_remove %
each 2147483648 -2147483649 99999999999999999999 : hot_remove %
hot_add
hot_add
hot_add
hot_remove 1
hot_remove 1
hot_add
hot_remove 0
hot_remove +1
hot_add
hot_add
hot_add
hot_remove 003
set 2 disksize 64K
write 2 0 16 mixed 1
hot_remove 2
get 2 disksize
hot_add
stats 2
setp /sys/class/zram-control/hot_remove "2"
setp /sys/class/zram-control/hot_remove "1\n\n"
setp /sys/class/zram-control/hot_remove "1\n"
setp /sys/class/zram-control/hot_remove ""
setp /sys/class/zram-control/hot_remove "0\0x"
ls /sys/class/zram-control

=== long values
hot_add
needs recompress
each reset mem_limit mem_used_max idle writeback_limit writeback_limit_enable writeback_batch_size compressed_writeback comp_algorithm backing_dev recomp_algorithm algorithm_params recompress writeback disksize : set 0 % "a"*127
each reset mem_limit mem_used_max idle writeback_limit writeback_limit_enable writeback_batch_size compressed_writeback comp_algorithm backing_dev recomp_algorithm algorithm_params recompress writeback disksize : set 0 % "a"*128
each reset mem_limit mem_used_max idle writeback_limit writeback_limit_enable writeback_batch_size compressed_writeback comp_algorithm backing_dev recomp_algorithm algorithm_params recompress writeback disksize : raw 0 % "a"*4094
each reset mem_limit mem_used_max idle writeback_limit writeback_limit_enable writeback_batch_size compressed_writeback comp_algorithm backing_dev recomp_algorithm algorithm_params recompress writeback disksize : raw 0 % "a"*4096
each reset mem_limit mem_used_max idle writeback_limit writeback_limit_enable writeback_batch_size compressed_writeback comp_algorithm backing_dev recomp_algorithm algorithm_params recompress writeback disksize : raw 0 % "a"*9000
each reset mem_limit mem_used_max idle writeback_limit writeback_limit_enable writeback_batch_size compressed_writeback comp_algorithm backing_dev recomp_algorithm algorithm_params recompress writeback disksize : raw 0 % "\0"*100
each reset mem_limit mem_used_max idle writeback_limit writeback_limit_enable writeback_batch_size compressed_writeback comp_algorithm backing_dev recomp_algorithm algorithm_params recompress writeback disksize : raw 0 % "\xff\xfe\x80"
each reset mem_limit mem_used_max idle writeback_limit writeback_limit_enable writeback_batch_size compressed_writeback comp_algorithm backing_dev recomp_algorithm algorithm_params recompress writeback disksize : raw 0 % "=\"="
stats 0
tree 0
set 0 backing_dev /dev/loop40
set 0 disksize 64K
each reset mem_limit mem_used_max idle writeback_limit writeback_limit_enable writeback_batch_size compressed_writeback comp_algorithm backing_dev recomp_algorithm algorithm_params recompress writeback disksize : set 0 % "a"*127
each reset mem_limit mem_used_max idle writeback_limit writeback_limit_enable writeback_batch_size compressed_writeback comp_algorithm backing_dev recomp_algorithm algorithm_params recompress writeback disksize : raw 0 % "a"*4096
each reset mem_limit mem_used_max idle writeback_limit writeback_limit_enable writeback_batch_size compressed_writeback comp_algorithm backing_dev recomp_algorithm algorithm_params recompress writeback disksize : raw 0 % "\0"*100
each reset mem_limit mem_used_max idle writeback_limit writeback_limit_enable writeback_batch_size compressed_writeback comp_algorithm backing_dev recomp_algorithm algorithm_params recompress writeback disksize : raw 0 % "=\"="
each reset mem_limit mem_used_max idle writeback_limit writeback_limit_enable writeback_batch_size compressed_writeback comp_algorithm backing_dev recomp_algorithm algorithm_params recompress writeback disksize : raw 0 % ""
stats 0
