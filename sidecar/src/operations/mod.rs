//! What the engine does by itself beside delivering: working at replays, keeping how endpoints stand.

pub mod replays;
pub mod standing;
