//! The tour's words on the terminal: colour where it is wanted, one shape for every step.

use std::fmt::Display;
use std::io::IsTerminal;
use std::time::Duration;

use hookgate_e2e::Response;

/// Colours of one terminal, or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    colour: bool,
}

/// SGR codes (ECMA-48).
#[derive(Debug, Clone, Copy)]
enum Ink {
    Bold = 1,
    Dim = 2,
    Red = 31,
    Green = 32,
    Cyan = 36,
}

impl Screen {
    /// Colours on a terminal, unless `NO_COLOR` is set to anything (no-color.org).
    pub(crate) fn of_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colour: std::io::stdout().is_terminal() && !unwanted }
    }

    /// The first line, and what is running where.
    pub(crate) fn title(self, text: &str) {
        println!("\n{}\n", self.ink(Ink::Bold, text));
    }

    /// A name and what it stands for.
    pub(crate) fn fact(self, name: &str, value: impl Display) {
        println!("   {} {value}", self.ink(Ink::Dim, &format!("{name:<12}")));
    }

    /// The headline of a step.
    pub(crate) fn step(self, number: u8, text: &str) {
        println!("\n{}", self.ink(Ink::Bold, &format!("{number}  {text}")));
    }

    /// What goes out.
    pub(crate) fn sent(self, what: impl Display) {
        println!("   {} {what}", self.ink(Ink::Cyan, "→"));
    }

    /// What came back: the status, and those of `headers` that are there.
    pub(crate) fn answered(self, answer: &Response, headers: &[&str]) {
        let reason =
            http::StatusCode::from_u16(answer.status).ok().and_then(|status| status.canonical_reason());
        println!("   {} {} {}", self.ink(Ink::Cyan, "←"), answer.status, reason.unwrap_or_default());
        for name in headers {
            if let Some(value) = answer.header(name) {
                self.header(name, value);
            }
        }
    }

    /// One header line.
    pub(crate) fn header(self, name: &str, value: &str) {
        println!("     {} {value}", self.ink(Ink::Dim, &format!("{name}:")));
    }

    /// A body, or another text of one line.
    pub(crate) fn text(self, text: impl Display) {
        println!("     {text}");
    }

    /// A claim that was checked and held.
    pub(crate) fn holds(self, claim: impl Display) {
        println!("   {} {claim}", self.ink(Ink::Green, "✓"));
    }

    /// The end of a tour whose claims all held.
    pub(crate) fn success(self, text: &str) {
        println!("\n{}", self.ink(Ink::Green, text));
    }

    /// What did not hold, or could not start. The cause chain is shown.
    pub(crate) fn failure(self, error: &dyn std::error::Error) {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        self.broken(&text);
    }

    /// The same, where there is only a text.
    pub(crate) fn broken(self, text: &str) {
        println!("\n{}", self.ink(Ink::Red, &format!("✗  {text}")));
    }

    fn ink(self, ink: Ink, text: &str) -> String {
        if self.colour { format!("\x1b[{}m{text}\x1b[0m", ink as u8) } else { text.to_owned() }
    }
}

/// `3.1 ms`, `1.42 s`.
pub(crate) fn spoken(span: Duration) -> String {
    if span < Duration::from_secs(1) {
        format!("{:.1} ms", span.as_secs_f64() * 1000.0)
    } else {
        format!("{:.2} s", span.as_secs_f64())
    }
}
