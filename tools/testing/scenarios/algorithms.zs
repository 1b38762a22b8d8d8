# SPDX-License-Identifier: GPL-2.0
#
# Algorithms: their names, their parameters, and their results.

=== comp_algorithm
hot_add
needs lzo
get 0 comp_algorithm
each lzo-rle lzo lz4 zstd : set 0 comp_algorithm %
get 0 comp_algorithm
each LZO lz "lzo " " lzo" lzo-rl lzo-rlee "" "\0" "\n" none lzo,lz4 "lz4\nzstd" "lz4\n\n" : set 0 comp_algorithm %
get 0 comp_algorithm
raw 0 comp_algorithm lzo
get 0 comp_algorithm
raw 0 comp_algorithm "lz4\0zstd"
get 0 comp_algorithm
raw 0 comp_algorithm ""
raw 0 comp_algorithm "zstd\n"
each "x"*126 "x"*127 "x"*128 "x"*4000 : set 0 comp_algorithm %
each "x"*126 "x"*127 "x"*128 "x"*4000 : raw 0 comp_algorithm %
get 0 comp_algorithm
set 0 disksize 64K
each lzo zstd x "" "x"*128 : set 0 comp_algorithm %
get 0 comp_algorithm
set 0 reset 1
get 0 comp_algorithm

=== recomp_algorithm
hot_add
needs recomp_algorithm
get 0 recomp_algorithm
each "" algo= algo lz4 priority=1 "algo=lz4 priority=" "algo=lz4 priority" "algo=lz4 priority=x" "algo=lz4 priority=0" "algo=lz4 priority=4" "algo=lz4 priority=-1" "algo=lz4 priority=2147483648" "algo=lz4 priority=99999999999999999999" "algo=LZ4" "algo=lz4x" "algo=lz" "foo=bar" "algo=lz4,zstd" "Algo=lz4" "algo = lz4" "=lz4" "algo==lz4" "\0" " " "algo=lz4 foo" "foo algo=lz4" "priority=4 algo=lz4" : set 0 recomp_algorithm %
words 0 recomp_algorithm
set 0 recomp_algorithm algo=zstd
words 0 recomp_algorithm
set 0 recomp_algorithm algo=lz4 foo=bar
words 0 recomp_algorithm
set 0 recomp_algorithm algo=lz4hc priority=2
words 0 recomp_algorithm
set 0 recomp_algorithm priority=3 algo=deflate
words 0 recomp_algorithm
set 0 recomp_algorithm algo=zstd priority=3 algo=lz4 priority=1
words 0 recomp_algorithm
raw 0 recomp_algorithm "algo=\"zstd\" priority=\"3\""
words 0 recomp_algorithm
raw 0 recomp_algorithm "  algo=lzo   priority=2  "
words 0 recomp_algorithm
raw 0 recomp_algorithm "algo=842\npriority=3\n"
words 0 recomp_algorithm
raw 0 recomp_algorithm "algo=lz4\0 priority=3"
words 0 recomp_algorithm
raw 0 recomp_algorithm "\"algo=lz4 priority=3\""
words 0 recomp_algorithm
raw 0 recomp_algorithm "algo=lz4 priority=0x2"
raw 0 recomp_algorithm "algo=lz4 priority=+3"
words 0 recomp_algorithm
set 0 recomp_algorithm algo="x"*127
set 0 recomp_algorithm algo="x"*128
set 0 comp_algorithm zstd
get 0 comp_algorithm
words 0 recomp_algorithm
set 0 disksize 64K
each "algo=lz4" "algo=x" "priority=1" "algo=lz4 priority=4" "" "algo=lz4 priority=2" : set 0 recomp_algorithm %
words 0 recomp_algorithm
set 0 reset 1
words 0 recomp_algorithm
get 0 comp_algorithm
set 0 recomp_algorithm algo=lz4 priority=3
words 0 recomp_algorithm
set 0 reset 1
words 0 recomp_algorithm
set 0 recomp_algorithm algo=lz4 priority=3
hot_remove 0
hot_add
words 0 recomp_algorithm

=== algorithm_params
hot_add
needs recompress lzo-rle strict
each "" " " level level= level=x level=1x level=2147483648 level=-2147483649 level=99999999999999999999 dict dict= dict=/nowhere dict=$dir dict=$dir/empty dict=$dir/dict/x dict=/dev/null priority= priority=x priority=-1 priority=4 priority=1000 algo= algo=x "algo=zstd" "algo=zstd priority=0" "algo=lzo-rle priority=1" "algo=lzo-rle priority=4" deflate.winbits= deflate.winbits=x winbits=5 foo=bar foo =5 "level=1 foo" "\0" : set 0 algorithm_params %
set 0 reset 1
each level=1 level=-5 "level=1 level=2" "algo=lzo-rle level=1" "algo=lzo-rle priority=0 level=1" "priority=0 level=5" "priority=1 level=5" "priority=3 level=5" dict=$dir/dict dict=$dir/small dict=$dir/big "  level=3  " "level=\"3\"" "level=+3" "level=0x3" "level=03" "deflate.winbits=-100" "priority=2 dict=$dir/dict level=3" : set 0 algorithm_params %
set 0 reset 1
set 0 disksize 64K
each level=1 x "" priority=9 algo=x dict=/nowhere level=x : set 0 algorithm_params %
stats 0

=== algorithm_params and the order of things
hot_add
needs recompress strict
set 0 comp_algorithm zstd
set 0 algorithm_params level=19
set 0 comp_algorithm zstd
set 0 recomp_algorithm algo=zstd priority=2
set 0 algorithm_params algo=zstd level=22
set 0 algorithm_params priority=2 level=1
set 0 algorithm_params priority=1 level=1
set 0 recomp_algorithm algo=lz4hc priority=1
set 0 algorithm_params priority=1 dict=$dir/dict
set 0 algorithm_params priority=1 level=9
set 0 disksize 256K
write 0 0 64 mixed 5 direct
stats 0
set 0 recompress priority=1
stats 0
state 0
set 0 recompress priority=2
stats 0
state 0
read 0 0 64 direct

=== a priority without an algorithm has parameters that would fail
hot_add
needs recompress
set 0 algorithm_params priority=3 level=99
set 0 algorithm_params priority=1 dict=$dir/dict
set 0 disksize 64K
write 0 0 16 mixed 1 direct
stats 0

=== lzo-rle: data
hot_add
needs lzo-rle
set 0 comp_algorithm lzo-rle
set 0 disksize 1M
each text hex random noise5 noise10 noise20 noise30 noise40 noise50 noise60 noise70 noise72 noise74 noise76 noise78 noise80 noise82 noise85 noise90 : write 0 0 12 % 3 direct
stats 0
write 0 0 256 mixed 1 direct
stats 0
state 0
read 0 0 256 direct
write 0 100 100 hex 1
stats 0
read 0 0 256

=== lzo: data
hot_add
needs lzo
set 0 comp_algorithm lzo
set 0 disksize 1M
each text hex random noise5 noise10 noise20 noise30 noise40 noise50 noise60 noise70 noise72 noise74 noise76 noise78 noise80 noise82 noise85 noise90 : write 0 0 12 % 3 direct
stats 0
write 0 0 256 mixed 1 direct
stats 0
state 0
read 0 0 256 direct
write 0 100 100 hex 1
stats 0
read 0 0 256

=== lz4: data
hot_add
needs lz4
set 0 comp_algorithm lz4
set 0 disksize 1M
each text hex random noise5 noise10 noise20 noise30 noise40 noise50 noise60 noise70 noise72 noise74 noise76 noise78 noise80 noise82 noise85 noise90 : write 0 0 12 % 3 direct
stats 0
write 0 0 256 mixed 1 direct
stats 0
state 0
read 0 0 256 direct
write 0 100 100 hex 1
stats 0
read 0 0 256

=== lz4hc: data
hot_add
needs lz4hc
set 0 comp_algorithm lz4hc
set 0 disksize 1M
each text hex random noise5 noise10 noise20 noise30 noise40 noise50 noise60 noise70 noise72 noise74 noise76 noise78 noise80 noise82 noise85 noise90 : write 0 0 12 % 3 direct
stats 0
write 0 0 256 mixed 1 direct
stats 0
state 0
read 0 0 256 direct
write 0 100 100 hex 1
stats 0
read 0 0 256

=== zstd: data
hot_add
needs zstd
set 0 comp_algorithm zstd
set 0 disksize 1M
each text hex random noise5 noise10 noise20 noise30 noise40 noise50 noise60 noise70 noise72 noise74 noise76 noise78 noise80 noise82 noise85 noise90 : write 0 0 12 % 3 direct
stats 0
write 0 0 256 mixed 1 direct
stats 0
state 0
read 0 0 256 direct
write 0 100 100 hex 1
stats 0
read 0 0 256

=== deflate: data
hot_add
needs deflate
set 0 comp_algorithm deflate
set 0 disksize 1M
each text hex random noise5 noise10 noise20 noise30 noise40 noise50 noise60 noise70 noise72 noise74 noise76 noise78 noise80 noise82 noise85 noise90 : write 0 0 12 % 3 direct
stats 0
write 0 0 256 mixed 1 direct
stats 0
state 0
read 0 0 256 direct
write 0 100 100 hex 1
stats 0
read 0 0 256

=== 842: data
hot_add
needs 842
set 0 comp_algorithm 842
set 0 disksize 1M
each text hex random noise5 noise10 noise20 noise30 noise40 noise50 noise60 noise70 noise72 noise74 noise76 noise78 noise80 noise82 noise85 noise90 : write 0 0 12 % 3 direct
stats 0
write 0 0 256 mixed 1 direct
stats 0
state 0
read 0 0 256 direct
write 0 100 100 hex 1
stats 0
read 0 0 256

=== lzo-rle: parameters
hot_add
needs lzo-rle strict
set 0 comp_algorithm lzo-rle
set 0 algorithm_params level=1
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lzo-rle
set 0 algorithm_params dict=$dir/dict
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lzo-rle
set 0 algorithm_params deflate.winbits=12
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lzo-rle
set 0 algorithm_params level=0
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lzo-rle
set 0 algorithm_params level=-1
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1

=== lzo: parameters
hot_add
needs lzo strict
set 0 comp_algorithm lzo
set 0 algorithm_params level=1
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lzo
set 0 algorithm_params dict=$dir/dict
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lzo
set 0 algorithm_params deflate.winbits=12
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1

=== lz4: parameters
hot_add
needs lz4
set 0 comp_algorithm lz4
set 0 algorithm_params level=1
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lz4
set 0 algorithm_params level=2
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lz4
set 0 algorithm_params level=8
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lz4
set 0 algorithm_params level=1000
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lz4
set 0 algorithm_params level=2147483647
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lz4
set 0 algorithm_params dict=$dir/dict
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lz4
set 0 algorithm_params dict=$dir/small level=4
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lz4
set 0 algorithm_params dict=$dir/big
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lz4
set 0 algorithm_params deflate.winbits=12
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lz4
set 0 algorithm_params level=-2147483648
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1

=== lz4: parameters that it refuses
hot_add
needs lz4 strict
set 0 comp_algorithm lz4
set 0 algorithm_params level=-1
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lz4
set 0 algorithm_params level=0
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1

=== lz4hc: parameters
hot_add
needs lz4hc
set 0 comp_algorithm lz4hc
set 0 comp_algorithm lz4hc
set 0 algorithm_params level=1
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lz4hc
set 0 algorithm_params level=2
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lz4hc
set 0 algorithm_params level=3
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lz4hc
set 0 algorithm_params level=9
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lz4hc
set 0 algorithm_params level=16
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lz4hc
set 0 algorithm_params dict=$dir/dict
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lz4hc
set 0 algorithm_params dict=$dir/small level=4
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1

=== lz4hc: parameters that it refuses
hot_add
needs lz4hc strict
set 0 comp_algorithm lz4hc
set 0 comp_algorithm lz4hc
set 0 algorithm_params level=-1
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lz4hc
set 0 algorithm_params level=0
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lz4hc
set 0 algorithm_params level=17
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm lz4hc
set 0 algorithm_params level=100
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1

=== zstd: parameters
hot_add
needs zstd
set 0 comp_algorithm zstd
set 0 algorithm_params level=-131072
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm zstd
set 0 algorithm_params level=-100
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm zstd
set 0 algorithm_params level=-1
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm zstd
set 0 algorithm_params level=0
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm zstd
set 0 algorithm_params level=1
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm zstd
set 0 algorithm_params level=3
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm zstd
set 0 algorithm_params level=10
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm zstd
set 0 algorithm_params level=19
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm zstd
set 0 algorithm_params level=22
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm zstd
set 0 algorithm_params dict=$dir/dict
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm zstd
set 0 algorithm_params dict=$dir/small level=4
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm zstd
set 0 algorithm_params dict=$dir/big level=9
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1

=== zstd: parameters that it refuses
hot_add
needs zstd strict
set 0 comp_algorithm zstd
set 0 algorithm_params level=-131073
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm zstd
set 0 algorithm_params level=23
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1

=== deflate: parameters
hot_add
needs deflate
set 0 comp_algorithm deflate
set 0 comp_algorithm deflate
set 0 algorithm_params level=-1
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm deflate
set 0 algorithm_params level=0
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm deflate
set 0 algorithm_params level=1
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm deflate
set 0 algorithm_params level=6
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm deflate
set 0 algorithm_params level=9
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm deflate
set 0 algorithm_params deflate.winbits=-16
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm deflate
set 0 algorithm_params deflate.winbits=-15
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm deflate
set 0 algorithm_params deflate.winbits=-12
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm deflate
set 0 algorithm_params deflate.winbits=-9
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm deflate
set 0 algorithm_params deflate.winbits=-8
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm deflate
set 0 algorithm_params deflate.winbits=0
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm deflate
set 0 algorithm_params deflate.winbits=8
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm deflate
set 0 algorithm_params deflate.winbits=9
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm deflate
set 0 algorithm_params deflate.winbits=10
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm deflate
set 0 algorithm_params deflate.winbits=12
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm deflate
set 0 algorithm_params deflate.winbits=15
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm deflate
set 0 algorithm_params deflate.winbits=16
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm deflate
set 0 algorithm_params level=3 deflate.winbits=-13
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1

=== deflate: parameters that it refuses
hot_add
needs deflate strict
set 0 comp_algorithm deflate
set 0 comp_algorithm deflate
set 0 algorithm_params level=-2
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm deflate
set 0 algorithm_params level=10
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm deflate
set 0 algorithm_params dict=$dir/dict
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1

=== 842: parameters
hot_add
needs 842 strict
set 0 comp_algorithm 842
set 0 comp_algorithm 842
set 0 algorithm_params level=1
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm 842
set 0 algorithm_params dict=$dir/dict
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1
set 0 comp_algorithm 842
set 0 algorithm_params deflate.winbits=12
set 0 disksize 128K
write 0 0 32 mixed 2 direct
write 0 0 4 noise75 2 direct
stats 0
read 0 0 32 direct
set 0 reset 1

