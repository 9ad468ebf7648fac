//! Passes on what a pool sees: turns to the keeper of standings, deaths to operators.

use super::notices::Notices;
use super::standing::Turns;
use crate::clock::Millis;
use crate::delivery::{Death, Witness};
use crate::store::News;

/// The witness of a pool.
#[derive(Debug)]
pub struct Watch {
    /// To the keeper.
    pub turns: Turns,
    /// To operators, if anybody is to be told.
    pub notices: Option<Notices>,
}

impl Witness for Watch {
    fn turned(&self, news: &News, at: Millis) {
        self.turns.add(news, at);
    }

    fn died(&self, death: &Death, at: Millis) {
        if let Some(notices) = &self.notices {
            notices.died(death, at);
        }
    }
}
