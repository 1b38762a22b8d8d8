// SPDX-License-Identifier: GPL-2.0

//! Device classes with attributes: directories in `/sys/class/`.
//!
//! C header: [`include/linux/device/class.h`](srctree/include/linux/device/class.h)

use crate::abstractions::device::sysfs::{
    self,
    AttributeGroups,
    RawAttribute,
    Show,
    Store, //
};
use core::{
    marker::PhantomData,
    mem::offset_of, //
};
use kernel::{
    bindings,
    container_of,
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// A sysfs file in the directory of a class.
#[repr(transparent)]
pub(crate) struct ClassAttribute<T>(bindings::class_attribute, PhantomData<fn(T)>);

// SAFETY: The attribute is never written, and its pointers are to statics.
unsafe impl<T> Sync for ClassAttribute<T> {}

// SAFETY: `attr`, the first field of a `struct class_attribute`, is a `struct attribute`, and this
// type is transparent.
unsafe impl<T: 'static> RawAttribute for ClassAttribute<T> {}

const _: () = assert!(offset_of!(bindings::class_attribute, attr) == 0);

impl<T: Send + Sync + 'static> ClassAttribute<T> {
    /// Creates a file that can only be read.
    pub(crate) const fn read_only<A: Show<T>>(name: &'static CStr, mode: u16) -> Self {
        let mut attribute: bindings::class_attribute = pin_init::zeroed();
        attribute.attr = sysfs::attribute(name, mode);
        attribute.show = Some(show::<T, A>);
        Self(attribute, PhantomData)
    }

    /// Creates a file that can only be written.
    pub(crate) const fn write_only<A: Store<T>>(name: &'static CStr, mode: u16) -> Self {
        let mut attribute: bindings::class_attribute = pin_init::zeroed();
        attribute.attr = sysfs::attribute(name, mode);
        attribute.store = Some(store::<T, A>);
        Self(attribute, PhantomData)
    }
}

/// Implements `class_attribute::show`.
///
/// # Safety
///
/// Must be called by sysfs for the class of a [`Class<T>`], with a `buf` of `PAGE_SIZE` bytes.
unsafe extern "C" fn show<T: Send + Sync + 'static, A: Show<T>>(
    class: *const bindings::class,
    _attribute: *const bindings::class_attribute,
    buf: *mut c_char,
) -> isize {
    // SAFETY: By the safety requirements `buf` has `PAGE_SIZE` bytes and `class` is that of a
    // `Class<T>`, whose destructor waits for accesses to its files.
    unsafe { sysfs::show::<T, A>(Class::data(class), buf) }
}

/// Implements `class_attribute::store`.
///
/// # Safety
///
/// Must be called by sysfs for the class of a [`Class<T>`], with a C string as `buf`.
unsafe extern "C" fn store<T: Send + Sync + 'static, A: Store<T>>(
    class: *const bindings::class,
    _attribute: *const bindings::class_attribute,
    buf: *const c_char,
    count: usize,
) -> isize {
    // SAFETY: By the safety requirements `buf` is a C string and `class` is that of a `Class<T>`,
    // whose destructor waits for accesses to its files.
    unsafe { sysfs::store::<T, A>(Class::data(class), buf, count) }
}

/// A registered class and its data; dropping it unregisters the class, then drops the data.
///
/// # Invariants
///
/// `class` is registered.
///
/// # Context
///
/// Creating and dropping it: may sleep.
///
/// # Examples
///
/// The file `/sys/class/greeter/greeting`:
///
/// ```no_run
/// use crate::abstractions::device::{
///     class::{
///         Class,
///         ClassAttribute, //
///     },
///     sysfs::{
///         AttributeGroups,
///         AttributeList,
///         Show, //
///     },
/// };
/// # use core::fmt::Write;
/// # use kernel::str::Formatter;
///
/// struct Greeter {
///     text: &'static str,
/// }
///
/// struct Greeting;
///
/// impl Show<Greeter> for Greeting {
///     fn show(greeter: &Greeter, out: &mut Formatter<'_>) -> Result {
///         writeln!(out, "{}", greeter.text)?;
///         Ok(())
///     }
/// }
///
/// struct Files;
///
/// impl AttributeList for Files {
///     type Attribute = ClassAttribute<Greeter>;
///
///     const ATTRIBUTES: &'static [Self::Attribute] =
///         &[ClassAttribute::read_only::<Greeting>(c"greeting", 0o444)];
/// }
///
/// let attributes = AttributeGroups::new::<Files>();
/// let class = KBox::try_pin_init(
///     Class::new(c"greeter", attributes, Ok(Greeter { text: "hello" })),
///     GFP_KERNEL,
/// )?;
/// # Ok::<(), Error>(())
/// ```
#[pin_data(PinnedDrop)]
pub(crate) struct Class<T: Send + Sync + 'static> {
    #[pin]
    class: Opaque<bindings::class>,
    #[pin]
    data: T,
}

// SAFETY: Any thread may unregister a class, and `T` is `Send`.
unsafe impl<T: Send + Sync + 'static> Send for Class<T> {}
// SAFETY: A shared reference gives access to no more than `T`, which is `Sync`.
unsafe impl<T: Send + Sync + 'static> Sync for Class<T> {}

impl<T: Send + Sync + 'static> Class<T> {
    /// Registers a class called `name`.
    ///
    /// Its files can be in use before this returns.
    ///
    /// # Errors
    ///
    /// - Those of initialising `data`.
    /// - `EEXIST`: the name is in use.
    /// - `ENOMEM`: out of memory.
    pub(crate) fn new(
        name: &'static CStr,
        attributes: AttributeGroups<ClassAttribute<T>>,
        data: impl PinInit<T, Error>,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            data <- data,
            class <- Opaque::try_ffi_init(move |slot: *mut bindings::class| {
                let mut class: bindings::class = pin_init::zeroed();
                class.name = name.as_char_ptr();
                class.class_groups = attributes.as_ptr();
                // SAFETY: The slot is valid for writes.
                unsafe { slot.write(class) };
                // SAFETY: The class is pinned, its `data` is initialised, and its name and
                // attributes are static.
                to_result(unsafe { bindings::class_register(slot) })
            }),
        })
    }

    /// Returns the data of a class.
    ///
    /// # Safety
    ///
    /// `class` must be the class of a `Class<T>` that lives for `'a`.
    unsafe fn data<'a>(class: *const bindings::class) -> &'a T {
        // SAFETY: By the safety requirements `class` is part of a `Class<T>` that lives for `'a`.
        unsafe { &(*container_of!(Opaque::cast_from(class).cast_mut(), Self, class)).data }
    }
}

impl<T: Send + Sync + 'static> core::ops::Deref for Class<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

#[pinned_drop]
impl<T: Send + Sync + 'static> PinnedDrop for Class<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants the class is registered. The call waits for accesses to
        // its files.
        unsafe { bindings::class_unregister(self.class.get()) };
    }
}
