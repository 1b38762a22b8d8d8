#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Does the part of tools/perf/profile that runs inside the build root.

usage: profile_report.py record TRACE MILLIONS
       profile_report.py show SYMBOLS TRACE DRIVER PATTERN TOP

"record" tells QEMU, through its monitor at TRACE.monitor, to log instructions to TRACE until there are MILLIONS of
them; "show" counts them by function.
"""

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
    ("zram_rs", "writeback"): ("zs_free", 1),
    ("zram", "writeback"): ("zs_free", 1),
    ("zram_rs", "read"): ("zram_rs_bit_unlock[zram_rs]", 1),
    ("zram_rs", "write"): ("zram_rs_bit_unlock[zram_rs]", 1),
    ("zram", "read"): ("wake_up_bit", 1),
    ("zram", "write"): ("wake_up_bit", 2),
}

# "Trace 0: 0x7f40f51d9600 [00000000/ffffffff83e000bb/18c0c2b0/ff022201]"
ADDRESS = re.compile(rb"/(ffff[0-9a-f]{12})/")
LINE = 72


def wait_for(trace, size, seconds=2):
    """Waits until a trace has a size; ends the program if the trace does not grow any more."""
    last = -1
    while (now := os.path.getsize(trace)) < size:
        if now == last:
            sys.exit("QEMU does not log anything any more")
        last = now
        time.sleep(seconds)


def record(trace, millions):
    monitor = socket.socket(socket.AF_UNIX)
    monitor.connect(trace + ".monitor")

    def tell(command):
        monitor.sendall(command.encode() + b"\n")
        time.sleep(0.5)

    tell("one-insn-per-tb on")
    tell("log exec,nochain")
    wait_for(trace, millions * 1000000 * LINE)
    tell("log none")
    tell("quit")


def symbols(lines):
    """Returns the functions of the guest, as pairs of an address and a name, in the order of their addresses."""
    found = []
    for line in lines:
        word = line.split()
        if len(word) == 3 and word[0] == "symbol":
            found.append((int(word[1], 16), word[2]))
    return sorted(found)


def executed(lines):
    """Returns how often each address of the kernel was executed."""
    times = collections.Counter()
    for line in lines:
        match = ADDRESS.search(line)
        if match:
            times[match[1]] += 1
    return {int(text, 16): count for text, count in times.items()}


def by_function(functions, times):
    """Returns the number of instructions and the number of calls of each function."""
    begins = [address for address, _ in functions]
    instructions, calls = collections.Counter(), collections.Counter()
    for address, count in times.items():
        place = bisect.bisect_right(begins, address) - 1
        if place < 0:
            continue
        begin, name = functions[place]
        instructions[name] += count
        if begin == address:
            calls[name] += count
    return instructions, calls


def pages_of(calls, driver, pattern):
    """Returns how many pages the calls are for."""
    direction = re.search("writeback|write|readback|read", pattern)[0]
    mark, each = PAGE_REQUESTS if pattern.endswith("-4k") else MARKS[driver, direction]
    pages = calls[mark] / each
    if not pages:
        sys.exit(f"{mark} was not called: there is nothing to count by")
    return pages


def table(instructions, calls, pages, top):
    """Returns the lines of the result: all of the kernel, and the functions with the most instructions."""
    lines = [
        f"{'instructions':>12} {'calls':>7}  function ({pages:.0f} pages)",
        f"{sum(instructions.values()) / pages:12.1f} {'':7}  all of the kernel",
    ]
    for name, count in instructions.most_common(top):
        lines.append(f"{count / pages:12.1f} {calls[name] / pages:7.2f}  {name}")
    return lines


def show(path, trace, driver, pattern, top):
    with open(path, encoding="utf-8", errors="replace") as lines:
        functions = symbols(lines)
    with open(trace, "rb") as lines:
        instructions, calls = by_function(functions, executed(lines))
    pages = pages_of(calls, driver, pattern)
    print("\n".join(table(instructions, calls, pages, top)))


def main(arguments):
    if arguments[:1] == ["record"] and len(arguments) == 3:
        record(arguments[1], int(arguments[2]))
    elif arguments[:1] == ["show"] and len(arguments) == 6:
        show(*arguments[1:5], int(arguments[5]))
    else:
        sys.exit("usage: see the head of profile_report.py")


if __name__ == "__main__":
    main(sys.argv[1:])
