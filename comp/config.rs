// SPDX-License-Identifier: GPL-2.0

//! The configuration of a disk's algorithms.

use super::{
    Algorithm,
    Priority, //
};
#[cfg(zram_rs_compat)]
use crate::abstractions::compat::kernel;
use crate::abstractions::{
    fs::file::FileContents,
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

/// Maximum size of a dictionary, in bytes; no algorithm benefits from a larger one.
const MAX_DICTIONARY: usize = 64 << 20;

/// The parameters of an algorithm, which has a default for each one that is not set.
///
/// # Context
///
/// Any context.
#[derive(Clone, Default)]
pub(crate) struct Params {
    /// The compression level.
    pub(super) level: Option<c_int>,
    /// The `windowBits` of zlib, for DEFLATE.
    #[allow(dead_code, reason = "the algorithms that use it may not be built")]
    pub(super) winbits: Option<c_int>,
    /// The dictionary with which all pages are compressed.
    pub(super) dictionary: Option<Arc<FileContents>>,
}

impl Params {
    /// Rejects a dictionary, and logs that `algorithm` does not support one.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`: a dictionary is set.
    #[allow(dead_code, reason = "the algorithms that use it may not be built")]
    pub(super) fn refuse_dictionary(&self, algorithm: &CStr) -> Result {
        if self.dictionary.is_some() {
            pr_err!("{algorithm}: dictionary is not supported\n");
            return Err(EOPNOTSUPP);
        }
        Ok(())
    }

    /// Rejects a level, and logs that `algorithm` does not support one.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`: a level is set.
    #[allow(dead_code, reason = "the algorithms that use it may not be built")]
    pub(super) fn refuse_level(&self, algorithm: &CStr) -> Result {
        if self.level.is_some() {
            pr_err!("{algorithm}: compression level is not supported\n");
            return Err(EOPNOTSUPP);
        }
        Ok(())
    }

    /// Returns the level, or `default` if no level is set.
    ///
    /// Logs a level that `algorithm` does not have.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the level is less than `min` or greater than `max`.
    #[allow(dead_code, reason = "the algorithms that use it may not be built")]
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

/// The algorithms of a disk and their parameters, by priority.
///
/// The primary priority always has an algorithm.
///
/// # Context
///
/// Any context, except that [`set_algorithm`](Self::set_algorithm) and
/// [`set_params`](Self::set_params) may sleep: they may free a dictionary.
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
    /// Returns the algorithm with a priority, or `None` if the disk has none.
    pub(crate) fn algorithm(&self, priority: Priority) -> Option<Algorithm> {
        self.algorithms.get(priority.number()).copied().flatten()
    }

    /// Returns the parameters for the algorithm with a priority.
    pub(super) fn params(&self, priority: Priority) -> &Params {
        &self.params[priority.number() % Priority::COUNT]
    }

    /// Sets the algorithm with a priority, and clears its parameters.
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

    /// Finds the priority that a user selects by its number, its algorithm's name, or both.
    ///
    /// Considers only priorities from `lowest` on, and returns `lowest` if the user gave neither a
    /// number nor a name.
    ///
    /// # Errors
    ///
    /// `EINVAL`: no priority matches.
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

    /// Finds the priority whose parameters `update` sets.
    ///
    /// # Errors
    ///
    /// The errors of [`find`](Self::find).
    pub(crate) fn find_params(&self, update: &ParamsUpdate) -> Result<Priority> {
        self.find(
            update.priority,
            update.algorithm.as_deref(),
            Priority::PRIMARY,
        )
    }

    /// Sets the parameters of an algorithm.
    ///
    /// [`ParamsUpdate::read_dictionary`] returns the `dictionary`. On failure the parameters do not
    /// change.
    ///
    /// # Errors
    ///
    /// The errors of [`find`](Self::find).
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

/// The contents of a dictionary file.
pub(crate) struct Dictionary(Arc<FileContents>);

/// New parameters of an algorithm, as a user writes them to `algorithm_params`.
#[derive(Default)]
pub(crate) struct ParamsUpdate {
    priority: Option<i32>,
    algorithm: Option<CString>,
    level: Option<i32>,
    winbits: Option<i32>,
    /// The path of the dictionary file.
    dictionary: Option<CString>,
}

impl ParamsUpdate {
    /// Parses the text that a user wrote to `algorithm_params`.
    ///
    /// The text is a list of `priority=<n>`, `algo=<name>`, `level=<n>`, `dict=<path>` and
    /// `deflate.winbits=<n>`. Ignores all other names, as C zram does.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: a name has no value, or a value is not a number.
    /// - `ERANGE`: a number is out of range.
    /// - `ENOMEM`: there is no memory.
    pub(crate) fn parse(text: &CStr) -> Result<Self> {
        // `i32::MIN` stands for "not set", as in C zram.
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

    /// Reads the dictionary file, or returns `None` if the update has none.
    ///
    /// Logs a file that cannot be read.
    ///
    /// # Context
    ///
    /// May sleep. The caller holds no lock: the user may name any file, including one of this
    /// driver.
    ///
    /// # Errors
    ///
    /// The errors of [`FileContents::read`].
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
