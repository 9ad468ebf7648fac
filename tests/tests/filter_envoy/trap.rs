//! The filter's VM dies: nothing is let in, the next load serves, and the rate limits have not forgotten.
//!
//! No input is known to kill the filter, so a copy of it is broken on purpose: one callback traps as soon as it is
//! called. Everything else in it is what ships.

use std::ops::Range;
use std::path::PathBuf;
use std::{env, fs};

use hookgate_e2e::{Client, Framing, Request, artefacts, wait_until};
use wasmparser::{Parser, Payload, TypeRef};

use crate::door::{BOUND, Door, Mode, genuine, signature};

const BODY: &[u8] = b"{}";

/// The callback that traps, so that a request with trailers is deadly.
const DEADLY: &str = "proxy_on_request_trailers";

#[tokio::test(flavor = "multi_thread")]
async fn after_a_trap_it_refuses_until_it_is_loaded_again_and_remembers_its_limits() {
    for mode in Mode::BOTH {
        let (shipped, broken) = (artefacts::filter_wasm().display().to_string(), broken_filter(mode));
        let door = Door::start_with(mode, |setup| {
            setup
                .edit(&shipped, &broken.display().to_string())
                .edit("\"window_s\": 10", "\"window_s\": 86400")
        })
        .await;
        let status = async |request: &Request| Client::call(door.envoy.address(), request).await.status;
        for _ in 0..20 {
            assert_eq!(status(&genuine("demo", BODY)).await, 200, "{mode:?}");
        }
        assert_eq!(status(&genuine("demo", BODY)).await, 429, "{mode:?}");
        let served = door.upstream.take().len();
        assert_eq!(served, 20, "{mode:?}");

        let deadly = genuine("seed", BODY).framing(Framing::Trailers(vec![("x-after", "1")]));
        assert_eq!(status(&deadly).await, 503, "{mode:?}: the VM died");
        let forged = Request::post("/in/seed").headers(signature("seed", b"x")).body(BODY);
        wait_until("a filter that judges again", BOUND, || async {
            match status(&forged).await {
                401 => Ok(()),
                503 => Err("still refusing everything"),
                other => panic!("{mode:?}: {other} to a forged message"),
            }
        })
        .await;
        assert_eq!(status(&genuine("demo", BODY)).await, 429, "{mode:?}: the limit is remembered");
        assert_eq!(status(&genuine("seed", BODY)).await, 200, "{mode:?}: the next one is served");
        let whole = door.upstream.seen().iter().filter(|seen| seen.message.complete).count();
        assert_eq!(whole, 1, "{mode:?}: only the one that was judged");
        let reloads = door.envoy.stats("vm_reload_success").await;
        assert_eq!(reloads.values().sum::<u64>(), 1, "{mode:?}: {reloads:?}");
    }
}

/// A copy of the shipped filter in which [`DEADLY`] is `unreachable`.
fn broken_filter(mode: Mode) -> PathBuf {
    let mut wasm = fs::read(artefacts::filter_wasm()).expect("the built filter");
    let body = code_of(&wasm, DEADLY);
    let body = &mut wasm[body];
    body.fill(NOP);
    body[..2].copy_from_slice(&[NO_LOCALS, UNREACHABLE]);
    *body.last_mut().expect("a body is not empty") = END;
    let path = env::current_exe().expect("the test's own path").with_extension(format!("{mode:?}.wasm"));
    fs::write(&path, wasm).expect("a place beside the test");
    path
}

const NO_LOCALS: u8 = 0;
const UNREACHABLE: u8 = 0;
const NOP: u8 = 1;
const END: u8 = 0x0b;

/// Where the body of an exported function lies.
#[expect(clippy::wildcard_enum_match_arm, reason = "three sections of many matter here")]
fn code_of(wasm: &[u8], export: &str) -> Range<usize> {
    let (mut imported, mut index, mut bodies) = (0, None, Vec::new());
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.expect("wasm") {
            Payload::ImportSection(imports) => {
                let functions = imports.into_imports().map(|import| import.expect("an import").ty);
                imported = functions.filter(|kind| matches!(kind, TypeRef::Func(_))).count();
            }
            Payload::ExportSection(exports) => {
                let mut exports = exports.into_iter().map(|export| export.expect("an export"));
                index = exports.find(|known| known.name == export).map(|known| known.index as usize);
            }
            Payload::CodeSectionEntry(body) => bodies.push(body.range()),
            _ => {}
        }
    }
    let body: &Range<u64> = &bodies[index.expect("the export") - imported];
    let at = |offset: u64| usize::try_from(offset).expect("an offset in a file that was read");
    at(body.start)..at(body.end)
}
