#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Judges a guest by its console, for tools/vm.

usage: judge.py --config CONFIG --driver DRIVER --status N --timeout SECONDS [--systemd] --called NAME CONSOLE

Writes the part of the file CONSOLE that counts to CONSOLE.script, and complaints of the guest's kernel to stderr, each
with the number of its line in that part.

  --config   the kernel configuration of the guest
  --driver   the driver under test
  --status   the exit status of the guest; 137 means that the timeout killed it
  --timeout  that timeout
  --systemd  the guest booted systemd
  --called   what messages call the console

Exit status: that of the guest's script; 99 if the kernel complained; 98 if the guest did not start the script or did
not end regularly, or if there is no verdict.
"""

import argparse
import itertools
import os
import re
import sys
import time
import traceback
from typing import NamedTuple

# What a kernel says when something is wrong. lockdep begins its reports with "WARNING:". "zr: FAIL" is from the guest's
# own processes, "not ok" from KUnit.
COMPLAINTS = (
    r"\b(?:WARNING|BUG|Oops)\b",
    "KASAN",
    "UBSAN",
    r"Call [Tt]race",
    "Kernel panic",
    "general protection fault",
    "ODEBUG",
    "kmemleak: unreferenced object",
    "INFO: task .* blocked",
    "rcu_.*stall",
    "refcount_t:",
    "list_(?:add|del) corruption",
    "zr: FAIL",
    r"\] +not ok ",
)

# Where systemd says that something failed. While it shuts down, only the console shows that.
SYSTEMD_COMPLAINTS = (
    r"\[FAILED\]",
    "Failed with result",
    r"systemd-shutdown\[1\]: (?:Failed|Could not|Unable)",
)

# Known races between two places of the kernel outside of the driver, by the functions that KCSAN names (see
# Documentation/soundness.rst).
EXCUSED_RACES = (
    "_find_next_zero_bit / sbitmap_find_bit",
    "delay_map [dm_delay] / flush_delayed_bios [dm_delay]",
)

# How much of a complaint is shown: the lines after its first one, and the lines of all complaints.
AFTER, SHOWN = 12, 60

KILLED = 137
COMPLAINED = 99
IRREGULAR = 98


def excuse(lines):
    """Yields the lines, with another name for the traces that tests cause on purpose.

    The kernel's own parts report allocations that were made to fail (in a process of that name, see failnth.c), that of
    the fields of a tracepoint by a warning; and the end of a process that asked for more memory than its group may have
    (see exhaust.sh).
    """
    excused = told = None
    for number, line in enumerate(lines):
        if "] overcommit invoked oom-killer" in line:
            excused = number + 30
        if re.search(r"WARNING: kernel/trace/trace_events\.c:\d+ at event_define_fields\+.* failnth/\d+$", line):
            line = line.replace("WARNING", "warning")
            excused = number + 12
        if "vmalloc error: size" in line or line.endswith(("failed with error -12", "failed with error -22")):
            told = number
        elif told is not None and told == number - 1 and "Comm: failnth " in line:
            excused = number + 6
        if excused is not None and number <= excused:
            line = re.sub("Call [Tt]race:", "trace:", line)
        yield line


def counts(report, driver):
    """Tells whether a report of KCSAN counts: an access is the driver's own, or the driver called a known race."""
    ours = f" [{driver}]"
    races = report[0].split("BUG: KCSAN: ", 1)[1].partition(" in ")[2]
    first = called = below = False
    for line in report[1:]:
        if ours in line:
            if first:
                return True
            below = below or called
        first = re.search(" by (?:task|interrupt)", line) is not None
        if first:
            called = True
        elif re.search(" (?:asm_(?:sysvec|common_interrupt)|el[01][ht]_64_irq)", line):
            # What an interrupt came in between did not call it.
            called = False
    return below and races not in EXCUSED_RACES


def excuse_races(lines, driver):
    """Yields the lines, with another name for the reports of KCSAN that do not count."""
    report = []

    def end():
        if report and not counts(report, driver):
            report[0] = report[0].replace("BUG: KCSAN", "KCSN", 1)
        yield from report
        report.clear()

    for line in lines:
        if "BUG: KCSAN: " in line:
            yield from end()
            report.append(line)
        elif report:
            report.append(line)
            if "] " + "=" * 60 in line:
                yield from end()
        else:
            yield line
    yield from end()


def complaints(lines, driver, systemd=False):
    """Returns what a guest's kernel complained of: the lines with their numbers, as "grep -nA" prints them."""
    complaint = re.compile("|".join(COMPLAINTS + SYSTEMD_COMPLAINTS * systemd), re.ASCII)
    shown, last, until = [], None, 0
    for number, line in enumerate(excuse_races(excuse(lines), driver), 1):
        found = complaint.search(line)
        if found:
            until = number + AFTER
        if number <= until:
            if last is not None and last != number - 1:
                shown.append("--")
            shown.append(f"{number}{':' if found else '-'}{line}")
            last = number
    return shown


class Verdict(NamedTuple):
    """What became of a guest: the exit status, the lines that count, the lines to show, why, and what else to say."""

    status: int
    lines: list
    shown: list = []
    reason: str = ""
    note: str = ""


def judge(console, guest):
    """Returns the verdict on a guest (see arguments()) with this text on its console."""
    whole = console.removesuffix("\n").split("\n")
    if not any("zr: script starts" in line for line in whole):
        reason = f"the guest ended before it started the script. Its whole console is in {guest.called}."
        return Verdict(IRREGULAR, [], whole[-15:], reason)
    # systemd loads the driver long before the script starts.
    start = "zr: init runs" if guest.systemd else "zr: script starts"
    lines = [line.replace("\r", "") for line in itertools.dropwhile(lambda line: start not in line, whole)]
    shown = complaints(lines, guest.driver, guest.systemd)
    if shown:
        reason = f"the guest's kernel reported a problem; its whole log is in {guest.called}.script."
        return Verdict(COMPLAINED, lines, shown[:SHOWN], reason)
    note = ""
    if guest.config.endswith("kcsan"):
        reports = sum("BUG: KCSAN" in line for line in lines)
        note = f"KCSAN: {reports} reports, none of them in the driver"
    status, reason = end_of(lines, guest)
    if reason:
        reason += f" Its console is in {guest.called}."
    return Verdict(status, lines, reason=reason, note=note)


def end_of(lines, guest):
    """Returns the status with which a guest's script ended, or IRREGULAR and why."""
    if guest.status == KILLED:
        return IRREGULAR, f"the guest was killed after {guest.timeout} seconds (--timeout)."
    ends = [end for line in lines for end in re.findall(r"zr: script ended with (\d+)", line)]
    if not ends:
        return IRREGULAR, "the guest ended before the script."
    if guest.systemd and not any("zr: shutdown ends" in line for line in lines):
        return IRREGULAR, "the guest did not complete its shutdown."
    return int(ends[-1]), ""


def say(text, file):
    """Prints a message with the time since the user's command began, as "say" of tools/env/lib.sh does."""
    seconds = int(time.time()) - int(os.environ.get("ZRAM_RS_STARTED", time.time()))
    print(f"[{seconds // 60}:{seconds % 60:02}] {text}", file=file)


def arguments():
    """Returns what the command line tells about a guest."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--driver", required=True)
    parser.add_argument("--status", type=int, required=True)
    parser.add_argument("--timeout", required=True)
    parser.add_argument("--systemd", action="store_true")
    parser.add_argument("--called", required=True)
    parser.add_argument("console")
    return parser.parse_args()


def main():
    # A console has any bytes.
    text = {"encoding": "utf-8", "errors": "surrogateescape", "newline": "\n"}
    sys.stderr.reconfigure(errors="surrogateescape")
    guest = arguments()
    with open(guest.console, **text) as console:
        verdict = judge(console.read(), guest)
    if verdict.lines:
        with open(guest.console + ".script", "w", **text) as script:
            script.writelines(line + "\n" for line in verdict.lines)
    for line in verdict.shown:
        print(line, file=sys.stderr)
    if verdict.note:
        say(verdict.note, sys.stdout)
    if verdict.status == COMPLAINED and verdict.reason:
        say(verdict.reason, sys.stderr)
    elif verdict.reason:
        print(f"error: {verdict.reason}", file=sys.stderr)
    sys.exit(verdict.status)


if __name__ == "__main__":
    try:
        main()
    except Exception:
        traceback.print_exc()
        sys.exit(IRREGULAR)
