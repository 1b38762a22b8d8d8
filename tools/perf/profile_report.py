#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# usage: profile_report.py record TRACE MILLIONS
#        profile_report.py show SYMBOLS TRACE DRIVER PATTERN TOP
#
# Does the part of tools/perf/profile that runs inside the build root. "record" tells QEMU, through its monitor at
# TRACE.monitor, to log instructions to TRACE until there are MILLIONS of them; "show" counts them by function.

import bisect
import collections
import os
import re
import socket
import sys
import time

# What is called once for each page, or twice: that tells how many pages there were. A page that cannot be compressed is
# looked up twice by zram_rs if there was one of another kind before, but then (mixed data) requests are of one page.
PAGE_REQUESTS = ("submit_bio_noacct", 1)
MARKS = {
    ("zram_rs", "readback"): ("brd_submit_bio[brd]", 1),
    ("zram", "readback"): ("brd_submit_bio[brd]", 1),
    ("zram_rs", "read"): ("zram_rs_bit_unlock[zram_rs]", 1),
    ("zram_rs", "write"): ("zram_rs_bit_unlock[zram_rs]", 1),
    ("zram", "read"): ("wake_up_bit", 1),
    ("zram", "write"): ("wake_up_bit", 2),
}

# "Trace 0: 0x7f40f51d9600 [00000000/ffffffff83e000bb/18c0c2b0/ff022201]"
ADDRESS = re.compile(rb"/(ffff[0-9a-f]{12})/")
LINE = 72


def record(trace, millions):
    monitor = socket.socket(socket.AF_UNIX)
    monitor.connect(trace + ".monitor")

    def tell(command):
        monitor.sendall(command.encode() + b"\n")
        time.sleep(0.5)

    tell("one-insn-per-tb on")
    tell("log exec,nochain")
    last = -1
    while os.path.getsize(trace) < millions * 1000000 * LINE:
        size = os.path.getsize(trace)
        if size == last:
            sys.exit("QEMU does not log anything any more")
        last = size
        time.sleep(2)
    tell("log none")
    tell("quit")


def symbols(path):
    found = []
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            word = line.split()
            if len(word) == 3 and word[0] == "symbol":
                found.append((int(word[1], 16), word[2]))
    return sorted(found)


def show(path, trace, driver, pattern, top):
    functions = symbols(path)
    begins = [address for address, _ in functions]
    executed = collections.Counter()
    with open(trace, "rb") as lines:
        for line in lines:
            match = ADDRESS.search(line)
            if match:
                executed[match[1]] += 1
    instructions, calls = collections.Counter(), collections.Counter()
    for text, times in executed.items():
        address = int(text, 16)
        place = bisect.bisect_right(begins, address) - 1
        if place < 0:
            continue
        begin, name = functions[place]
        instructions[name] += times
        if begin == address:
            calls[name] += times
    direction = re.search("write|readback|read", pattern)[0]
    mark, each = PAGE_REQUESTS if pattern.endswith("-4k") else MARKS[driver, direction]
    pages = calls[mark] / each
    if not pages:
        sys.exit(f"{mark} was not called: there is nothing to count by")
    print(f"{'instructions':>12} {'calls':>7}  function ({pages:.0f} pages)")
    print(f"{sum(instructions.values()) / pages:12.1f} {'':7}  all of the kernel")
    for name, times in instructions.most_common(top):
        print(f"{times / pages:12.1f} {calls[name] / pages:7.2f}  {name}")


if sys.argv[1:2] == ["record"] and len(sys.argv) == 4:
    record(sys.argv[2], int(sys.argv[3]))
elif sys.argv[1:2] == ["show"] and len(sys.argv) == 7:
    show(*sys.argv[2:6], int(sys.argv[6]))
else:
    sys.exit("usage: see the head of profile_report.py")
