//! A claim of the tour that reality did not keep.

use std::fmt::Debug;

use hookgate_e2e::Response;

/// What was claimed, and what was seen instead.
#[derive(Debug, thiserror::Error)]
#[error("{claim}: saw {seen}")]
pub(crate) struct Surprise {
    /// What should have been.
    pub(crate) claim: String,
    /// What was.
    pub(crate) seen: String,
}

impl Surprise {
    /// Of a claim and what was seen.
    pub(crate) fn new(claim: impl Into<String>, seen: impl Debug) -> Self {
        Self { claim: claim.into(), seen: format!("{seen:?}") }
    }
}

/// Holds a claim against what was seen.
///
/// # Errors
/// When they differ.
pub(crate) fn claim<T: PartialEq + Debug + Copy>(claim: &str, seen: T, expected: T) -> Result<(), Surprise> {
    if seen == expected { Ok(()) } else { Err(Surprise::new(format!("{claim} ({expected:?})"), seen)) }
}

/// Claims an answer's status.
///
/// # Errors
/// When it has another; the whole answer is shown.
pub(crate) fn claim_status(answer: &Response, expected: u16) -> Result<(), Surprise> {
    if answer.status == expected {
        return Ok(());
    }
    let seen = format!("{} {}", answer.status, answer.text());
    Err(Surprise { claim: format!("the answer is {expected}"), seen })
}

/// Claims that an answer is a refusal as every door gives it: problem+json with a stable code and the request's id.
///
/// # Errors
/// When it is not; the whole answer is shown.
pub(crate) fn claim_problem(answer: &Response, status: u16) -> Result<(), Surprise> {
    claim_status(answer, status)?;
    claim("a refusal is problem+json", answer.header("content-type"), Some("application/problem+json"))?;
    let problem = answer.json();
    let text = |name: &str| problem.get(name).and_then(|value| value.as_str());
    match (text("type"), text("code"), text("request_id")) {
        (Some(_), Some(_), Some(id)) => {
            claim("it names the request", Some(id), answer.header("x-request-id"))
        }
        _ => Err(Surprise::new("a refusal has a type, a code and a request_id", problem)),
    }
}
