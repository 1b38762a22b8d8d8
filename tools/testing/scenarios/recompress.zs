# SPDX-License-Identifier: GPL-2.0
#
# Recompression.

=== recompress: words
hot_add
needs recompress block_state
each type=idle "" x threshold=1 : set 0 recompress %
set 0 disksize 256K
each type=idle "" priority=1 algo=zstd foo=bar : set 0 recompress %
set 0 reset 1
set 0 comp_algorithm lz4
set 0 recomp_algorithm algo=zstd priority=1
set 0 recomp_algorithm algo=deflate priority=3
set 0 disksize 256K
write 0 0 64 hex 1 direct
set 0 idle all
each type= type type=foo type=Idle idle huge threshold= threshold=x threshold=-1 threshold=4294967296 threshold=3300 threshold=4096 threshold=100000 max_pages= max_pages=x max_pages=-1 max_pages=18446744073709551616 algo= algo=x algo=lz4 priority= priority=x priority=0 priority=2 priority=4 priority=-1 "priority=1 algo=deflate" "priority=3 algo=zstd" "priority=2 algo=zstd" "algo=zstd priority=9" "type=idle x" "x type=idle" "type=idle type=" "\0" "=idle" "type=idle max_pages=0 foo" : set 0 recompress %
state 0
each max_pages=0 "type=idle max_pages=0" "foo=bar max_pages=0" : set 0 recompress %
state 0
stats 0
set 0 recompress type=idle type=foo max_pages=3
state 0
set 0 recompress type=foo type=idle max_pages=3
set 0 recompress type=huge type=idle max_pages=3
state 0
raw 0 recompress ""
raw 0 recompress "  type=\"huge\"   max_pages=\"2\"  "
state 0
raw 0 recompress "type=huge\nmax_pages=2\npriority=3\n"
state 0
raw 0 recompress "type=huge max_pages=1\0 foo"
state 0
set 0 recompress max_pages=+1 threshold=+1
set 0 recompress max_pages=0x1
set 0 recompress threshold=0x1
state 0
stats 0
set 0 recompress algo=deflate
state 0
stats 0
read 0 0 64 direct
stats 0

=== recompress: which pages
hot_add
needs recompress block_state
set 0 comp_algorithm lzo-rle
set 0 recomp_algorithm algo=lz4hc priority=1
set 0 recomp_algorithm algo=zstd priority=2
set 0 recomp_algorithm algo=deflate priority=3
set 0 disksize 512K
write 0 0 128 mixed 6 direct
write 0 100 10 hex 6 direct
stats 0
state 0
set 0 recompress type=idle
state 0
set 0 recompress type=huge
state 0
stats 0
set 0 idle all
read 0 0 20 direct
set 0 recompress type=huge_idle priority=2
state 0
stats 0
set 0 recompress type=idle priority=1
state 0
stats 0
set 0 recompress threshold=1000 priority=2
state 0
stats 0
set 0 recompress priority=2
state 0
set 0 recompress priority=3
state 0
stats 0
set 0 recompress priority=3
state 0
write 0 0 30 mixed 7 direct
state 0
read 0 0 128 direct
state 0
stats 0
set 0 compact 1
stats 0
discard 0 0 128
stats 0
state 0

=== recompress: order, and max_pages
hot_add
needs recompress block_state
set 0 comp_algorithm lz4
set 0 recomp_algorithm algo=zstd
set 0 disksize 512K
write 0 0 20 noise10 6 direct
write 0 20 20 noise30 6 direct
write 0 40 20 noise50 6 direct
write 0 60 20 hex 6 direct
write 0 80 40 mixed 6 direct
set 0 recompress max_pages=1
state 0
set 0 recompress max_pages=5
state 0
set 0 idle all
set 0 recompress max_pages=20 type=idle
state 0
set 0 recompress max_pages=10 threshold=2500
state 0
set 0 recompress max_pages=30 threshold=2000
state 0
stats 0
set 0 recompress max_pages=18446744073709551615
state 0
stats 0
read 0 0 128 direct

=== recompress: incompressible pages
hot_add
needs recompress block_state
set 0 comp_algorithm lzo
set 0 recomp_algorithm algo=lz4 priority=1
set 0 recomp_algorithm algo=zstd priority=2
set 0 backing_dev /dev/loop41
set 0 disksize 256K
write 0 0 20 random 1 direct
write 0 20 20 noise80 1 direct
write 0 40 20 hex 1 direct
set 0 recompress type=huge priority=1
state 0
set 0 recompress type=huge priority=2
state 0
stats 0
set 0 writeback incompressible
state 0
stats 0
set 0 recompress priority=2
state 0
read 0 0 64 direct
state 0
write 0 0 5 random 1 direct
state 0
set 0 recompress threshold=3000 priority=2
state 0
set 0 writeback type=incompressible
state 0
stats 0
read 0 0 64 direct
discard 0 0 64
state 0
stats 0

=== recompress: the same algorithm again
hot_add
needs recompress block_state
set 0 comp_algorithm zstd
set 0 recomp_algorithm algo=zstd
set 0 algorithm_params priority=1 level=19
set 0 disksize 256K
write 0 0 64 mixed 2 direct
state 0
set 0 recompress foo=bar
state 0
stats 0
read 0 0 64 direct

=== recompress: with lzo-rle
hot_add
needs recompress block_state
set 0 comp_algorithm lz4
set 0 recomp_algorithm algo=lzo-rle
set 0 backing_dev /dev/zs0
set 0 compressed_writeback 1
set 0 disksize 512K
write 0 0 128 mixed 6 direct
write 0 20 20 hex 6 direct
set 0 recompress algo=lzo-rle
state 0
stats 0
read 0 0 128 direct
set 0 idle all
set 0 writeback idle
state 0
stats 0
read 0 0 128 direct
stats 0
state 0

=== recompress: with lzo
hot_add
needs recompress block_state
set 0 comp_algorithm lz4
set 0 recomp_algorithm algo=lzo
set 0 backing_dev /dev/zs0
set 0 compressed_writeback 1
set 0 disksize 512K
write 0 0 128 mixed 6 direct
write 0 20 20 hex 6 direct
set 0 recompress algo=lzo
state 0
stats 0
read 0 0 128 direct
set 0 idle all
set 0 writeback idle
state 0
stats 0
read 0 0 128 direct
stats 0
state 0

=== recompress: with lz4
hot_add
needs recompress block_state
set 0 comp_algorithm lzo
set 0 recomp_algorithm algo=lz4
set 0 backing_dev /dev/zs0
set 0 compressed_writeback 1
set 0 disksize 512K
write 0 0 128 mixed 6 direct
write 0 20 20 hex 6 direct
set 0 recompress algo=lz4
state 0
stats 0
read 0 0 128 direct
set 0 idle all
set 0 writeback idle
state 0
stats 0
read 0 0 128 direct
stats 0
state 0

=== recompress: with lz4hc
hot_add
needs recompress block_state
set 0 comp_algorithm lz4
set 0 recomp_algorithm algo=lz4hc
set 0 backing_dev /dev/zs0
set 0 compressed_writeback 1
set 0 disksize 512K
write 0 0 128 mixed 6 direct
write 0 20 20 hex 6 direct
set 0 recompress algo=lz4hc
state 0
stats 0
read 0 0 128 direct
set 0 idle all
set 0 writeback idle
state 0
stats 0
read 0 0 128 direct
stats 0
state 0

=== recompress: with zstd
hot_add
needs recompress block_state
set 0 comp_algorithm lz4
set 0 recomp_algorithm algo=zstd
set 0 backing_dev /dev/zs0
set 0 compressed_writeback 1
set 0 disksize 512K
write 0 0 128 mixed 6 direct
write 0 20 20 hex 6 direct
set 0 recompress algo=zstd
state 0
stats 0
read 0 0 128 direct
set 0 idle all
set 0 writeback idle
state 0
stats 0
read 0 0 128 direct
stats 0
state 0

=== recompress: with deflate
hot_add
needs recompress block_state
set 0 comp_algorithm lz4
set 0 recomp_algorithm algo=deflate
set 0 backing_dev /dev/zs0
set 0 compressed_writeback 1
set 0 disksize 512K
write 0 0 128 mixed 6 direct
write 0 20 20 hex 6 direct
set 0 recompress algo=deflate
state 0
stats 0
read 0 0 128 direct
set 0 idle all
set 0 writeback idle
state 0
stats 0
read 0 0 128 direct
stats 0
state 0

=== recompress: with 842
hot_add
needs recompress block_state
set 0 comp_algorithm lz4
set 0 recomp_algorithm algo=842
set 0 backing_dev /dev/zs0
set 0 compressed_writeback 1
set 0 disksize 512K
write 0 0 128 mixed 6 direct
write 0 20 20 hex 6 direct
set 0 recompress algo=842
state 0
stats 0
read 0 0 128 direct
set 0 idle all
set 0 writeback idle
state 0
stats 0
read 0 0 128 direct
stats 0
state 0

=== recompress: with a dictionary
hot_add
needs recompress block_state
set 0 comp_algorithm lz4
set 0 recomp_algorithm algo=lz4hc priority=1
set 0 recomp_algorithm algo=zstd priority=2
set 0 recomp_algorithm algo=lz4 priority=3
each 1 2 3 : set 0 algorithm_params priority=% dict=$dir/dict
set 0 backing_dev /dev/zs0
set 0 compressed_writeback 1
set 0 disksize 512K
write 0 0 128 mixed 6 direct
each 1 2 3 : set 0 recompress priority=% max_pages=30
state 0
stats 0
read 0 0 128 direct
set 0 idle all
set 0 writeback idle
read 0 0 128 direct
stats 0
