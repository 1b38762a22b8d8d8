// SPDX-License-Identifier: GPL-2.0

//! sysfs attributes.
//!
//! An attribute is a type that implements [`Show`], [`Store`], or both, for the object that the
//! directory belongs to. The methods run in the task that reads or writes the file. The object is
//! not removed before they return.
//!
//! C header: [`include/linux/sysfs.h`](srctree/include/linux/sysfs.h)

use crate::bindings;
use core::{
    marker::PhantomData,
    ptr::NonNull,
    slice, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    str::Formatter, //
};

/// An attribute that can be read.
///
/// # Context
///
/// All methods: may sleep.
///
/// # Examples
///
/// ```
/// use crate::abstractions::device::sysfs::Show;
/// # use core::fmt::Write;
/// # use kernel::{
/// #     str::Formatter,
/// #     sync::atomic::{Atomic, Relaxed},
/// # };
///
/// struct Settings {
///     limit: Atomic<u32>,
/// }
///
/// /// The file that shows the limit.
/// struct Limit;
///
/// impl Show<Settings> for Limit {
///     fn show(settings: &Settings, out: &mut Formatter<'_>) -> Result {
///         writeln!(out, "{}", settings.limit.load(Relaxed))?;
///         Ok(())
///     }
/// }
/// #
/// # let settings = Settings { limit: Atomic::new(4096) };
/// # let mut contents = [0; 8];
/// # Limit::show(&settings, &mut Formatter::new(&mut contents))?;
/// # assert!(contents.starts_with(b"4096\n\0"));
/// # Ok::<(), Error>(())
/// ```
pub(crate) trait Show<T> {
    /// Writes the contents of the file to `out`, which has room for `PAGE_SIZE - 1` bytes.
    ///
    /// # Errors
    ///
    /// Returned to the task that reads the file.
    fn show(target: &T, out: &mut Formatter<'_>) -> Result;
}

/// An attribute that can be written.
///
/// # Context
///
/// All methods: may sleep.
///
/// # Examples
///
/// ```
/// use crate::abstractions::{
///     device::{
///         class::ClassAttribute,
///         sysfs::{
///             AttributeList,
///             Store, //
///         },
///     },
///     parse::kstrtouint, //
/// };
/// # use kernel::sync::atomic::{Atomic, Relaxed};
///
/// # struct Settings {
/// #     limit: Atomic<u32>,
/// # }
/// #
/// # struct Limit;
/// #
/// impl Store<Settings> for Limit {
///     fn store(settings: &Settings, input: &CStr) -> Result {
///         settings.limit.store(kstrtouint(input, 10)?, Relaxed);
///         Ok(())
///     }
/// }
///
/// struct Files;
///
/// impl AttributeList for Files {
///     type Attribute = ClassAttribute<Settings>;
///
///     const ATTRIBUTES: &'static [Self::Attribute] =
///         &[ClassAttribute::write_only::<Limit>(c"limit", 0o200)];
/// }
/// #
/// # let settings = Settings { limit: Atomic::new(0) };
/// # Limit::store(&settings, c"4096\n")?;
/// # assert_eq!(settings.limit.load(Relaxed), 4096);
/// # assert_eq!(Limit::store(&settings, c"many"), Err(EINVAL));
/// # Ok::<(), Error>(())
/// ```
pub(crate) trait Store<T> {
    /// Processes the bytes that were written to the file, up to the first NUL.
    ///
    /// # Errors
    ///
    /// Returned to the task that writes the file.
    fn store(target: &T, input: &CStr) -> Result;
}

/// The largest number of attributes in a group.
const MAX_ATTRIBUTES: usize = 31;

/// The C structure of an attribute, such as `struct device_attribute`.
///
/// # Safety
///
/// The type must begin with a `struct attribute`.
pub(in crate::abstractions) unsafe trait RawAttribute:
    'static
{
}

/// The attributes in a directory.
pub(crate) trait AttributeList {
    /// The C structure of the attributes in directories of this kind.
    #[allow(
        private_bounds,
        reason = "only directories of this crate have such files"
    )]
    type Attribute: RawAttribute;

    /// The attributes.
    const ATTRIBUTES: &'static [Self::Attribute];
}

/// The attributes in a directory, as the list of groups that the driver core expects.
///
/// # Invariants
///
/// `groups` is a static list of attribute groups that ends with a null pointer. Each attribute is
/// the first field of an `A`.
pub(crate) struct AttributeGroups<A> {
    groups: &'static [*const kernel::bindings::attribute_group; 2],
    _attributes: PhantomData<fn(A)>,
}

// SAFETY: The groups are never written, and their pointers are to statics.
unsafe impl<A> Send for AttributeGroups<A> {}
// SAFETY: The groups are never written, so that any number of threads may read them.
unsafe impl<A> Sync for AttributeGroups<A> {}

impl<A> AttributeGroups<A> {
    /// Creates the groups: a single one, of the attributes in `L`.
    #[allow(
        private_bounds,
        reason = "only directories of this crate have such files"
    )]
    pub(crate) const fn new<L: AttributeList<Attribute = A>>() -> Self
    where
        A: RawAttribute,
    {
        // INVARIANT: `GROUPS` is a constant that ends with a null pointer. The attributes are those
        // of `L::ATTRIBUTES`, each of which is an `A`.
        Self {
            groups: Group::<L>::GROUPS,
            _attributes: PhantomData,
        }
    }

    /// Returns the list of groups, which C does not write to.
    pub(in crate::abstractions) fn as_ptr(&self) -> *mut *const kernel::bindings::attribute_group {
        self.groups.as_ptr().cast_mut()
    }
}

/// The constants that [`AttributeGroups::new`] refers to.
struct Group<L>(PhantomData<L>);

impl<L: AttributeList> Group<L> {
    const LIST: &'static [*const kernel::bindings::attribute; MAX_ATTRIBUTES + 1] = &{
        let mut list = [core::ptr::null(); MAX_ATTRIBUTES + 1];
        let mut i = 0;
        while i < L::ATTRIBUTES.len() {
            // By the requirements of `RawAttribute` each begins with a `struct attribute`.
            list[i] = (&raw const L::ATTRIBUTES[i]).cast();
            i += 1;
        }
        list
    };
    const GROUP: &'static kernel::bindings::attribute_group = &{
        let mut group: kernel::bindings::attribute_group = pin_init::zeroed();
        group.__bindgen_anon_2.attrs_const = Self::LIST.as_ptr();
        group
    };
    const GROUPS: &'static [*const kernel::bindings::attribute_group; 2] =
        &[Self::GROUP, core::ptr::null()];
}

/// A file, on which tasks can wait with `poll`.
///
/// The file need not exist any more.
///
/// # Invariants
///
/// The object owns a reference to `node`, the node of a file.
///
/// # Context
///
/// All methods: any context. Dropping may sleep.
pub(crate) struct FileNode {
    node: NonNull<kernel::bindings::kernfs_node>,
}

// SAFETY: Any thread may use a node and drop a reference to it.
unsafe impl Send for FileNode {}
// SAFETY: `notify`, the only method, may be called by any number of threads.
unsafe impl Sync for FileNode {}

impl FileNode {
    /// Creates an object that owns a reference.
    ///
    /// # Safety
    ///
    /// The caller must own a reference to `node`, the node of a file, which it hands over.
    pub(in crate::abstractions) unsafe fn from_raw(
        node: NonNull<kernel::bindings::kernfs_node>,
    ) -> Self {
        // INVARIANT: By the safety requirements.
        Self { node }
    }

    /// Wakes all tasks that wait for the file with `POLLPRI`, and those that have read it before
    /// and wait next.
    pub(crate) fn notify(&self) {
        // SAFETY: By the type invariants the node is valid, and that of a file. The function may be
        // called in any context, also for a file that was removed.
        unsafe { bindings::zram_rs_file_notify(self.node.as_ptr()) };
    }
}

impl Drop for FileNode {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the object owns a reference to the node.
        unsafe { bindings::zram_rs_file_put(self.node.as_ptr()) };
    }
}

/// Calls [`Show::show`] for sysfs; returns the length of the contents, or a negative error number.
///
/// # Safety
///
/// `buf` must be valid for writes of `PAGE_SIZE` bytes.
pub(in crate::abstractions) unsafe fn show<T, A: Show<T>>(target: &T, buf: *mut c_char) -> isize {
    // sysfs warns of contents that fill the page, so the last byte stays NUL.
    const ROOM: usize = PAGE_SIZE - 1;
    // SAFETY: By the safety requirements the buffer is valid for writes. sysfs has zeroed it, and
    // has no other users of it during the call.
    let buf = unsafe { slice::from_raw_parts_mut(buf.cast::<u8>(), ROOM) };
    let mut out = Formatter::new(buf);
    match A::show(target, &mut out) {
        Ok(()) => out.bytes_written().min(ROOM) as isize,
        Err(error) => error.to_errno() as isize,
    }
}

/// Calls [`Store::store`] for sysfs; returns `count`, or a negative error number.
///
/// # Safety
///
/// `buf` must be a C string.
pub(in crate::abstractions) unsafe fn store<T, A: Store<T>>(
    target: &T,
    buf: *const c_char,
    count: usize,
) -> isize {
    // SAFETY: By the safety requirements `buf` is a C string; sysfs keeps it during the call.
    let input = unsafe { CStr::from_char_ptr(buf) };
    match A::store(target, input) {
        Ok(()) => count as isize,
        Err(error) => error.to_errno() as isize,
    }
}

/// Creates the `struct attribute` of a file called `name`, with access mode `mode`.
pub(in crate::abstractions) const fn attribute(
    name: &'static CStr,
    mode: u16,
) -> kernel::bindings::attribute {
    let mut attribute: kernel::bindings::attribute = pin_init::zeroed();
    attribute.name = kernel::str::as_char_ptr_in_const_context(name);
    attribute.mode = mode;
    attribute
}
