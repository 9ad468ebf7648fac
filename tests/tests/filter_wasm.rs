//! The built filter as a host links it: what it imports, what it exports, which wasm it is written in.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a suite fails loudly"
)]

use std::collections::BTreeSet;
use std::fs;

use hookgate_e2e::artefacts;
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

/// The functions of WASI that Kong's host has (3.4 to 3.9); Envoy's has them as well. One more, and Kong serves
/// without the filter.
const WASI: [&str; 15] = [
    "args_get",
    "args_sizes_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_close",
    "fd_fdstat_get",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_read",
    "fd_seek",
    "fd_write",
    "path_open",
    "proc_exit",
    "random_get",
];

/// Every proxy-wasm function that the filter may use: each is there, and does what it says, on both hosts.
const PROXY: [&str; 12] = [
    "proxy_define_metric",
    "proxy_get_buffer_bytes",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_header_map_pairs",
    "proxy_get_property",
    "proxy_get_shared_data",
    "proxy_increment_metric",
    "proxy_log",
    "proxy_remove_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_send_local_response",
    "proxy_set_shared_data",
];

/// What a host looks for. An exported callback that does nothing costs an entry into the VM at every request.
const EXPORTS: [&str; 13] = [
    "_initialize",
    "memory",
    "proxy_abi_version_0_2_1",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_done",
    "proxy_on_memory_allocate",
    "proxy_on_request_body",
    "proxy_on_request_headers",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_vm_start",
];

fn wasm() -> Vec<u8> {
    fs::read(artefacts::filter_wasm()).expect("the built filter")
}

#[test]
fn it_imports_nothing_that_a_host_may_lack() {
    let wasm = wasm();
    for payload in Parser::new(0).parse_all(&wasm) {
        let Payload::ImportSection(imports) = payload.expect("wasm") else { continue };
        for import in imports.into_imports() {
            let import = import.expect("an import");
            let known: &[&str] = match import.module {
                "env" => &PROXY,
                "wasi_snapshot_preview1" => &WASI,
                other => panic!("an import from {other}"),
            };
            assert!(known.contains(&import.name), "{}.{}", import.module, import.name);
        }
    }
}

#[test]
fn it_exports_what_a_host_calls_and_no_more() {
    let wasm = wasm();
    let mut found = BTreeSet::new();
    for payload in Parser::new(0).parse_all(&wasm) {
        let Payload::ExportSection(exports) = payload.expect("wasm") else { continue };
        found.extend(exports.into_iter().map(|export| export.expect("an export").name));
    }
    assert_eq!(found, BTreeSet::from(EXPORTS));
}

#[test]
fn it_needs_no_wasm_that_the_oldest_engine_lacks() {
    let features = WasmFeatures::MUTABLE_GLOBAL
        | WasmFeatures::SATURATING_FLOAT_TO_INT
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::MULTI_VALUE
        | WasmFeatures::BULK_MEMORY
        | WasmFeatures::REFERENCE_TYPES
        | WasmFeatures::SIMD
        | WasmFeatures::FLOATS;
    Validator::new_with_features(features).validate_all(&wasm()).expect("wasm of 2022");
}
