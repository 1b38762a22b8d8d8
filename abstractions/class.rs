// SPDX-License-Identifier: GPL-2.0

//! Device classes with attributes of their own: directories in `/sys/class/`.
//!
//! C header: [`include/linux/device/class.h`](srctree/include/linux/device/class.h)

use super::sysfs::{
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

/// A file in the directory of a class.
#[repr(transparent)]
pub(crate) struct ClassAttribute<T>(bindings::class_attribute, PhantomData<fn(T)>);

// SAFETY: Never written, and the pointers in it are to statics.
unsafe impl<T> Sync for ClassAttribute<T> {}

// SAFETY: That is the first field of a `struct class_attribute`.
unsafe impl<T: 'static> RawAttribute for ClassAttribute<T> {}

const _: () = assert!(offset_of!(bindings::class_attribute, attr) == 0);

impl<T: Send + Sync + 'static> ClassAttribute<T> {
    /// A file that can only be read.
    pub(crate) const fn read_only<A: Show<T>>(name: &'static CStr, mode: u16) -> Self {
        let mut attribute: bindings::class_attribute = pin_init::zeroed();
        attribute.attr = sysfs::attribute(name, mode);
        attribute.show = Some(show::<T, A>);
        Self(attribute, PhantomData)
    }

    /// A file that can only be written.
    pub(crate) const fn write_only<A: Store<T>>(name: &'static CStr, mode: u16) -> Self {
        let mut attribute: bindings::class_attribute = pin_init::zeroed();
        attribute.attr = sysfs::attribute(name, mode);
        attribute.store = Some(store::<T, A>);
        Self(attribute, PhantomData)
    }
}

/// # Safety
///
/// `class` must be the class of a [`Class<T>`], and `buf` have `PAGE_SIZE` bytes.
unsafe extern "C" fn show<T: Send + Sync + 'static, A: Show<T>>(
    class: *const bindings::class,
    _attribute: *const bindings::class_attribute,
    buf: *mut c_char,
) -> isize {
    // SAFETY: By the safety requirements. sysfs keeps the class registered during the call.
    unsafe { sysfs::show::<T, A>(Class::data(class), buf) }
}

/// # Safety
///
/// `class` must be the class of a [`Class<T>`], and `buf` be a C string.
unsafe extern "C" fn store<T: Send + Sync + 'static, A: Store<T>>(
    class: *const bindings::class,
    _attribute: *const bindings::class_attribute,
    buf: *const c_char,
    count: usize,
) -> isize {
    // SAFETY: By the safety requirements. sysfs keeps the class registered during the call.
    unsafe { sysfs::store::<T, A>(Class::data(class), buf, count) }
}

/// A registered class, which is unregistered when dropped, and its data after that.
///
/// # Invariants
///
/// `class` is registered.
#[pin_data(PinnedDrop)]
pub(crate) struct Class<T: Send + Sync + 'static> {
    #[pin]
    class: Opaque<bindings::class>,
    #[pin]
    data: T,
}

// SAFETY: The class belongs to the driver core, which protects it itself.
unsafe impl<T: Send + Sync + 'static> Send for Class<T> {}
// SAFETY: The same.
unsafe impl<T: Send + Sync + 'static> Sync for Class<T> {}

impl<T: Send + Sync + 'static> Class<T> {
    /// Registers a class. Fails with `EEXIST` if there is one of this name, with `ENOMEM`, and with
    /// what `data` fails with. May sleep.
    ///
    /// Its files can be used before this returns.
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
                // SAFETY: The class is pinned, `data` next to it is ready, and all that it refers
                // to is static.
                to_result(unsafe { bindings::class_register(slot) })
            }),
        })
    }

    /// # Safety
    ///
    /// `class` must be the class of a `Class<T>` that lives for `'a`.
    unsafe fn data<'a>(class: *const bindings::class) -> &'a T {
        // SAFETY: By the safety requirements.
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
        // SAFETY: By the type invariants. This waits for those who use the files.
        unsafe { bindings::class_unregister(self.class.get()) };
    }
}
