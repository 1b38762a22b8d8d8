// SPDX-License-Identifier: GPL-2.0

//! sysfs attributes.
//!
//! An attribute is a type: it implements [`Show`], [`Store`], or both, for the thing whose
//! directory the file is in. All methods run in the context of the task that reads or writes the
//! file, and may sleep; the thing does not go away meanwhile.
//!
//! C header: [`include/linux/sysfs.h`](srctree/include/linux/sysfs.h)

use core::{
    marker::PhantomData,
    slice, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    str::Formatter, //
};

/// A file that can be read.
pub(crate) trait Show<T> {
    /// Writes the contents of the file into `out`, which has room for `PAGE_SIZE - 1` bytes.
    fn show(target: &T, out: &mut Formatter<'_>) -> Result;
}

/// A file that can be written.
pub(crate) trait Store<T> {
    /// Takes what was written to the file, up to the first NUL.
    fn store(target: &T, input: &CStr) -> Result;
}

/// How many attributes a group can have.
const MAX_ATTRIBUTES: usize = 31;

/// The kernel's form of a file, such as `struct device_attribute`.
///
/// # Safety
///
/// The type begins with a `struct attribute`.
pub(super) unsafe trait RawAttribute: 'static {}

/// The files of a directory.
pub(crate) trait AttributeList {
    /// The kernel's form of a file in directories of this kind.
    #[allow(
        private_bounds,
        reason = "only directories of this crate have such files"
    )]
    type Attribute: RawAttribute;

    /// The files.
    const ATTRIBUTES: &'static [Self::Attribute];
}

/// The files of a directory, in the form that the driver core takes.
///
/// # Invariants
///
/// `groups` is a list of attribute groups that lives forever and ends with a null pointer; their
/// attributes begin an `A`.
pub(crate) struct AttributeGroups<A> {
    groups: &'static [*const kernel::bindings::attribute_group; 2],
    _attributes: PhantomData<fn(A)>,
}

// SAFETY: Never written, and the pointers in it are to statics.
unsafe impl<A> Send for AttributeGroups<A> {}
// SAFETY: As for `Send`.
unsafe impl<A> Sync for AttributeGroups<A> {}

impl<A> AttributeGroups<A> {
    /// Makes a group of the files of `L`.
    #[allow(
        private_bounds,
        reason = "only directories of this crate have such files"
    )]
    pub(crate) const fn new<L: AttributeList<Attribute = A>>() -> Self
    where
        A: RawAttribute,
    {
        // INVARIANT: `L::ATTRIBUTES` are such attributes.
        Self {
            groups: Group::<L>::GROUPS,
            _attributes: PhantomData,
        }
    }

    /// Returns the groups. The list is not written to by C.
    pub(super) fn as_ptr(&self) -> *mut *const kernel::bindings::attribute_group {
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
            // By the requirements of `RawAttribute` each begins with one.
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

/// Calls a [`Show`] the way that sysfs expects: returns the length, or the negative error number.
///
/// # Safety
///
/// `buf` must be valid for writes of `PAGE_SIZE` bytes.
pub(super) unsafe fn show<T, A: Show<T>>(target: &T, buf: *mut c_char) -> isize {
    // The last byte is for a NUL: sysfs warns of contents that fill the page.
    const ROOM: usize = PAGE_SIZE - 1;
    // SAFETY: By the safety requirements; sysfs has zeroed the buffer, and nobody else uses it.
    let buf = unsafe { slice::from_raw_parts_mut(buf.cast::<u8>(), ROOM) };
    let mut out = Formatter::new(buf);
    match A::show(target, &mut out) {
        Ok(()) => out.bytes_written().min(ROOM) as isize,
        Err(error) => error.to_errno() as isize,
    }
}

/// Calls a [`Store`] the way that sysfs expects: returns the count, or the negative error number.
///
/// # Safety
///
/// `buf` must be a C string.
pub(super) unsafe fn store<T, A: Store<T>>(target: &T, buf: *const c_char, count: usize) -> isize {
    // SAFETY: By the safety requirements.
    let input = unsafe { CStr::from_char_ptr(buf) };
    match A::store(target, input) {
        Ok(()) => count as isize,
        Err(error) => error.to_errno() as isize,
    }
}

/// Makes the `struct attribute` of a file called `name` with access mode `mode`.
pub(super) const fn attribute(name: &'static CStr, mode: u16) -> kernel::bindings::attribute {
    let mut attribute: kernel::bindings::attribute = pin_init::zeroed();
    attribute.name = kernel::str::as_char_ptr_in_const_context(name);
    attribute.mode = mode;
    attribute
}
