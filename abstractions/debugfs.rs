// SPDX-License-Identifier: GPL-2.0

//! debugfs files that prevent the module from being unloaded while they are open.
//!
//! The files of [`kernel::debugfs`] have no owner. When such a file is closed after the module was
//! unloaded, debugfs accesses the file's operations, which were freed with the module.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h)
#![cfg_attr(not(CONFIG_DEBUG_FS), allow(dead_code))]

#[cfg(zram_rs_compat)]
use crate::abstractions::compat::kernel;
use core::marker::PhantomData;
use kernel::{
    bindings,
    fs::file::Offset,
    module::ModuleMetadata,
    prelude::*,
    sync::Arc,
    uaccess::UserSliceWriter, //
};

/// The data of a readable file.
pub(crate) trait ReadFile: Send + Sync + 'static {
    /// The module that an open file prevents from being unloaded.
    type Module: ModuleMetadata;

    /// Writes the contents at `offset` to user space, advances `offset`, and returns the number of
    /// bytes written.
    ///
    /// # Context
    ///
    /// May sleep. debugfs holds no lock, but [`File`] waits for this call when it is dropped.
    ///
    /// # Errors
    ///
    /// Any error, which the reader gets.
    fn read(&self, writer: &mut UserSliceWriter, offset: &mut Offset) -> Result<usize>;
}

/// A debugfs directory, which is removed when dropped.
///
/// If debugfs fails to create the directory, the object stands for no directory, and the files and
/// directories in it do not exist either.
///
/// # Invariants
///
/// `dentry` is a debugfs directory that belongs to this object, null, or an error pointer. debugfs
/// accepts all of these as a directory.
///
/// # Context
///
/// All methods, and dropping, may sleep.
pub(crate) struct Dir {
    dentry: *mut bindings::dentry,
    // Keeps the parent: the removal of a directory also removes all that it contains.
    _parent: Option<Arc<Dir>>,
}

// SAFETY: debugfs does its own locking, and any thread can remove a directory.
unsafe impl Send for Dir {}
// SAFETY: debugfs does its own locking.
unsafe impl Sync for Dir {}

impl Dir {
    /// Creates a directory in the root of debugfs.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory for the object.
    pub(crate) fn new(name: &CStr) -> Result<Arc<Self>> {
        Self::make(name, None)
    }

    /// Creates a directory in this directory.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory for the object.
    pub(crate) fn subdir(self: &Arc<Self>, name: &CStr) -> Result<Arc<Self>> {
        Self::make(name, Some(self.clone()))
    }

    #[cfg(CONFIG_DEBUG_FS)]
    fn make(name: &CStr, parent: Option<Arc<Self>>) -> Result<Arc<Self>> {
        let above = parent
            .as_ref()
            .map_or(core::ptr::null_mut(), |parent| parent.dentry);
        // SAFETY: `name` is a C string, which debugfs copies; `above` is null, or by the type
        // invariants accepted as a directory, which `parent` keeps.
        let dentry = unsafe { bindings::debugfs_create_dir(name.as_char_ptr(), above) };
        // INVARIANT: `debugfs_create_dir` returns a new directory or an error pointer.
        let dir = Self {
            dentry,
            _parent: parent,
        };
        Ok(Arc::new(dir, GFP_KERNEL)?)
    }

    #[cfg(not(CONFIG_DEBUG_FS))]
    fn make(_name: &CStr, parent: Option<Arc<Self>>) -> Result<Arc<Self>> {
        // INVARIANT: `dentry` is null.
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
        // SAFETY: By the type invariants the directory belongs to this object, or `dentry` is null
        // or an error pointer, which debugfs ignores. The directory is empty: files and
        // directories in it hold a reference to this object.
        unsafe {
            bindings::debugfs_remove(self.dentry)
        };
    }
}

/// A debugfs file that root can read, which is removed when dropped.
///
/// If debugfs fails to create the file, the object stands for no file.
///
/// # Invariants
///
/// `dentry` is a debugfs file that belongs to this object and whose private data is `_data`, null,
/// or an error pointer.
///
/// # Context
///
/// [`new`](Self::new) may sleep. Dropping may sleep: it waits for calls of [`ReadFile::read`].
///
/// # Examples
///
/// ```no_run
/// use crate::abstractions::debugfs::{
///     Dir,
///     File,
///     ReadFile, //
/// };
/// # use kernel::{
/// #     fs::file::Offset,
/// #     str::CString,
/// #     sync::atomic::{Atomic, Relaxed},
/// #     uaccess::UserSliceWriter,
/// # };
///
/// struct Counter(Atomic<u64>);
///
/// impl ReadFile for Counter {
///     type Module = crate::LocalModule;
///
///     fn read(&self, writer: &mut UserSliceWriter, offset: &mut Offset) -> Result<usize> {
///         let text = CString::try_from_fmt(fmt!("{}\n", self.0.load(Relaxed)))?;
///         writer.write_slice_file(text.to_bytes(), offset)
///     }
/// }
///
/// // Creates /sys/kernel/debug/my_driver/counter.
/// let file = File::new(Dir::new(c"my_driver")?, c"counter", Counter(Atomic::new(0)))?;
/// # Ok::<(), Error>(())
/// ```
pub(crate) struct File<T: ReadFile> {
    dentry: *mut bindings::dentry,
    // Dropped after the file is removed.
    _data: Arc<T>,
    _dir: Arc<Dir>,
}

// SAFETY: debugfs does its own locking, any thread can remove a file, and `T` is `Send` and `Sync`.
unsafe impl<T: ReadFile> Send for File<T> {}
// SAFETY: debugfs does its own locking, and `T` is `Send` and `Sync`.
unsafe impl<T: ReadFile> Sync for File<T> {}

impl<T: ReadFile> File<T> {
    /// Creates a file in a directory.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: there is no memory for the data.
    pub(crate) fn new(dir: Arc<Dir>, name: &CStr, data: T) -> Result<Self> {
        let data = Arc::new(data, GFP_KERNEL)?;
        let dentry = Operations::<T>::create(&dir, name, &data);
        // INVARIANT: `create` returns a new file with this data, null, or an error pointer.
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
        // SAFETY: By the type invariants the file belongs to this object, or `dentry` is null or
        // an error pointer, which debugfs ignores. `debugfs_remove` waits for running calls of
        // `read` and prevents further ones.
        unsafe {
            bindings::debugfs_remove(self.dentry)
        };
    }
}

/// The C operations of a [`File`].
struct Operations<T>(PhantomData<T>);

#[cfg(not(CONFIG_DEBUG_FS))]
impl<T: ReadFile> Operations<T> {
    fn create(_dir: &Dir, _name: &CStr, _data: &T) -> *mut bindings::dentry {
        // Without debugfs there are no readers. This use avoids a warning that `read` is dead code.
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
        // SAFETY: `name` is a C string, which debugfs copies; by the invariants of `Dir` debugfs
        // accepts `dir.dentry` as a directory. `TABLE` is static. Its operations use `data` only
        // until the file is removed, and `File` keeps `data` until then.
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

    /// Calls [`ReadFile::read`].
    ///
    /// # Safety
    ///
    /// `file` must be an open file of a [`File<T>`] that is not removed during the call. `offset`
    /// must be valid, and used by no other thread.
    unsafe extern "C" fn read(
        file: *mut bindings::file,
        buffer: *mut c_char,
        len: usize,
        offset: *mut Offset,
    ) -> isize {
        // SAFETY: `simple_open` has set `private_data` to the private data of the file, which by
        // the invariants of `File` is a `T` that lives until the file is removed.
        let data = unsafe { &*(*file).private_data.cast::<T>() };
        // SAFETY: By the safety requirements `offset` is valid and not used by another thread.
        let offset = unsafe { &mut *offset };
        let buffer = kernel::uaccess::UserPtr::from_ptr(buffer.cast());
        let mut writer = kernel::uaccess::UserSlice::new(buffer, len).writer();
        match data.read(&mut writer, offset) {
            // `written` is at most `len`, which the VFS limits to less than `isize::MAX`.
            Ok(written) => written as isize,
            Err(error) => error.to_errno() as isize,
        }
    }
}
