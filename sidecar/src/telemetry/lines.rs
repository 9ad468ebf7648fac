//! Where log lines go: to standard output, and under load many in one call, for writing a line costs as much as making it.
//!
//! A worker of the runtime that has more to do keeps its lines until it goes to sleep, so on a quiet day every line is
//! out at once. Warnings do not wait, nor do lines of other threads. When the process is killed, lines of the last moment
//! are lost, at most [`MOST`] bytes of them.

use std::cell::Cell;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Bytes of lines that wait, at most.
const MOST: usize = 8 * 1024;

static WAITING: Mutex<Vec<u8>> = Mutex::new(Vec::new());

thread_local! {
    /// Whether this thread tells before it goes to sleep. One that never did might not.
    static TELLS: Cell<bool> = const { Cell::new(false) };
}

/// A thread of the runtime goes to sleep: its lines go out.
pub fn before_sleep() {
    TELLS.set(true);
    flush();
}

/// Lines that wait go out: before the process ends.
pub fn flush() {
    write_out(&mut waiting());
}

fn waiting() -> MutexGuard<'static, Vec<u8>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When standard output is gone there is nobody to tell.
fn write_out(lines: &mut Vec<u8>) {
    if !lines.is_empty() {
        let mut output = io::stdout().lock();
        drop(output.write_all(lines).and_then(|()| output.flush()));
        lines.clear();
    }
}

/// Whether a line can wait for others, on a thread that `tells` before it sleeps, with so many bytes waiting.
const fn can_wait(urgent: bool, tells: bool, bytes: usize) -> bool {
    !urgent && tells && bytes < MOST
}

/// Makes a writer for every line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines;

/// One line.
#[derive(Debug)]
pub(super) struct Line {
    urgent: bool,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { urgent: true }
    }

    fn make_writer_for(&'a self, about: &Metadata<'_>) -> Line {
        Line { urgent: *about.level() <= Level::WARN }
    }
}

impl Write for Line {
    /// A line comes as a whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut lines = waiting();
        lines.extend_from_slice(line);
        if !can_wait(self.urgent, TELLS.get(), lines.len()) {
            write_out(&mut lines);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_waits_only_where_somebody_will_send_it() {
        let table = [
            ("a worker with more to do", false, true, 1, true),
            ("a warning", true, true, 1, false),
            ("a thread that may never tell", false, false, 1, false),
            ("enough lines for one call", false, true, MOST, false),
        ];
        for (what, urgent, tells, bytes, waits) in table {
            assert_eq!(can_wait(urgent, tells, bytes), waits, "{what}");
        }
    }

    #[test]
    fn lines_wait_until_the_thread_goes_to_sleep() {
        let waiting_bytes = || waiting().len();
        let say = |urgent| Line { urgent }.write(b"").map(|_| ());
        std::thread::spawn(move || {
            before_sleep();
            waiting().extend_from_slice(b"\n");
            say(false).unwrap();
            assert_eq!(waiting_bytes(), 1, "it waits");
            before_sleep();
            assert_eq!(waiting_bytes(), 0, "it is out");
            waiting().extend_from_slice(b"\n");
            say(true).unwrap();
            assert_eq!(waiting_bytes(), 0, "a warning takes it along");
        })
        .join()
        .unwrap();
    }
}
