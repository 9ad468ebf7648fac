//! Logs: one JSON object a line on standard output. What may not be logged (bodies, secrets, signatures, query
//! strings) is not handed to a log anywhere; libraries, which do not know that rule, are heard from `warn` on only.

use std::error::Error;
use std::fmt::{self, Display, Formatter};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::lines::Lines;

/// Whether a text can be [`init`]'s filter.
#[must_use]
pub fn is_filter(text: &str) -> bool {
    EnvFilter::try_new(directives(text)).is_ok()
}

/// Starts logging. `filter`: a level for ourselves, or full directives (`warn,hookgate_sidecar=debug`) for all.
///
/// # Errors
/// When the filter cannot be, or logging was started before.
pub fn init(filter: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
    let filter = EnvFilter::try_new(directives(filter))?;
    let subscriber = json_subscriber::fmt()
        .flatten_event(true)
        .with_span_list(false)
        .with_target(true)
        .with_env_filter(filter)
        .with_writer(Lines)
        .finish();
    subscriber.try_init()?;
    Ok(())
}

fn directives(text: &str) -> String {
    match text.parse::<LevelFilter>() {
        Ok(level) => format!("warn,hookgate_sidecar={level},hookgate={level}"),
        Err(_other) => text.to_owned(),
    }
}

/// An error with everything that was behind it, on one line; a cause that only repeats what was said is left out.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl Display for Chain<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        let mut source = self.0.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.ends_with(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            source = cause.source();
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_for_ourselves() {
        assert_eq!(directives("debug"), "warn,hookgate_sidecar=debug,hookgate=debug");
        assert_eq!(directives("warn,hyper=trace"), "warn,hyper=trace");
        assert!(is_filter("info") && is_filter("warn,hyper=trace") && !is_filter("a=b=c"));
    }

    #[test]
    fn a_chain_names_every_cause() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Link(&'static str, #[source] Option<Box<Self>>);
        let chain = ["refused", "connect: refused", "take"];
        let link = chain.into_iter().fold(None, |source, text| Some(Box::new(Link(text, source))));
        assert_eq!(Chain(&*link.unwrap()).to_string(), "take: connect: refused");
    }
}
