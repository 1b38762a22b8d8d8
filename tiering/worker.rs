// SPDX-License-Identifier: GPL-2.0

//! The work function: does one slice of a turn at a time.

use super::{
    post_processing::PostProcessing,
    schedule::{
        Due,
        Schedule, //
    },
    turn::{
        is_pressed,
        Task,
        Tools,
        Turn, //
    },
    Disk,
    Settings,
    TieringStat,
    TurnEnd,
    Workers, //
};
use crate::{
    abstractions::{
        repeated_work::{
            Repeat,
            RepeatedWork, //
        },
        sched::boottime_seconds, //
    },
    events::Events,
    store::Store,
    turn as turns,
    writeback::budget::Budget, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
    time::{
        Instant,
        Monotonic, //
    },
};

/// How long a worker waits for other post-processing before it looks again, in milliseconds.
const GIVE_WAY: u32 = 20;

/// What the tiering of a disk and its worker share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) post_processing: Arc<PostProcessing>,
    pub(super) budget: Arc<Budget>,
    pub(super) events: Arc<Events>,
    pub(super) stat: Arc<Mutex<TieringStat>>,
}

/// What a worker keeps between two slices.
struct WorkerState {
    /// The serial number of the settings that the rest belongs to.
    serial: Option<u32>,
    schedule: Schedule,
    turn: Option<Turn>,
    tools: Tools,
}

/// The tiering of a disk while it is on.
pub(super) struct Worker<D: Disk> {
    disk: D,
    shared: Shared,
    settings: Pin<KBox<Mutex<Settings>>>,
    /// Only the worker locks it.
    state: Pin<KBox<Mutex<WorkerState>>>,
}

impl<D: Disk> Worker<D> {
    /// Has a worker of the driver begin with these settings. May sleep; `ENOMEM` if there is no
    /// memory.
    pub(super) fn start(
        disk: D,
        shared: &Shared,
        workers: &Workers,
        settings: Settings,
    ) -> Result<Pin<KBox<RepeatedWork<Self>>>> {
        let state = WorkerState {
            serial: None,
            schedule: Schedule::default(),
            turn: None,
            tools: Tools::new()?,
        };
        let settings = new_mutex!(settings, "zram_rs tiering settings");
        let worker = Self {
            disk,
            shared: shared.clone(),
            settings: KBox::pin_init(settings, GFP_KERNEL)?,
            state: KBox::pin_init(new_mutex!(state, "zram_rs tiering worker"), GFP_KERNEL)?,
        };
        let work = KBox::pin_init(RepeatedWork::new(workers.get()?, worker), GFP_KERNEL)?;
        work.wake(0);
        Ok(work)
    }

    /// Changes the settings, which end the turn in progress. May sleep.
    pub(super) fn set(&self, settings: Settings) {
        *self.settings.lock() = settings;
    }

    /// Returns the next turn, if one is due.
    fn next_turn(&self, schedule: &mut Schedule, settings: &Settings, now: u32) -> Option<Turn> {
        loop {
            let pressed = || settings.writeback.is_some_and(|what| is_pressed(&what));
            let due = schedule.next(settings, now, pressed)?;
            let task = match due {
                Due::Recompress => settings.recompress.and_then(|what| {
                    let priority = self.disk.find_priority(what.priority, what.algorithm)?;
                    Some(Task::Recompress { what, priority })
                }),
                Due::Writeback | Due::Pressed => settings.writeback.map(|what| Task::Writeback {
                    what,
                    pressed: due == Due::Pressed,
                }),
            };
            // A disk without the algorithm has nothing to recompress.
            if let Some(task) = task {
                return Some(Turn::new(task, now));
            }
        }
    }

    /// Does the next slice of a turn, and returns why the turn has ended if it has.
    fn slice(&self, turn: &mut Turn, store: &Store, tools: &mut Tools) -> Option<TurnEnd> {
        let Shared { budget, events, .. } = &self.shared;
        if !turn.has_begun() {
            turns::begin(events, turn.task.kind());
        }
        let Task::Writeback { .. } = turn.task else {
            return turn.slice(store, budget, tools);
        };
        events.note_budget(budget.is_used_up());
        let end = turn.slice(store, budget, tools);
        events.note_budget(budget.is_used_up());
        end
    }

    /// Notes the end of a turn, if it has begun.
    fn count(&self, turn: &Turn, end: TurnEnd) {
        if turn.has_begun() {
            turn.count(end, &mut self.shared.stat.lock());
            let (blocks, millis) = (turn.blocks(), turn.nanoseconds / 1_000_000);
            turns::end(
                &self.shared.events,
                turn.task.kind(),
                blocks,
                millis,
                turn.errno(),
            );
        }
    }
}

impl<D: Disk> Repeat for Worker<D> {
    fn run(&self) -> Option<u32> {
        let settings = *self.settings.lock();
        let now = boottime_seconds();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.serial != Some(settings.serial) {
            if let Some(turn) = state.turn.take() {
                self.count(&turn, TurnEnd::Stopped);
                if !turn.has_begun() {
                    state.schedule.has_not_begun(turn.task.due());
                }
            }
            state.serial = Some(settings.serial);
            state.schedule.replan(&settings, now);
        }
        let turn = state.turn.take();
        let Some(mut turn) = turn.or_else(|| self.next_turn(&mut state.schedule, &settings, now))
        else {
            return Some(state.schedule.wait(&settings, now));
        };
        let Some(right) = self.shared.post_processing.give_way_or_lock() else {
            state.turn = Some(turn);
            return Some(GIVE_WAY);
        };
        let began = Instant::<Monotonic>::now();
        let end = match self.disk.store() {
            Some(store) if turn.is_ready(&store) => self.slice(&mut turn, &store, &mut state.tools),
            // The disk was reset.
            _ if turn.has_begun() => Some(TurnEnd::Stopped),
            // A turn that finds nothing to work on is none.
            _ => return Some(0),
        };
        drop(right);
        turn.nanoseconds += began.elapsed().as_nanos().max(0) as u64;
        let Some(end) = end else {
            state.turn = Some(turn);
            return Some(0);
        };
        if matches!(turn.task, Task::Writeback { pressed: true, .. }) && turn.pages > 0 {
            state.schedule.pressed_turn_helped(now);
        }
        self.count(&turn, end);
        Some(0)
    }
}

impl<D: Disk> Drop for Worker<D> {
    /// Counts the turn that turning tiering off has ended.
    fn drop(&mut self) {
        let turn = self.state.lock().turn.take();
        if let Some(turn) = turn {
            self.count(&turn, TurnEnd::Stopped);
        }
    }
}
