//! Memory that passes from us to the host and back: allocated here, filled by the host, adopted as a `Vec` once.

use std::alloc::{Layout, alloc};
use std::ptr::null_mut;

/// Memory for the host, exactly `len` bytes; null for 0, and when there is none (the host's call then fails).
/// Runs inside our own host calls: it may touch nothing but the allocator.
pub(super) fn allocate(len: usize) -> *mut u8 {
    match Layout::array::<u8>(len) {
        // SAFETY: the layout is not of size zero.
        Ok(layout) if len > 0 => unsafe { alloc(layout) },
        Ok(_) | Err(_) => null_mut(),
    }
}

/// Takes memory back from the host.
///
/// # Safety
/// `data` is null, or came from [`allocate`] with exactly `len` and is owned by nobody else.
pub(super) unsafe fn adopt(data: *mut u8, len: usize) -> Vec<u8> {
    if data.is_null() {
        return Vec::new();
    }
    // SAFETY: by this function's contract; `allocate` used the layout that a `Vec<u8>` of this capacity has.
    unsafe { Vec::from_raw_parts(data, len, len) }
}
