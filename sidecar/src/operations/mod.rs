//! What the engine does by itself beside delivering: working at replays, keeping how endpoints stand, telling
//! operators of both.

pub mod notices;
pub mod replays;
pub mod standing;
mod watch;

pub use watch::Watch;
