//! An account is exact when everything is explained, and only then.

use std::time::{Duration, Instant};

use hookgate_e2e::receiver::Answered;

use super::*;

/// So long after some beginning.
fn at(start: Instant, ms: u64) -> Instant {
    start + Duration::from_millis(ms)
}

fn arrival(start: Instant, ms: u64, status: u16) -> Arrival {
    let answered = Some(Answered { status: Some(status), at: at(start, ms + 5) });
    Arrival { at: at(start, ms), answered }
}

fn unanswered(start: Instant, ms: u64) -> Arrival {
    Arrival { at: at(start, ms), answered: None }
}

fn of(event: &str) -> Delivery {
    (event.to_owned(), "a".to_owned())
}

/// One event was delivered at its second attempt, one is dead after two; a fault from 100 to 200 ms hit neither.
fn good(start: Instant) -> Facts {
    let row = |event, end, attempts| Row { delivery: of(event), end, attempts };
    Facts {
        accepted: ["ok", "dead"].map(|event| (event.to_owned(), start)).into(),
        endpoints: vec!["a".to_owned()],
        rows: vec![row("ok", End::Delivered, 2), row("dead", End::Dead("exhausted".to_owned()), 2)],
        arrivals: [
            (of("ok"), vec![arrival(start, 10, 500), arrival(start, 20, 200)]),
            (of("dead"), vec![arrival(start, 10, 422), arrival(start, 300, 422)]),
        ]
        .into(),
        faults: vec![Fault { began: at(start, 100), over: at(start, 200) }],
        emptied: Vec::new(),
        taken_back: 0,
        places: 1,
        most_attempts: 2,
    }
}

type Change = fn(&mut Facts, Instant);

const EMPTIED: Change = |facts, start| {
    facts.emptied = vec![Fault { began: at(start, 0), over: at(start, 1) }];
    facts.rows.truncate(1);
};
const LOST_AFTERWARDS: Change = |facts, start| {
    EMPTIED(facts, start);
    facts.accepted.insert("dead".to_owned(), at(start, 2));
};
const AGAIN_OVER_THE_FAULT: Change = |facts, start| {
    let over = [arrival(start, 10, 500), unanswered(start, 99), arrival(start, 300, 200)];
    facts.arrivals.insert(of("ok"), over.into());
};
const AGAIN_WITHOUT_A_FAULT: Change = |facts, start| {
    facts.arrivals.insert(of("ok"), [1, 2, 3].map(|ms| arrival(start, ms, 200)).into());
};
const TWICE_AGAIN_OVER_ONE_FAULT: Change = |facts, start| {
    facts.rows[0].attempts = 1;
    let over = [unanswered(start, 98), unanswered(start, 99), arrival(start, 300, 200)];
    facts.arrivals.insert(of("ok"), over.into());
};
const REFUSED: Change =
    |facts, start| facts.arrivals.get_mut(&of("ok")).unwrap()[1] = arrival(start, 20, 500);

const TAKEN_BACK: Change = |facts, _| {
    facts.accepted.remove("ok");
    facts.rows.remove(0);
    facts.taken_back = 1;
};
const TAKEN_BACK_AND_SEEN_LATER: Change = |facts, start| {
    TAKEN_BACK(facts, start);
    facts.arrivals.get_mut(&of("ok")).unwrap()[1] = arrival(start, 300, 200);
};

#[test]
fn an_account_is_exact_only_when_everything_is_explained() {
    let table: [(&str, Change, bool); 15] = [
        ("all is accounted for", |_, _| {}, true),
        ("one is lost", |facts, _| facts.rows.truncate(1), false),
        ("one was emptied with the store", EMPTIED, true),
        ("one that came after that is lost all the same", LOST_AFTERWARDS, false),
        ("one is pending", |facts, _| facts.rows[1].end = End::Pending, false),
        ("one died too early", |facts, _| facts.rows[1].attempts = 1, false),
        ("one died of something else", |facts, _| facts.rows[1].end = End::Dead("gone".to_owned()), false),
        ("delivered, says the ledger, but the subscriber refused it", REFUSED, false),
        ("one has two deliveries", |facts, _| facts.rows.push(facts.rows[0].clone()), false),
        (
            "one arrived that nobody was told of",
            |facts, _| facts.accepted.retain(|event, _| event != "ok"),
            false,
        ),
        ("one of whom nobody was told went with a server that was alone", TAKEN_BACK, true),
        ("and arrived after that", TAKEN_BACK_AND_SEEN_LATER, false),
        ("an attempt over the fault is not in the ledger", AGAIN_OVER_THE_FAULT, true),
        ("an attempt is not in the ledger, and there was no fault", AGAIN_WITHOUT_A_FAULT, false),
        ("two are not in the ledger, over one fault", TWICE_AGAIN_OVER_ONE_FAULT, false),
    ];
    for (promise, change, exact) in table {
        let start = Instant::now();
        let mut facts = good(start);
        change(&mut facts, start);
        let account = Account::of(&facts);
        assert_eq!(account.wrong.is_empty(), exact, "{promise}: {account} {:?}", account.wrong);
    }
}

#[test]
fn in_flight_is_what_had_no_answer_and_what_was_just_answered_up_to_the_places_of_the_pool() {
    let start = Instant::now();
    let fault = |began| Fault { began: at(start, began), over: at(start, began + 100) };
    let faults = [fault(10_000), fault(20_000)];
    let table: [(&str, Arrival, (usize, usize)); 7] = [
        ("no answer yet: counted once, though it never gets any", unanswered(start, 9_000), (1, 0)),
        ("answered after the fault began", arrival(start, 9_999, 200), (1, 0)),
        ("answered just before", arrival(start, 9_990, 200), (0, 1)),
        ("answered long before", arrival(start, 4_000, 200), (0, 0)),
        ("on its way when the fault began", unanswered(start, 10_050), (1, 0)),
        ("between the faults", arrival(start, 12_000, 200), (0, 0)),
        ("begun after all faults", unanswered(start, 20_101), (0, 0)),
    ];
    for (promise, arrival, (unanswered, unsettled)) in table {
        let seen = InFlight::at(&faults, &[arrival], 10);
        assert_eq!(seen, InFlight { unanswered, unsettled }, "{promise}");
    }
    let many = [unanswered(start, 9_000), arrival(start, 9_990, 200)].repeat(9);
    let seen = InFlight::at(&faults, &many, 3);
    assert_eq!(seen, InFlight { unanswered: 3, unsettled: 6 }, "no more than three places can hold");
}
