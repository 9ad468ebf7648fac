//! The C ABI of proxy-wasm 0.2.1: the only unsafe code of the filter. Answers are a status and owned bytes.
#![expect(unsafe_code, reason = "proxy-wasm is a C ABI")]

mod exports;
mod import;
mod memory;

use std::ptr::null_mut;

use crate::host::status::OK;

/// Map and buffer numbers of the ABI that the filter uses.
pub(crate) mod kind {
    pub(crate) const REQUEST_HEADERS: u32 = 0;
    pub(crate) const RESPONSE_HEADERS: u32 = 2;
    pub(crate) const REQUEST_BODY: u32 = 0;
    pub(crate) const PLUGIN_CONFIGURATION: u32 = 7;
    pub(crate) const COUNTER: u32 = 0;
    /// "Not a gRPC status" in a local reply.
    pub(crate) const NO_GRPC: i32 = -1;
}

/// Where the host writes a pointer and a length.
struct Out {
    data: *mut u8,
    len: usize,
}

impl Out {
    const fn new() -> Self {
        Self { data: null_mut(), len: 0 }
    }

    /// The bytes that a call with `status` wrote. A null pointer is "empty", never an error.
    fn take(self, status: u32) -> (u32, Vec<u8>) {
        if status != OK {
            return (status, Vec::new());
        }
        // SAFETY: every function here passes an `Out` to one call, which takes the memory from our own allocator
        // (`memory`), exactly `len` bytes of it, and hands it over once.
        (status, unsafe { memory::adopt(self.data, self.len) })
    }
}

pub(crate) fn log(level: u32, line: &[u8]) -> u32 {
    // SAFETY: the host reads `line` during the call and keeps nothing.
    unsafe { import::proxy_log(level, line.as_ptr(), line.len()) }
}

pub(crate) fn now_ns() -> (u32, u64) {
    let mut now = 0;
    // SAFETY: the host writes one u64 during the call.
    let status = unsafe { import::proxy_get_current_time_nanoseconds(&raw mut now) };
    (status, now)
}

pub(crate) fn random(bytes: &mut [u8; 16]) -> u32 {
    // SAFETY: the host fills exactly the bytes it was given.
    unsafe { import::random_get(bytes.as_mut_ptr(), bytes.len()) }
}

pub(crate) fn buffer(kind: u32, start: usize, max: usize) -> (u32, Vec<u8>) {
    let mut out = Out::new();
    // SAFETY: the host writes the two out-values during the call.
    let status =
        unsafe { import::proxy_get_buffer_bytes(kind, start, max, &raw mut out.data, &raw mut out.len) };
    out.take(status)
}

pub(crate) fn header_pairs(map: u32) -> (u32, Vec<u8>) {
    let mut out = Out::new();
    // SAFETY: the host writes the two out-values during the call.
    let status = unsafe { import::proxy_get_header_map_pairs(map, &raw mut out.data, &raw mut out.len) };
    out.take(status)
}

pub(crate) fn replace_header(map: u32, name: &[u8], value: &[u8]) -> u32 {
    // SAFETY: the host reads both during the call and keeps nothing.
    unsafe {
        import::proxy_replace_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    }
}

pub(crate) fn remove_header(map: u32, name: &[u8]) -> u32 {
    // SAFETY: the host reads `name` during the call and keeps nothing.
    unsafe { import::proxy_remove_header_map_value(map, name.as_ptr(), name.len()) }
}

pub(crate) fn send_local_response(status: u32, details: &[u8], body: &[u8], pairs: &[u8]) -> u32 {
    // SAFETY: the host reads all of them during the call and keeps copies.
    unsafe {
        import::proxy_send_local_response(
            status,
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            pairs.as_ptr(),
            pairs.len(),
            kind::NO_GRPC,
        )
    }
}

pub(crate) fn property(path: &[u8]) -> (u32, Vec<u8>) {
    let mut out = Out::new();
    // SAFETY: the host reads `path` and writes the two out-values during the call.
    let status =
        unsafe { import::proxy_get_property(path.as_ptr(), path.len(), &raw mut out.data, &raw mut out.len) };
    out.take(status)
}

pub(crate) fn shared(key: &[u8]) -> (u32, Vec<u8>, u32) {
    let (mut out, mut cas) = (Out::new(), 0);
    // SAFETY: the host reads `key` and writes the three out-values during the call.
    let status = unsafe {
        import::proxy_get_shared_data(
            key.as_ptr(),
            key.len(),
            &raw mut out.data,
            &raw mut out.len,
            &raw mut cas,
        )
    };
    let (status, value) = out.take(status);
    (status, value, cas)
}

pub(crate) fn set_shared(key: &[u8], value: &[u8], cas: u32) -> u32 {
    // SAFETY: the host reads both during the call and keeps copies.
    unsafe { import::proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) }
}

pub(crate) fn define_metric(kind: u32, name: &[u8]) -> (u32, u32) {
    let mut id = 0;
    // SAFETY: the host reads `name` and writes one u32 during the call.
    let status = unsafe { import::proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut id) };
    (status, id)
}

pub(crate) fn increment_metric(id: u32, by: i64) -> u32 {
    // SAFETY: plain numbers.
    unsafe { import::proxy_increment_metric(id, by) }
}
