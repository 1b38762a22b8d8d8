# SPDX-License-Identifier: GPL-2.0
"""Tests of jobs.sh."""

import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).parent
SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP

# What jobs.sh wants of its caller, and jobs for the tests. The memory is what the test says.
SCRIPT = """
set -euo pipefail
elapsed() { echo 0:00; }
say() { echo "[$(elapsed)] $*"; }
fail() { echo "FAIL $*"; }
. "$1/jobs.sh"
RUN=$2 TICK=0.05
memory() { echo "${MEMORY:-1000}"; }
trap end_jobs EXIT
trap 'trap "" INT TERM HUP; exit 130' INT TERM HUP
# works NAME SECONDS: leaves when it began and ended.
works() {
    echo "$1 begins"
    echo "$1" >>"$RUN/starts"
    echo "+ $1" >>"$RUN/order"
    sleep "$2"
    echo "- $1" >>"$RUN/order"
    echo "$1 ends"
}
breaks() {
    echo "$1 breaks"
    false
    echo "and goes on"
}
"""


def heed_signals():
    """Has the signals end this process. A shell ignores some of them in what it starts in the background."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


class Jobs(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def start(self, jobs, **environment):
        script = SCRIPT + "\n".join(jobs) + "\nrun_jobs\n"
        return subprocess.Popen(["bash", "-c", script, "sh", HERE, self.directory], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, preexec_fn=heed_signals,
                                env=os.environ | {"JOBS": "2"} | environment)

    def run_jobs(self, jobs, **environment):
        """Returns the lines of the jobs, without the empty ones."""
        with self.start(jobs, **environment) as process:
            out = process.stdout.read()
        self.assertEqual(process.returncode, 0, out)
        return [line for line in out.splitlines() if line]

    def order(self):
        return (self.directory / "order").read_text().split("\n")[:-1]

    def most(self):
        """Returns how many jobs were running at once, at most."""
        running = [0]
        for line in self.order():
            running.append(running[-1] + (1 if line[0] == "+" else -1))
        return max(running)

    def test_lines_of_a_job_stay_together(self):
        lines = self.run_jobs(["job a x 1 '' works a 0.5", "job b y 1 '' works b 0.1", "job c y 1 '' works c 0.1"])
        self.assertEqual(lines, [line for name in "abc"
                                 for line in (f"{name} begins", f"{name} ends", lines["abc".index(name) * 3 + 2])])
        self.assertRegex(lines[5], r"^\[0:00\] b: done in 0:0\d, 0:00 of processor time$")
        self.assertEqual(sorted(self.order()[:2]), ["+ a", "+ b"])

    def test_first_job_is_shown_at_once(self):
        with self.start(["job a x 1 '' works a 600"]) as process:
            self.assertEqual([process.stdout.readline() for _ in range(2)], ["\n", "a begins\n"])
            process.terminate()
            self.assertEqual(process.wait(), 130)

    def test_as_many_as_processors(self):
        jobs = [f"job {name} x 1 '' works {name} 0.1" for name in "abcd"]
        self.run_jobs(jobs)
        self.assertEqual(self.most(), 2)
        (self.directory / "order").unlink()
        self.run_jobs(jobs, JOBS="1")
        self.assertEqual(self.order(), [f"{sign} {name}" for name in "abcd" for sign in "+-"])

    def test_memory(self):
        jobs = ["job a x 600 '' works a 0.1", "job b y 600 '' works b 0.1"]
        self.run_jobs(jobs)
        self.assertEqual(self.most(), 1)
        self.run_jobs(jobs, MEMORY="1200")
        self.assertEqual(self.most(), 2)

    def test_one_that_takes_more_memory_than_there_is_runs_alone(self):
        self.run_jobs(["job a x 6000 '' works a 0.1", "job b y 1 '' works b 0.1"])
        self.assertEqual(self.most(), 1)

    def test_alone(self):
        self.run_jobs(["job a x 1 '' works a 0.1", "job b alone 1 '' works b 0.1", "job c x 1 '' works c 0.1",
                       "job d x 1 '' works d 0.1"])
        order = self.order()
        self.assertEqual(order[order.index("+ b") + 1], "- b")
        self.assertEqual(self.most(), 2)

    def test_kinds(self):
        self.run_jobs(["job a driver 1 '' works a 0.1", "job b driver 1 '' works b 0.1"])
        self.assertEqual(self.most(), 1)
        self.run_jobs(["job a x 1 '' works a 0.4", "job b x 1 '' works b 0.1", "job c y 1 '' works c 0.1"])
        self.assertEqual(sorted(self.order()[4:6]), ["+ a", "+ c"])

    def test_processor_time(self):
        # SIGXCPU ends it, by the time of the processor.
        lines = self.run_jobs(["busy() { bash -c 'ulimit -c 0; ulimit -t 1; while :; do :; done' || :; }",
                               "job a x 1 '' busy"])
        self.assertRegex(lines[-1], r"^\[0:00\] a: done in \d:\d\d, 0:01 of processor time$")

    def test_longest_jobs(self):
        lines = self.run_jobs(["job a x 1 '' works a 0", "job b y 1 '' works b 4", "job c x 1 '' breaks c",
                               "job d x 1 c works d 0", "run_jobs", "longest_jobs 2", "exit"])
        self.assertRegex("\n".join(lines[-2:]), r"^ 0:\d\d  b \(0:0\d of processor time\)\n"
                                                r" 0:\d\d  [ac] \(0:0\d of processor time\)$")

    def test_needs(self):
        self.run_jobs(["job c x 1 a,b,unknown works c 0.1", "job b x 1 a works b 0.1", "job a y 1 '' works a 0.1"])
        self.assertEqual(self.order(), [f"{sign} {name}" for name in "abc" for sign in "+-"])

    def test_failure(self):
        lines = self.run_jobs(["job a x 1 '' breaks a", "job b x 1 a works b 0", "job c x 1 b works c 0",
                               "job d x 1 '' works d 0"])
        self.assertIn("a breaks", lines)
        self.assertNotIn("and goes on", lines)
        self.assertTrue(any(line.startswith("FAIL a (after ") for line in lines))
        self.assertIn("[0:00] b: did not run, as something that it needs has failed", lines)
        self.assertIn("[0:00] c: did not run, as something that it needs has failed", lines)
        self.assertEqual(self.order(), ["+ d", "- d"])

    def test_signals_end_all(self):
        for number in SIGNALS:
            with self.subTest(number=number):
                marks = [f"{600 + os.getpid() % 100}.{number}{n}" for n in (1, 2)]
                with self.start([f"job a{mark} x 1 '' works a {mark}" for mark in marks]) as process:
                    self.assertEqual(process.stdout.readline(), "\n")
                    until = time.monotonic() + 10
                    while sum(self.runs(mark) for mark in marks) < 2 and time.monotonic() < until:
                        time.sleep(0.05)
                    self.assertEqual([self.runs(mark) for mark in marks], [True, True])
                    process.send_signal(number)
                    process.stdout.read()
                    self.assertEqual(process.wait(), 130)
                self.assertEqual([self.runs(mark) for mark in marks], [False, False])

    @staticmethod
    def runs(mark):
        """Tells whether there is a process "sleep MARK"."""
        for line in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if line.read_bytes() == f"sleep\0{mark}\0".encode():
                    return True
            except OSError:
                pass
        return False


if __name__ == "__main__":
    unittest.main()
