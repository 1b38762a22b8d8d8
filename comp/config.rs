// SPDX-License-Identifier: GPL-2.0

//! Which algorithms a disk is to use, and how.

use super::{
    Algorithm,
    Priority, //
};
use crate::abstractions::{
    file::FileContents,
    parse::{
        kstrtoint,
        Args, //
    },
};
use kernel::{
    prelude::*,
    str::CString,
    sync::Arc, //
};

/// How large a dictionary can be, in bytes. No algorithm gains anything from one that is larger.
const MAX_DICTIONARY: usize = 64 << 20;

/// How an algorithm is to work. What was not set is up to the algorithm. All methods are for any
/// context.
#[derive(Clone, Default)]
pub(crate) struct Params {
    /// The level of compression.
    pub(super) level: Option<c_int>,
    /// The window of DEFLATE, in bits; what zlib calls `windowBits`.
    #[allow(dead_code, reason = "not all algorithms may be there")]
    pub(super) winbits: Option<c_int>,
    /// What all pages have in common.
    pub(super) dictionary: Option<Arc<FileContents>>,
}

impl Params {
    /// Fails with `EOPNOTSUPP` if there is a dictionary, for `algorithm` that has no use for it.
    #[allow(dead_code, reason = "not all algorithms may be there")]
    pub(super) fn refuse_dictionary(&self, algorithm: &CStr) -> Result {
        if self.dictionary.is_some() {
            pr_err!("{algorithm}: dictionary is not supported\n");
            return Err(EOPNOTSUPP);
        }
        Ok(())
    }

    /// Fails with `EOPNOTSUPP` if a level was set, for `algorithm` that has none.
    #[allow(dead_code, reason = "not all algorithms may be there")]
    pub(super) fn refuse_level(&self, algorithm: &CStr) -> Result {
        if self.level.is_some() {
            pr_err!("{algorithm}: compression level is not supported\n");
            return Err(EOPNOTSUPP);
        }
        Ok(())
    }

    /// Returns the level, or `default` if none was set. Fails with `EINVAL` if it is not between
    /// `min` and `max`.
    #[allow(dead_code, reason = "not all algorithms may be there")]
    pub(super) fn level_within(
        &self,
        algorithm: &CStr,
        default: c_int,
        min: c_int,
        max: c_int,
    ) -> Result<c_int> {
        match self.level {
            None => Ok(default),
            Some(level) if (min..=max).contains(&level) => Ok(level),
            Some(level) => {
                pr_err!("{algorithm}: invalid compression level {level}\n");
                Err(EINVAL)
            }
        }
    }
}

/// The algorithms that a disk is to use, by priority. There always is one with the primary one. All
/// methods are for any context but [`set_params`](Self::set_params) and
/// [`set_algorithm`](Self::set_algorithm), which may free a dictionary: they may sleep.
pub(crate) struct CompConfig {
    algorithms: [Option<Algorithm>; Priority::COUNT],
    params: [Params; Priority::COUNT],
}

impl Default for CompConfig {
    fn default() -> Self {
        let mut this = Self {
            algorithms: [None; Priority::COUNT],
            params: Default::default(),
        };
        this.set_algorithm(Priority::PRIMARY, Algorithm::default());
        this
    }
}

impl CompConfig {
    /// Returns the algorithm with a priority.
    pub(crate) fn algorithm(&self, priority: Priority) -> Option<Algorithm> {
        self.algorithms.get(priority.number()).copied().flatten()
    }

    /// Returns the parameters for the algorithm with a priority.
    pub(super) fn params(&self, priority: Priority) -> &Params {
        &self.params[priority.number() % Priority::COUNT]
    }

    /// Chooses an algorithm, with no parameters.
    pub(crate) fn set_algorithm(&mut self, priority: Priority, algorithm: Algorithm) {
        if let Some(place) = self.algorithms.get_mut(priority.number()) {
            *place = Some(algorithm);
        }
        self.put_params(priority, Params::default());
    }

    fn put_params(&mut self, priority: Priority, params: Params) {
        if let Some(place) = self.params.get_mut(priority.number()) {
            *place = params;
        }
    }

    /// Finds the priority that a user means who gave a number, a name, both, or none; then it is
    /// `lowest`, below which is no priority that can be meant.
    ///
    /// Fails with `EINVAL` if there is no such priority, or if another algorithm has it.
    pub(crate) fn find(
        &self,
        number: Option<i32>,
        name: Option<&CStr>,
        lowest: Priority,
    ) -> Result<Priority> {
        let has_name = |priority: Priority, name: &CStr| {
            self.algorithm(priority)
                .is_some_and(|algorithm| algorithm.name() == name)
        };
        match (number, name) {
            (None, None) => Ok(lowest),
            (None, Some(name)) => lowest
                .and_above()
                .find(|&priority| has_name(priority, name))
                .ok_or(EINVAL),
            (Some(number), name) => Priority::from_user(number)
                .filter(|&priority| {
                    priority >= lowest && name.is_none_or(|name| has_name(priority, name))
                })
                .ok_or(EINVAL),
        }
    }

    /// Finds the priority whose parameters a user wants to set.
    ///
    /// Fails with what [`find`](Self::find) fails with.
    pub(crate) fn find_params(&self, update: &ParamsUpdate) -> Result<Priority> {
        self.find(
            update.priority,
            update.algorithm.as_deref(),
            Priority::PRIMARY,
        )
    }

    /// Sets parameters, with a dictionary that was [read](ParamsUpdate::read_dictionary) before.
    ///
    /// Fails with what [`find`](Self::find) fails with; then the parameters stay what they are.
    pub(crate) fn set_params(
        &mut self,
        update: &ParamsUpdate,
        dictionary: Option<Dictionary>,
    ) -> Result {
        let priority = self.find_params(update)?;
        let params = Params {
            level: update.level,
            winbits: update.winbits,
            dictionary: dictionary.map(|Dictionary(contents)| contents),
        };
        self.put_params(priority, params);
        Ok(())
    }
}

/// A dictionary that was read.
pub(crate) struct Dictionary(Arc<FileContents>);

/// Parameters as a user gave them.
#[derive(Default)]
pub(crate) struct ParamsUpdate {
    priority: Option<i32>,
    algorithm: Option<CString>,
    level: Option<i32>,
    winbits: Option<i32>,
    /// The path of a file.
    dictionary: Option<CString>,
}

impl ParamsUpdate {
    /// Parses what was written to `algorithm_params`.
    ///
    /// This is a list of `priority=<n>`, `algo=<name>`, `level=<n>`, `dict=<path>` and
    /// `deflate.winbits=<n>`. Other names are ignored, as C zram does. Fails with `EINVAL` or
    /// `ERANGE`. May sleep.
    pub(crate) fn parse(text: &CStr) -> Result<Self> {
        // The lowest number stands for "not set", also in C.
        let number =
            |value: &CStr| Ok::<_, Error>(Some(kstrtoint(value, 10)?).filter(|&n| n != i32::MIN));
        let mut args = Args::new(text)?;
        let mut this = Self::default();
        while let Some((name, value)) = args.next_pair()? {
            match name.to_bytes() {
                b"priority" => this.priority = Some(kstrtoint(value, 10)?),
                b"level" => this.level = number(value)?,
                b"deflate.winbits" => this.winbits = number(value)?,
                b"algo" => this.algorithm = Some(CString::try_from(value)?),
                b"dict" => this.dictionary = Some(CString::try_from(value)?),
                _ => (),
            }
        }
        Ok(this)
    }

    /// Reads the dictionary, if there is to be one.
    ///
    /// To be called with no lock held: the file can be any, one of this driver's included. Fails
    /// with what reading a file fails with, and says so in the log. May sleep.
    pub(crate) fn read_dictionary(&self) -> Result<Option<Dictionary>> {
        let Some(path) = &self.dictionary else {
            return Ok(None);
        };
        let contents = FileContents::read(path, MAX_DICTIONARY).inspect_err(|error| {
            pr_err!("cannot read dictionary {} ({error:?})\n", &**path);
        })?;
        Ok(Some(Dictionary(Arc::new(contents, GFP_KERNEL)?)))
    }
}
