# SPDX-License-Identifier: GPL-2.0
=== a new device
hot_add
tree 0
stats 0
state 0
ls /sys/class/zram-control
ioctls 0
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
tree 0
peek 0 0 100 3
