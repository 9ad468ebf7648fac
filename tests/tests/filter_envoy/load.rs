//! Many workers and many clients at once, and the counters afterwards: exact, with their labels.

use hookgate_e2e::{Client, Request};
use tokio::task::JoinSet;

use crate::door::{Door, Mode, genuine, signature};

const CLIENTS: u64 = 16;
const ROUNDS: u64 = 25;

#[tokio::test(flavor = "multi_thread")]
async fn four_workers_judge_alike_and_count_every_request_once() {
    for mode in Mode::BOTH {
        let door = Door::start_with(mode, |setup| setup.concurrency(4)).await;
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let address = door.envoy.address();
            clients.spawn(async move {
                for round in 0..ROUNDS {
                    let body = round.to_string();
                    let good = genuine("seed", body.as_bytes());
                    let forged = Request::post("/in/seed").headers(signature("seed", b"x")).body(&body);
                    let unsigned = Request::post("/in/seed").body(&body);
                    for (request, status) in [(good, 200), (forged, 401), (unsigned, 401)] {
                        assert_eq!(Client::call(address, &request).await.status, status);
                    }
                }
            });
        }
        clients.join_all().await;
        let each = CLIENTS * ROUNDS;
        assert_eq!(door.counter("hookgate_accepted_total{}").await, each, "{mode:?}");
        for reason in ["bad_signature", "missing_header"] {
            let line = format!("hookgate_refused_total{{reason=\"{reason}\"}}");
            assert_eq!(door.counter(&line).await, each, "{mode:?}, {reason}");
        }
        let whole = door.upstream.seen().iter().filter(|seen| seen.message.complete).count() as u64;
        assert_eq!(whole, each, "{mode:?}");
        door.assert_never_trapped().await;
    }
}
