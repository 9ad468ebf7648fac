//! A subscriber as they are: most attempts succeed, some fail, some are cut off, and some deliveries never succeed.

use std::time::Duration;

use hookgate_e2e::Answer;
use hookgate_e2e::receiver::Received;

use super::chance::Chance;

/// Attempts that a delivery gets before it is dead.
pub(crate) const ATTEMPTS: usize = 5;

/// Of a hundred deliveries so many are refused at every attempt, and become dead letters.
const DOOMED: u64 = 3;

/// Chooses the answer to the request of this number. Those that succeed take `pause`.
pub(crate) fn answer(chance: &Chance, number: usize, request: &Received, pause: Duration) -> Answer {
    let body = request.json();
    let key = body["data"]["key"].as_str().expect("the producer's key");
    if chance.of_thing((key, &request.target), 100) < DOOMED {
        return Answer::status(500);
    }
    match chance.of_thing(number, 100) {
        0..5 => Answer::status(500),
        5..8 => Answer::Reset,
        8 => Answer::Close,
        9 => Answer::status(200).after(pause * 10),
        _ => Answer::status(200).after(pause),
    }
}
