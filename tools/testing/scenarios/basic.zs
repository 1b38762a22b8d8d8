# SPDX-License-Identifier: GPL-2.0
=== a new device
hot_add
needs recompress lzo
tree 0
stats 0
state 0
ls /sys/class/zram-control
ioctls 0
=== a new device: queue
hot_add
tree 0 queue
tree 0 nothing
set 0 disksize 1M
tree 0 queue
set 0 queue/max_sectors_kb 64
set 0 queue/read_ahead_kb 4
set 0 queue/discard_max_bytes 0
discard 0 0 1
set 0 queue/discard_max_bytes 65536
discard 0 0 100
set 0 queue/iostats 1
set 0 queue/rotational 1
set 0 queue/write_cache "write back"
write 0 0 40 text 1 direct
fsync 0
stats 0
tree 0 queue
set 0 reset 1
tree 0 queue

=== write, read, discard
hot_add
set 0 disksize 1M
write 0 0 256 mixed 1 direct
stats 0
state 0
read 0 0 256 direct
read 0 0 256
discard 0 10 20
zeroout 0 40 5
state 0
read 0 0 256 direct
stats 0
ioctls 0
tree 0 queue
peek 0 0 100 3

=== data of every kind, by every way
hot_add
set 0 disksize 2M
each zero one same text random hex mixed noise5 noise10 noise30 noise50 noise60 noise70 noise74 noise76 noise78 noise80 noise82 noise90 : write 0 0 64 % 7 direct
read 0 0 64
each zero one same text random hex mixed noise5 noise10 noise30 noise50 noise60 noise70 noise74 noise76 noise78 noise80 noise82 noise90 : write 0 64 8 % 8 direct single
stats 0
write 0 100 200 mixed 9
read 0 100 200 direct
write 0 300 200 mixed 9 single
read 0 300 200 single
read 0 300 200 direct single
stats 0
state 0
rawwrite 0 1000 5000 3
rawread 0 0 12288
rawread 0 999 7 direct
rawread 0 512 4096 direct
rawread 0 4096 512 direct
rawread 0 4096 12288 direct
rawwrite 0 4096 12288 4 direct
rawwrite 0 512 4096 4 direct
rawwrite 0 4096 512 4 direct
rawwrite 0 2097000 200 5
rawread 0 2096000 5000
rawwrite 0 2097152 1 5
stats 0
fsync 0
discard 0 0 512
stats 0
state 0
read 0 0 512 direct

=== overwriting each kind with each
hot_add
set 0 disksize 256K
each zero same text random hex noise30 : write 0 0 1 % 1 direct
each zero same text random hex noise30 : write 0 1 1 % 2 direct
write 0 0 64 zero 0 direct
stats 0
each same zero text same random same zero random text zero hex random hex text hex same : write 0 3 4 % 3 direct
stats 0
state 0
write 0 0 64 random 1 direct
write 0 0 64 text 1 direct
stats 0
write 0 0 64 same 1 direct
stats 0
write 0 0 64 random 1 direct
stats 0
each discard zeroout punch zerorange : % 0 8 3
stats 0
state 0
read 0 0 64 direct

=== a device without a size
hot_add
read 0 0 1
read 0 0 1 direct
write 0 0 1 text 1
write 0 0 1 text 1 direct
discard 0 0 1
rawdiscard 0 0 0
zeroout 0 0 1
punch 0 0 1
zerorange 0 0 1
fsync 0
mkswap 0
swapon 0
mount 0 ext4
ioctls 0
stats 0

=== three devices
hot_add
hot_add
hot_add
set 0 disksize 64K
set 1 disksize 128K
set 2 disksize 32K
each 0 1 2 : write % 0 8 mixed %
each 0 1 2 : read % 0 8 direct
set 1 reset 1
each 0 1 2 : stats %
hot_remove 0
each 0 1 2 : stats %
hot_add
each 0 1 2 : stats %
read 2 0 8 direct

=== swap
hot_add
set 0 disksize 1M
swapon 0
mkswap 0
swapon 0 discard 5
stats 0
swapon 0
hot_remove 0
set 0 reset 1
set 0 disksize 2M
discard 0 0 1
swapoff 0
swapoff 0
stats 0
set 0 reset 1
stats 0

=== a file system
hot_add
set 0 disksize 1M
mount 0 ext4
write 0 0 256 random 1
mount 0 ext4
stats 0
