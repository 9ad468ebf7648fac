//! The outer door: the policy inside a gateway, as a proxy-wasm filter (ABI 0.2.1) for Envoy, Istio and Kong.
//!
//! It reads facts from the host, asks [`hookgate_policy`], and applies the verdict. What a stream decides is in
//! `stream`, behind the [`host::Host`] seam and without a host call, so that it runs natively under a scripted
//! host. `abi` (only compiled for wasm) is the one place with unsafe code.
//!
//! Two rules hold everywhere: nothing here panics (a trap kills the VM with every stream of its worker), and what
//! cannot be judged is refused.

#[cfg(target_arch = "wasm32")]
mod abi;
pub mod contexts;
mod counters;
mod facts;
pub mod gate;
pub mod host;
mod kong;
mod meters;
mod refusal;
pub mod stream;
#[cfg(test)]
mod testing;
