# SPDX-License-Identifier: GPL-2.0
#
# Writeback, and reading what is on the backing device.

=== writeback: words
hot_add
set 0 backing_dev /dev/zs0
each idle x "" page_index=0 : set 0 writeback %
set 0 disksize 256K
each idle huge huge_idle incompressible type=idle type=huge type=huge_idle type=incompressible page_index=0 page_index=63 page_indexes=0-63 "" " " foo=bar : set 0 writeback %
write 0 0 64 random 1 direct
set 0 idle all
each x IDLE idlex none type= type type=x type=IDLE page_index= page_index page_index=x page_index=64 page_index=-1 page_index=0x1 page_index=18446744073709551616 page_index=18446744073709551615 page_index=1-2 page_indexes= page_indexes page_indexes=5 page_indexes=5- page_indexes=-5 page_indexes=- page_indexes=x-y page_indexes=5-3 page_indexes=0-64 page_indexes=64-64 page_indexes=64-70 page_indexes=1-2-3 "page_indexes=1 - 2" page_indexes=0x1-2 "page_indexes=1-99999999999999999999" "\0" "\n" "=" "=x" "x=" "\"" "foo=bar x" "page_index=5 x" "page_index=5 page_index=64" "page_index=5 page_indexes=9-4" "page_index=5 type=x" "x page_index=5" "x=y" : set 0 writeback %
stats 0
state 0
raw 0 writeback ""
raw 0 writeback "page_index=1"
raw 0 writeback "  page_index=2  "
raw 0 writeback "page_index=\"3\""
raw 0 writeback "\"page_index=4\""
raw 0 writeback "page_index=5\npage_index=6\n"
raw 0 writeback "page_index=7\0 page_index=8"
raw 0 writeback "foo=bar page_index=9 bar=foo"
raw 0 writeback "page_index=+10"
raw 0 writeback "page_index=011"
raw 0 writeback "page_indexes=+12-+13"
raw 0 writeback "page_indexes=14-14"
raw 0 writeback "page_indexes=16-17,page_index=18"
state 0
set 0 writeback "page_index=20 page_index=22 page_indexes=24-26 page_index=30"
set 0 writeback type=idle page_index=x
state 0
stats 0
set 0 writeback idle huge
set 0 writeback huge x
set 0 writeback huge page_index=9999
stats 0
read 0 0 64 direct
stats 0

=== writeback: which pages
hot_add
needs block_state
set 0 backing_dev /dev/zs0
set 0 disksize 512K
write 0 0 128 mixed 2 direct
set 0 idle all
read 0 0 40 direct
state 0
set 0 writeback huge_idle
state 0
stats 0
set 0 writeback idle
state 0
stats 0
set 0 writeback huge
state 0
stats 0
set 0 writeback incompressible
state 0
set 0 writeback page_indexes=0-127
state 0
stats 0
read 0 0 128 direct
stats 0
state 0
set 0 idle all
state 0
write 0 10 20 mixed 3 direct
discard 0 50 10
zeroout 0 70 2
state 0
stats 0
set 0 writeback idle
set 0 idle all
set 0 writeback idle
state 0
stats 0
read 0 0 128
stats 0
set 0 reset 1
stats 0

=== writeback: compressed
hot_add
needs block_state
set 0 backing_dev /dev/zs0
set 0 compressed_writeback 1
set 0 disksize 512K
write 0 0 128 mixed 2 direct
wipe /dev/zs0
set 0 idle all
set 0 writeback type=idle
state 0
stats 0
blocks /dev/zs0
read 0 0 128 direct
read 0 0 128 direct single
read 0 0 128
stats 0
write 0 20 20 mixed 3 direct
read 0 0 128 direct
discard 0 0 64
stats 0
state 0

=== writeback: raw, what is on the backing device
hot_add
set 0 backing_dev /dev/zs0
set 0 disksize 512K
wipe /dev/zs0
write 0 0 128 mixed 2 direct
set 0 idle all
set 0 writeback type=idle
blocks /dev/zs0
stats 0
read 0 0 128 direct

=== writeback: limit
hot_add
needs block_state
set 0 backing_dev /dev/zs0
set 0 writeback_limit_enable 1
set 0 disksize 512K
write 0 0 128 mixed 2 direct
set 0 idle all
set 0 writeback idle
get 0 writeback_limit
each 1 2 5 : set 0 writeback_limit %
set 0 writeback huge
get 0 writeback_limit
state 0
stats 0
set 0 writeback huge
state 0
set 0 writeback_limit 1
set 0 writeback page_indexes=0-127
state 0
set 0 writeback_limit 1000
set 0 writeback page_indexes=0-10
get 0 writeback_limit
set 0 writeback_limit 3
set 0 writeback_limit_enable 0
set 0 writeback page_indexes=11-20
get 0 writeback_limit
set 0 writeback_limit_enable 1
set 0 writeback page_indexes=21-90
get 0 writeback_limit
state 0
stats 0
set 0 writeback_limit 0
set 0 writeback incompressible
set 0 writeback page_index=0
set 0 writeback huge
read 0 0 128 direct
set 0 reset 1
get 0 writeback_limit
get 0 writeback_limit_enable

=== writeback: largest first, in what order
hot_add
needs 4K-pages
needs block_state
set 0 backing_dev /dev/zs0
set 0 writeback_limit_enable 1
set 0 disksize 512K
write 0 0 20 noise10 6 direct
write 0 20 20 noise30 6 direct
write 0 40 20 noise50 6 direct
write 0 60 20 hex 6 direct
write 0 80 40 mixed 6 direct
set 0 idle all
set 0 writeback_limit 3
set 0 writeback idle
state 0
set 0 writeback_limit 7
set 0 writeback idle
state 0
set 0 writeback_limit 40
set 0 writeback idle
state 0
set 0 writeback_limit 10
set 0 writeback page_indexes=0-50
state 0
set 0 writeback_limit 5
set 0 writeback page_indexes=0-9 page_indexes=12-30
state 0
stats 0

=== writeback: batch sizes
hot_add
set 0 backing_dev /dev/zs0
set 0 writeback_batch_size 1
set 0 disksize 512K
write 0 0 128 mixed 2 direct
set 0 writeback page_indexes=0-20
stats 0
set 0 writeback_batch_size 3
set 0 writeback page_indexes=21-60
stats 0
set 0 writeback_batch_size 1000
set 0 writeback page_indexes=61-127
stats 0
state 0
read 0 0 128 direct
stats 0

=== writeback: a full backing device
hot_add
needs block_state
set 0 backing_dev /dev/loop40
set 0 disksize 512K
write 0 0 128 mixed 2 direct
set 0 writeback huge
state 0
stats 0
set 0 writeback huge
set 0 writeback page_index=5
stats 0
read 0 0 128 direct
discard 0 0 64
stats 0
set 0 writeback huge
state 0
stats 0
write 0 64 64 text 3 direct
stats 0
set 0 idle all
set 0 writeback type=idle
state 0
stats 0
read 0 0 128 direct
set 0 writeback_limit_enable 1
set 0 writeback_limit 100
discard 0 64 10
set 0 writeback page_indexes=64-127
get 0 writeback_limit
stats 0

=== writeback: memory that is freed
hot_add
set 0 backing_dev /dev/zs0
set 0 disksize 1M
write 0 0 256 noise30 2 direct
stats 0
set 0 writeback page_indexes=0-100
stats 0
set 0 compact 1
stats 0
write 0 0 50 noise60 2 direct
stats 0
set 0 writeback page_indexes=0-255
stats 0
set 0 mem_used_max 0
stats 0
discard 0 0 256
stats 0

=== writeback: the disk at its end
hot_add
set 0 backing_dev /dev/loop42
set 0 disksize 800K
write 0 190 10 random 1 direct
set 0 writeback page_index=199
set 0 writeback page_indexes=190-199
set 0 writeback page_index=200
read 0 190 10 direct
stats 0
