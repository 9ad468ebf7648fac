//! The two listeners as a client sees them: the real assembly on free ports, asked over real sockets.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a harness fails loudly")]

mod admin;
mod auth;
mod deliveries;
mod events;
mod harness;
mod listeners;
mod logs;
mod operations;
mod ordering;
mod problems;
mod replays;
mod sealing;
mod sources;
