# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Whether helpers take part in large requests, for tests that source test.sh before this.

TRACING=/sys/kernel/tracing
# shellcheck disable=SC2034 # for the tests
HELPERS=/sys/module/zram_rs/parameters/helpers

# trace_helpers: from now on, the kernel traces the works that begin. Succeeds if it can.
trace_helpers() {
	[ -d $TRACING/events ] || mount -t tracefs none $TRACING 2>/dev/null
	[ -w $TRACING/events/workqueue/workqueue_execute_start/enable ] || return 1
	put $TRACING/trace 0
	put $TRACING/events/workqueue/workqueue_execute_start/enable 1
	put $TRACING/events/workqueue/workqueue_queue_work/enable 1
	put $TRACING/tracing_on 1
}

# helped: sets $helped to the number of times that a helper has begun since trace_helpers.
helped() {
	local line
	helped=0
	put $TRACING/tracing_on 0
	while read -r line; do
		[[ $line != *7helpers* ]] || helped=$((helped + 1))
	done <$TRACING/trace
	put $TRACING/tracing_on 1
}

# asked TEXT: sets $asked to the number of works that were queued since trace_helpers whose trace has TEXT.
asked() {
	local line
	asked=0
	put $TRACING/tracing_on 0
	while read -r line; do
		[[ $line != *workqueue_queue_work*$1* ]] || asked=$((asked + 1))
	done <$TRACING/trace
	put $TRACING/tracing_on 1
}

# stop_tracing: ends what trace_helpers began.
stop_tracing() {
	put $TRACING/events/workqueue/workqueue_execute_start/enable 0
	put $TRACING/events/workqueue/workqueue_queue_work/enable 0
}
