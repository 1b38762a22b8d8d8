// SPDX-License-Identifier: GPL-2.0

//! Files in debugfs that keep the module from being unloaded while they are open.
//!
//! Those of [`kernel::debugfs`] have no owner. When such a file is closed after the module is gone,
//! debugfs looks into the file's operations, which are gone with it.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h)
#![cfg_attr(not(CONFIG_DEBUG_FS), allow(dead_code))]

use core::marker::PhantomData;
use kernel::{
    bindings,
    fs::file::Offset,
    module::ModuleMetadata,
    prelude::*,
    sync::Arc,
    uaccess::UserSliceWriter, //
};

/// What a file that can be read shows.
pub(crate) trait ReadFile: Send + Sync + 'static {
    /// The module that an open file keeps from being unloaded.
    type Module: ModuleMetadata;

    /// Writes what is at `offset` to user space, moves `offset` on, and returns how many bytes were
    /// written. May sleep; no lock of debugfs is held.
    fn read(&self, writer: &mut UserSliceWriter, offset: &mut Offset) -> Result<usize>;
}

/// A directory, which is removed when dropped, or nothing where it could not be made.
///
/// # Invariants
///
/// `dentry` is a directory of debugfs that belongs to this object, null, or an error, all of which
/// debugfs takes for a directory.
pub(crate) struct Dir {
    dentry: *mut bindings::dentry,
    // Removing a directory removes all that is in it.
    _parent: Option<Arc<Dir>>,
}

// SAFETY: debugfs does its own locking.
unsafe impl Send for Dir {}
// SAFETY: The same.
unsafe impl Sync for Dir {}

impl Dir {
    /// Makes a directory called `name`, if that is possible. Fails with `ENOMEM`. May sleep.
    pub(crate) fn new(name: &CStr) -> Result<Arc<Self>> {
        Self::make(name, None)
    }

    /// Makes a directory in this one, if that is possible. Fails with `ENOMEM`. May sleep.
    pub(crate) fn subdir(self: &Arc<Self>, name: &CStr) -> Result<Arc<Self>> {
        Self::make(name, Some(self.clone()))
    }

    #[cfg(CONFIG_DEBUG_FS)]
    fn make(name: &CStr, parent: Option<Arc<Self>>) -> Result<Arc<Self>> {
        let above = parent
            .as_ref()
            .map_or(core::ptr::null_mut(), |parent| parent.dentry);
        // SAFETY: `name` is a C string, which is copied; the parent is one by the type invariants.
        let dentry = unsafe { bindings::debugfs_create_dir(name.as_char_ptr(), above) };
        // INVARIANT: Just made.
        let dir = Self {
            dentry,
            _parent: parent,
        };
        Ok(Arc::new(dir, GFP_KERNEL)?)
    }

    #[cfg(not(CONFIG_DEBUG_FS))]
    fn make(_name: &CStr, parent: Option<Arc<Self>>) -> Result<Arc<Self>> {
        // INVARIANT: A null pointer.
        let dir = Self {
            dentry: core::ptr::null_mut(),
            _parent: parent,
        };
        Ok(Arc::new(dir, GFP_KERNEL)?)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        #[cfg(CONFIG_DEBUG_FS)]
        // SAFETY: By the type invariants; null and errors are ignored. What is in the directory
        // keeps a reference to it, so it is empty.
        unsafe {
            bindings::debugfs_remove(self.dentry)
        };
    }
}

/// A file that root can read, which is removed when dropped. That may sleep: it waits for those who
/// are reading.
///
/// # Invariants
///
/// `dentry` is a file of debugfs that belongs to this object and whose private data is that of
/// `data`, null, or an error.
pub(crate) struct File<T: ReadFile> {
    dentry: *mut bindings::dentry,
    // Dropped after the file is removed.
    _data: Arc<T>,
    _dir: Arc<Dir>,
}

// SAFETY: debugfs does its own locking, and the data can be shared.
unsafe impl<T: ReadFile> Send for File<T> {}
// SAFETY: The same.
unsafe impl<T: ReadFile> Sync for File<T> {}

impl<T: ReadFile> File<T> {
    /// Makes a file in a directory, if that is possible. Fails with `ENOMEM`. May sleep.
    pub(crate) fn new(dir: Arc<Dir>, name: &CStr, data: T) -> Result<Self> {
        let data = Arc::new(data, GFP_KERNEL)?;
        let dentry = Operations::<T>::create(&dir, name, &data);
        // INVARIANT: Just made.
        Ok(Self {
            dentry,
            _data: data,
            _dir: dir,
        })
    }
}

impl<T: ReadFile> Drop for File<T> {
    fn drop(&mut self) {
        #[cfg(CONFIG_DEBUG_FS)]
        // SAFETY: By the type invariants; null and errors are ignored. This waits for those who are
        // in `read`, and nobody gets there afterwards.
        unsafe {
            bindings::debugfs_remove(self.dentry)
        };
    }
}

/// The operations of a [`File`] in the form that C wants.
struct Operations<T>(PhantomData<T>);

#[cfg(not(CONFIG_DEBUG_FS))]
impl<T: ReadFile> Operations<T> {
    fn create(_dir: &Dir, _name: &CStr, _data: &T) -> *mut bindings::dentry {
        // Nobody reads; what would be read is not to be unknown to the compiler all the same.
        let _ = T::read;
        core::ptr::null_mut()
    }
}

#[cfg(CONFIG_DEBUG_FS)]
impl<T: ReadFile> Operations<T> {
    const TABLE: &'static bindings::file_operations = &{
        let mut operations: bindings::file_operations = pin_init::zeroed();
        operations.owner = T::Module::THIS_MODULE.as_ptr();
        operations.open = Some(bindings::simple_open);
        operations.read = Some(Self::read);
        operations.llseek = Some(bindings::default_llseek);
        operations
    };

    fn create(dir: &Dir, name: &CStr, data: &T) -> *mut bindings::dentry {
        // SAFETY: `name` is a C string, which is copied; the directory is one by its type's
        // invariants. The operations are static, and call for `data` only until the file is
        // removed.
        unsafe {
            bindings::debugfs_create_file_full(
                name.as_char_ptr(),
                0o400,
                dir.dentry,
                core::ptr::from_ref(data).cast_mut().cast(),
                core::ptr::null(),
                Self::TABLE,
            )
        }
    }

    /// # Safety
    ///
    /// Called by debugfs for a file of this type, which is not removed during the call. `offset` is
    /// valid, and nobody else uses it.
    unsafe extern "C" fn read(
        file: *mut bindings::file,
        buffer: *mut c_char,
        len: usize,
        offset: *mut Offset,
    ) -> isize {
        // SAFETY: `simple_open` has put the private data of the file there, which by the type
        // invariants of `File` is a `T` that lives until the file is removed.
        let data = unsafe { &*(*file).private_data.cast::<T>() };
        // SAFETY: By the safety requirements.
        let offset = unsafe { &mut *offset };
        let buffer = kernel::uaccess::UserPtr::from_ptr(buffer.cast());
        let mut writer = kernel::uaccess::UserSlice::new(buffer, len).writer();
        match data.read(&mut writer, offset) {
            // Not more than `len`, which is less than half of the address space.
            Ok(written) => written as isize,
            Err(error) => error.to_errno() as isize,
        }
    }
}
