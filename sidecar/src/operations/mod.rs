//! What the engine does by itself beside delivering: working at replays.

pub mod replays;
