//! The whole loop in simulated time: clients that send again as soon as they are answered, a door, a queue, and workers
//! of a fixed speed.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;

use super::slots::Ticket;
use super::traffic::Trip;
use super::{State, good};
use crate::model::Endpoint;

const STEP: Duration = Duration::from_micros(250);

/// Clients, and how fast the two sides are.
#[derive(Debug, Clone, Copy)]
struct World {
    clients: u32,
    /// From the door to the answer.
    accepting: Duration,
    /// Deliveries of one event.
    fan_out: u32,
    /// Deliveries a second.
    speed: f64,
    /// How long the subscriber takes.
    answering: Duration,
}

/// What came of it, in its last second.
#[derive(Debug)]
struct Came {
    waits: Vec<Duration>,
    delivered: u32,
    held: u32,
}

/// What a client does.
#[derive(Debug, Clone, Copy)]
enum Client {
    Ready(Duration),
    Waits(Ticket),
    Accepted(Duration),
}

impl World {
    fn run(self, seconds: u64) -> Came {
        let (endpoint, mut state) = (good::endpoint("a"), State::new(10));
        let endpoint = Endpoint { max_in_flight: std::num::NonZeroU16::MAX, ..endpoint };
        let end = Duration::from_secs(seconds);
        let mut clients = vec![Client::Ready(Duration::ZERO); self.clients as usize];
        let (mut queue, mut trips) = (VecDeque::<Duration>::new(), VecDeque::<(Duration, Trip)>::new());
        let (mut now, mut credit) = (Duration::ZERO, 0.0);
        let mut came = Came { waits: Vec::new(), delivered: 0, held: 0 };
        while now < end {
            now += STEP;
            let is_last_second = now + Duration::from_secs(1) > end;
            for client in &mut clients {
                if let Client::Ready(at) = *client
                    && at <= now
                {
                    let (ticket, wait) = state.enter(now);
                    came.held += u32::from(!wait.is_zero());
                    *client = Client::Waits(ticket);
                }
                if let Client::Waits(ticket) = *client
                    && state.slots.wait(ticket, now).is_zero()
                {
                    *client = Client::Accepted(now);
                }
                if let Client::Accepted(entered) = *client
                    && entered + self.accepting <= now
                {
                    state.traffic.accepted(self.fan_out, self.accepting);
                    queue.extend((0..self.fan_out).map(|_| entered));
                    *client = Client::Ready(now);
                }
            }
            while let Some((_, trip)) = trips.pop_front_if(|(over, _)| *over <= now) {
                state.traffic.end(&endpoint.id, trip, now);
            }
            credit = (credit + self.speed * STEP.as_secs_f64()).min(2.0 + self.speed * STEP.as_secs_f64());
            while credit >= 1.0
                && let Some(entered) = queue.pop_front()
            {
                credit -= 1.0;
                let trip = state.traffic.begin(&endpoint, Some(now - entered), now);
                trips.push_back((now + self.answering, trip));
                state.turn(now);
                if is_last_second {
                    came.waits.push(now - entered);
                    came.delivered += 1;
                }
            }
        }
        came.waits.sort_unstable();
        came
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn an_engine_that_is_outrun_has_a_short_queue_soon_and_is_kept_busy(
        clients in 16_u32..128,
        offered in 8_000.0_f64..20_000.0,
        share in 0.3_f64..0.8,
        fan_out in 1_u32..4,
    ) {
        let accepting = Duration::from_secs_f64(f64::from(clients) / offered);
        let speed = offered * f64::from(fan_out) * share;
        let world = World { clients, accepting, fan_out, speed, answering: Duration::from_millis(1) };
        let came = world.run(3);
        let p90 = came.waits[came.waits.len() * 9 / 10];
        prop_assert!(p90 <= Duration::from_millis(45), "p90 of the waits: {p90:?}");
        prop_assert!(f64::from(came.delivered) >= 0.85 * speed, "{} of {speed}", came.delivered);
    }

    #[test]
    fn a_slow_endpoint_never_slows_the_door(
        clients in 1_u32..64,
        speed in 50.0_f64..2_000.0,
        answering_ms in 101_u64..5_000,
    ) {
        let answering = Duration::from_millis(answering_ms);
        let world = World { clients, accepting: Duration::from_millis(1), fan_out: 1, speed, answering };
        prop_assert_eq!(world.run(2).held, 0);
    }
}
