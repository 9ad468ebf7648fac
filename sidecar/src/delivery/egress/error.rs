//! What an attempt without an answer failed by.

use std::error::Error;
use std::io;

use crate::model::Failure;

/// Why there is no answer.
#[derive(Debug)]
pub(in crate::delivery) struct SendError {
    pub(in crate::delivery) failure: Failure,
    /// For the operator's log; holds no URL.
    pub(in crate::delivery) detail: String,
}

impl SendError {
    /// A failure told by its innermost cause.
    pub(super) fn of(failure: Failure, error: &(dyn Error + 'static)) -> Self {
        let innermost = causes(error).last().unwrap_or(error);
        Self { failure, detail: innermost.to_string() }
    }

    /// What broke on an open connection: TLS may still fail after its handshake, all else is the endpoint's HTTP.
    pub(super) fn of_exchange(error: &hyper::Error) -> Self {
        let tls = causes(error).any(<dyn Error>::is::<rustls::Error>);
        Self::of(if tls { Failure::Tls } else { Failure::Protocol }, error)
    }
}

/// An error and all that is behind it. I/O errors hide what they wrap from `source()`; it is asked for as well.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inside.map(|inside| inside as &(dyn Error + 'static)).or_else(|| Error::source(*error))
    })
}
