# SPDX-License-Identifier: GPL-2.0
"""Tests of judge.py."""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import unittest

from judge import COMPLAINTS, IRREGULAR, SYSTEMD_COMPLAINTS, complaints, judge

# Lines that are complaints: of each alternative of COMPLAINTS one that no other alternative finds.
BAD = [
    "WARNING: mm/zsmalloc.c:1413 at zs_free+0x1a/0x90 [zsmalloc], CPU#1: zramctl/742",
    "WARNING: possible circular locking dependency detected",
    "WARNING: inconsistent lock state",
    "BUG: kernel NULL pointer dereference, address: 0000000000000008",
    "BUG: sleeping function called from invalid context at include/linux/sched/mm.h:321",
    "BUG: Bad page state in process pageio  pfn:10a3c",
    "kernel BUG at mm/slub.c:563!",
    "Oops: 0002 [#1] SMP PTI",
    "BUG: KASAN: slab-use-after-free in zram_rs_read+0x30/0x80 [zram_rs]",
    "KASAN: null-ptr-deref in range [0x0000000000000010-0x0000000000000017]",
    "UBSAN: array-index-out-of-bounds in lib/zstd/decompress/huf_decompress.c:1205:3",
    "Call Trace:",
    # arm64
    "Call trace:",
    "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100",
    "traps: pageio[201] general protection fault ip:401a2c sp:7ffd2b1c8e50 error:0 in pageio[401000+2000]",
    "ODEBUG: free active (active state 0) object: ffff888003c5a2d0 object type: work_struct hint: run+0x0/0x40",
    "kmemleak: unreferenced object 0xffff888004a3c000 (size 512):",
    "INFO: task zramctl:742 blocked for more than 120 seconds.",
    "rcu: INFO: rcu_preempt self-detected stall on CPU",
    "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-.... } 21004 jiffies s: 37 root: 0x2/.",
    "refcount_t: underflow; use-after-free.",
    "list_add corruption. prev->next should be next (ffff888003a1d010), but was 0000000000000000.",
    "list_del corruption, ffff888003a1d010->next is LIST_POISON1 (dead000000000100)",
    "zr: FAIL: lockdep switched itself off (debug_locks: 0)",
    "    not ok 3 use_ends_idleness_and_selection",
]

SYSTEMD_BAD = [
    "[FAILED] Failed to start systemd-zram-setup@zram0.service - Create swap on /dev/zram0.",
    "systemd[1]: systemd-zram-setup@zram0.service: Failed with result 'exit-code'.",
    "systemd-shutdown[1]: Failed to deactivate swap /dev/zram0: Cannot allocate memory",
    "systemd-shutdown[1]: Could not detach loopback /dev/loop0: Device or resource busy",
    "systemd-shutdown[1]: Unable to finalize remaining file systems, ignoring.",
]

# Lines that are none.
GOOD = [
    "zram_rs: Added device: zram0",
    "Memory: 954312K/1048576K available (DEBUG_INFO, 1 BUGS)",
    "process 'pageio' launched '/bin/true' with NULL argv: empty string added; warning",
    "zram-test: control.sh: oops limit and warn limit",
    "kmemleak: Kernel memory leak detector initialized (mem pool available: 15678)",
    "task zramctl:742 is blocked",
    "    ok 3 use_ends_idleness_and_selection",
    "list_debug: no corruption of the list",
    "traps: pageio[201] trap invalid opcode ip:401a2c sp:7ffd2b1c8e50 error:0 in pageio[401000+2000]",
]

KCSAN_END = "=" * 66


def race(title, *lines):
    """Returns a report of KCSAN."""
    return [KCSAN_END, f"BUG: KCSAN: data-race in {title}", "", *lines, KCSAN_END]


def access(*frames, by="task 74 on cpu 0"):
    """Returns an access of a report of KCSAN."""
    return [f"write to 0xffff888003a1d010 of 8 bytes by {by}:", *(f" {frame}+0x1c/0x30" for frame in frames), ""]


def foreign(function):
    """Returns the access of a report of KCSAN that is not the driver's."""
    return access(function, "worker_thread", by="interrupt on cpu 1")


def kernel(*texts):
    """Returns lines of a kernel log with these texts."""
    return [f"[{index:5}.123456] {text}" for index, text in enumerate(texts)]


def ours(frame):
    return f" {frame}+0x1c/0x30 [zram_rs]"


class Complaints(unittest.TestCase):
    def complained(self, *texts, **options):
        """Returns which of these texts of a kernel log are complaints, by their indexes."""
        shown = complaints(kernel(*texts), options.pop("driver", "zram_rs"), **options)
        return [int(line.split(":")[0]) - 1 for line in shown if re.match(r"\d+:", line)]

    def test_finds_each_complaint(self):
        for text in BAD:
            self.assertEqual(self.complained("fine", text, "fine"), [1], text)

    def test_finds_each_complaint_of_systemd(self):
        for text in SYSTEMD_BAD:
            self.assertEqual(self.complained("fine", text, systemd=True), [1], text)
            self.assertEqual(self.complained("fine", text), [], text)

    def test_needs_each_alternative(self):
        for alternatives, texts in ((COMPLAINTS, BAD), (SYSTEMD_COMPLAINTS, SYSTEMD_BAD)):
            found = [[one for one in alternatives if re.search(one, line)] for line in kernel(*texts)]
            for one in alternatives:
                self.assertIn([one], found)

    def test_does_not_find_others(self):
        for text in GOOD:
            self.assertEqual(self.complained(text), [], text)
        # What is not the kernel's is not in its log.
        self.assertEqual(complaints(["not ok 3 control.sh: some case"], "zram_rs"), [])

    def test_shows_twelve_lines_after_a_complaint(self):
        lines = ["fine"] * 2 + ["Oops: 1"] + ["fine"] * 20 + ["Oops: 2"] + ["fine"] * 4 + ["Oops: 3", "fine"]
        shown = complaints(lines, "zram_rs")
        want = ["3:Oops: 1"] + [f"{number}-fine" for number in range(4, 16)] + ["--", "24:Oops: 2"]
        want += [f"{number}-fine" for number in range(25, 29)] + ["29:Oops: 3", "30-fine"]
        self.assertEqual(shown, want)

    def test_excuses_the_end_of_overcommit(self):
        for distance, found in ((30, []), (31, [31])):
            lines = ["overcommit invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0"]
            lines += ["fine"] * (distance - 1) + ["Call trace:"]
            self.assertEqual(self.complained(*lines), found)
        self.assertEqual(self.complained("zramctl invoked oom-killer: gfp_mask=0xcc0", "Call Trace:"), [1])

    def test_excuses_a_tracepoint_whose_fields_have_no_memory(self):
        warning = "WARNING: kernel/trace/trace_events.c:3147 at event_define_fields+0x770/0x780, CPU#1: failnth/1311"
        for distance, found in ((12, []), (13, [13])):
            lines = [warning] + ["fine"] * (distance - 1) + ["Call Trace:"]
            self.assertEqual(self.complained(*lines), found)
        for other in (warning.replace("failnth", "modprobe"), warning.replace("event_define_fields", "event_init")):
            self.assertEqual(self.complained(other), [0])

    def test_excuses_allocations_that_were_made_to_fail(self):
        failures = [
            "failnth: vmalloc error: size 1902792, align 0x1, vm_struct allocation failed, mode:0xcc0(GFP_KERNEL)",
            "__kmem_cache_create_args(zspage-zram0) failed with error -12",
            "__kmem_cache_create_args(zspage-zram0) failed with error -22",
        ]
        process = "CPU: 1 UID: 0 PID: 745 Comm: failnth Tainted: G           O     N  7.3.4 #1 VOLUNTARY"
        for failure in failures:
            for distance, found in ((6, []), (7, [8])):
                lines = [failure, process] + ["fine"] * (distance - 1) + ["Call Trace:"]
                self.assertEqual(self.complained(*lines), found)
            self.assertEqual(self.complained(failure, process, "BUG: Bad page state", "Call Trace:"), [2])
            self.assertEqual(self.complained(failure, process.replace("failnth", "zramctl"), "Call Trace:"), [2])
            self.assertEqual(self.complained(failure, "fine", process, "Call Trace:"), [3])
        for other in ("failnth: page allocation failure: order:0", "kmem_cache_create(x) failed with error -17",
                      "kmem_cache_create(x) failed with error -12, again"):
            self.assertEqual(self.complained(other, process, "Call Trace:"), [2])
        self.assertEqual(self.complained(process, "Call Trace:"), [1])


class Races(unittest.TestCase):
    complained = Complaints.complained

    def test_finds_accesses_of_the_driver(self):
        for own in (access(), access(by="interrupt on cpu 0")):
            own.insert(1, ours("<zram_rs::slot::Slot>::lock"))
            accesses = own + foreign("tick_nohz_stop_idle")
            self.assertEqual(self.complained(*race("lock / tick_nohz_stop_idle", *accesses)), [1])
            accesses = foreign("tick_nohz_stop_idle") + own
            self.assertEqual(self.complained(*race("lock / tick_nohz_stop_idle", *accesses)), [1])
            # The driver under test may be another one.
            self.assertEqual(self.complained(*race("lock / tick_nohz_stop_idle", *accesses), driver="zram"), [])

    def test_finds_accesses_that_the_driver_called_for(self):
        accesses = access("zs_malloc") + foreign("zs_free")
        accesses.insert(2, ours("<zram_rs::device::Disk>::write"))
        self.assertEqual(self.complained(*race("zs_malloc / zs_free", *accesses)), [1])

    def test_excuses_what_is_the_kernels_own(self):
        accesses = access("kernfs_refresh_inode", "kernfs_iop_getattr") + foreign("kernfs_iop_permission")
        self.assertEqual(self.complained(*race("kernfs_refresh_inode / kernfs_iop_permission", *accesses)), [])

    def test_excuses_what_interrupted_the_driver(self):
        for entry in ("asm_sysvec_apic_timer_interrupt", "asm_common_interrupt", "el1h_64_irq", "el0t_64_irq"):
            accesses = access("tick_sched_do_timer", entry, "other") + foreign("ktime_get")
            accesses.insert(3, ours("<zram_rs::device::Disk>::write"))
            self.assertEqual(self.complained(*race("tick_sched_do_timer / ktime_get", *accesses)), [])
        accesses = access("tick_sched_do_timer", "asm_exc_page_fault") + foreign("ktime_get")
        accesses.insert(3, ours("<zram_rs::device::Disk>::write"))
        self.assertEqual(self.complained(*race("tick_sched_do_timer / ktime_get", *accesses)), [1])

    def test_does_not_take_one_access_for_the_caller_of_the_other(self):
        accesses = access("tick_sched_do_timer", "asm_common_interrupt") + access("ktime_get")
        accesses.insert(-1, ours("<zram_rs::device::Disk>::write"))
        self.assertEqual(self.complained(*race("tick_sched_do_timer / ktime_get", *accesses)), [1])

    def test_excuses_known_races_below_the_driver(self):
        for title in ("_find_next_zero_bit / sbitmap_find_bit", "delay_map [dm_delay] / flush_delayed_bios [dm_delay]"):
            accesses = access(title.split()[0]) + foreign("other")
            accesses.insert(2, ours("<zram_rs::backing::Bio>::submit"))
            self.assertEqual(self.complained(*race(title, *accesses)), [])
            for other in (title + "s", "x" + title, " / ".join(reversed(title.split(" / ")))):
                self.assertEqual(self.complained(*race(other, *accesses)), [1], other)
            # An access of the driver's own is no known race.
            accesses.insert(1, ours("<zram_rs::backing::Bio>::submit"))
            self.assertEqual(self.complained(*race(title, *accesses)), [1])

    def test_ends_a_report_at_its_last_line(self):
        report = race("zs_malloc / zs_free", *access("zs_malloc"), *foreign("zs_free"))
        self.assertEqual(self.complained(*report, ours("unrelated"), *report, "Oops: 1"), [2 * len(report) + 1])

    def test_judges_each_report_and_one_without_an_end(self):
        other = race("zs_malloc / zs_free", *access("zs_malloc"), *foreign("zs_free"))
        own = race("lock / zs_free", "write to 0xffff888003a1d010 of 8 bytes by task 74 on cpu 0:", ours("lock"))
        self.assertEqual(self.complained(*other, *own[:-1]), [len(other) + 1])
        self.assertEqual(self.complained(*own[:-1], *other[:-1]), [1])


class Judge(unittest.TestCase):
    def judged(self, *texts, **options):
        """Returns the verdict on a guest with these texts in its kernel log."""
        known = {"config": "stock", "driver": "zram_rs", "status": 0, "timeout": "600", "systemd": False}
        guest = argparse.Namespace(**{**known, "called": "a.console", **options})
        return judge("\n".join(kernel(*texts)) + "\n", guest)

    def test_exits_as_the_script_did(self):
        for status in (0, 3):
            verdict = self.judged("BUG: boot", "zr: script starts", "fine", f"zr: script ended with {status}")
            self.assertEqual(verdict[:1] + verdict[2:], (status, [], "", ""))
            self.assertEqual(len(verdict.lines), 3)

    def test_fails_on_a_complaint_even_if_the_script_succeeded(self):
        verdict = self.judged("fine", "zr: script starts", "Oops: 1", "zr: script ended with 0")
        self.assertEqual((verdict.status, verdict.note), (99, ""))
        self.assertEqual([line[:2] for line in verdict.shown], ["2:", "3-"])
        self.assertEqual(verdict.reason, "the guest's kernel reported a problem; its whole log is in a.console.script.")

    def test_prefers_a_complaint_to_how_the_guest_ended(self):
        self.assertEqual(self.judged("zr: script starts", "Kernel panic", status=137).status, 99)

    def test_shows_sixty_lines(self):
        verdict = self.judged("zr: script starts", *["Oops: 1"] * 100)
        self.assertEqual((len(verdict.shown), verdict.shown[-1][:3]), (60, "61:"))

    def test_with_systemd_the_boot_counts(self):
        log = ["Oops: 1", "zr: init runs", "Oops: 2", "zr: script starts", "zr: script ended with 0"]
        self.assertEqual([line[:2] for line in self.judged(*log, systemd=True).shown], ["2:", "3-", "4-"])
        self.assertEqual(self.judged(*log).status, 0)

    def test_wants_the_script_to_start(self):
        verdict = self.judged(*["fine"] * 20, "Kernel panic")
        self.assertEqual((verdict.status, verdict.lines, len(verdict.shown)), (IRREGULAR, [], 15))
        self.assertTrue(verdict.shown[-1].endswith("Kernel panic"))
        self.assertEqual(verdict.reason,
                         "the guest ended before it started the script. Its whole console is in a.console.")
        self.assertEqual(judge("", argparse.Namespace(called="a.console")).status, IRREGULAR)

    def test_wants_a_regular_end(self):
        starts, ends = "zr: script starts", "zr: script ended with 0"
        killed = "the guest was killed after 600 seconds (--timeout). Its console is in a.console."
        for log, options, reason in (
            ([starts, ends], {"status": 137}, killed),
            ([starts], {"status": 134}, "the guest ended before the script. Its console is in a.console."),
            (["zr: init runs", starts, ends], {"systemd": True},
             "the guest did not complete its shutdown. Its console is in a.console."),
        ):
            verdict = self.judged(*log, **options)
            self.assertEqual((verdict.status, verdict.shown, verdict.reason), (IRREGULAR, [], reason))
        log = ["zr: init runs", starts, ends, "zr: shutdown ends"]
        self.assertEqual(self.judged(*log, systemd=True).status, 0)

    def test_counts_the_reports_of_kcsan(self):
        log = ["zr: script starts", *race("zs_malloc / zs_free", *access("zs_malloc")) * 2, "zr: script ended with 0"]
        self.assertEqual(self.judged(*log).note, "")
        for config in ("kcsan", "arm64-kcsan"):
            verdict = self.judged(*log, config=config)
            self.assertEqual((verdict.status, verdict.note), (0, "KCSAN: 2 reports, none of them in the driver"))
        self.assertEqual(self.judged(*log, config="kcsan", status=137).note, verdict.note)


class Program(unittest.TestCase):
    def run_on(self, console):
        """Runs the program on a console of these bytes; returns its status, its output, and what counted."""
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "a.console")
            with open(path, "wb") as file:
                file.write(console)
            command = [sys.executable, "-B", "judge.py", "--config", "kcsan", "--driver", "zram_rs", "--status", "0"]
            done = subprocess.run([*command, "--timeout", "600", "--called", "/where/a.console", path], check=False,
                                  capture_output=True, env={**os.environ, "ZRAM_RS_STARTED": "0"})
            script = b""
            if os.path.exists(path + ".script"):
                with open(path + ".script", "rb") as file:
                    script = file.read()
        return done.returncode, done.stdout, done.stderr, script

    def test_reads_any_bytes(self):
        garbage = bytes(range(256)).replace(b"\n", b"")
        console = b"early\n[0] zr: script starts\r\n[1] " + garbage + b"\r\n[2] Oops: \xff\r\n"
        status, _, stderr, script = self.run_on(console)
        self.assertEqual(status, 99)
        self.assertEqual(script, console[6:].replace(b"\r", b""))
        self.assertRegex(stderr, rb"^3:\[2\] Oops: \xff\n\[\d+:\d\d\] the guest's kernel reported a problem; "
                         rb"its whole log is in /where/a.console.script.\n$")

    def test_says_how_a_guest_ended(self):
        status, stdout, stderr, script = self.run_on(b"[0] zr: script starts\n")
        self.assertEqual((status, script), (IRREGULAR, b"[0] zr: script starts\n"))
        self.assertEqual(stderr, b"error: the guest ended before the script. Its console is in /where/a.console.\n")
        self.assertRegex(stdout, rb"^\[\d+:\d\d\] KCSAN: 0 reports, none of them in the driver\n$")
        status, _, stderr, script = self.run_on(b"only this\n")
        self.assertEqual((status, script), (IRREGULAR, b""))
        self.assertEqual(stderr, b"only this\nerror: the guest ended before it started the script. "
                         b"Its whole console is in /where/a.console.\n")

    def test_exits_as_the_script_did(self):
        console = b"[0] zr: script starts\n[1] zr: script ended with 7\n"
        self.assertEqual(self.run_on(console)[:1] + self.run_on(console)[2:], (7, b"", console))
