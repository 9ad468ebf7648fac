//! One started process: its own group, its words in a file, its end certain.

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::{leash, wait_until};

/// How long SIGTERM may take before SIGKILL.
const TERM_LIMIT: Duration = Duration::from_secs(2);

/// How much of the log is shown when a test fails, in bytes.
const LOG_SHOWN: usize = 16 * 1024;

/// A running process. Dropping it kills its whole group; if the test is failing, the end of its log is shown.
#[derive(Debug)]
pub struct Child {
    name: String,
    log: PathBuf,
    process: std::process::Child,
    ended: Option<ExitStatus>,
}

impl Child {
    /// Starts `command` in `folder` (its working directory), in a process group of its own. Its output is appended to
    /// `NAME.log` there.
    #[must_use]
    pub fn start(name: &str, mut command: Command, folder: &Path) -> Self {
        let log = folder.join(format!("{name}.log"));
        let output = OpenOptions::new().create(true).append(true).open(&log).expect("a log file");
        let errors = output.try_clone().expect("a second handle of the log");
        command.current_dir(folder).process_group(0);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let process =
            command.spawn().unwrap_or_else(|error| panic!("starting {name} ({command:?}): {error}"));
        leash::started(process.id());
        Self { name: name.to_owned(), log, process, ended: None }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// All it has printed so far, from every start in the same folder.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// How it ended; `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.process.try_wait().expect("the state of an own child");
            if self.ended.is_some() {
                self.kill_group();
            }
        }
        self.ended
    }

    /// Waits for it to end by itself.
    #[track_caller]
    pub fn end(&mut self, bound: Duration) -> impl Future<Output = ExitStatus> {
        let what = format!("end of {}", self.name);
        let mut look = move || self.ended().ok_or("still running");
        async move { wait_until(&what, bound, || std::future::ready(look())).await }
    }

    /// Sends `signal` to the process alone.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            kill_process(self.group(), signal).unwrap_or_else(|error| panic!("{signal:?}: {error}"));
        }
    }

    /// Asks it to end (SIGTERM), at most for two seconds, then kills its group. Answers how it ended.
    pub async fn stop(&mut self) -> ExitStatus {
        self.stop_within(TERM_LIMIT).await
    }

    /// The same with another limit.
    pub async fn stop_within(&mut self, limit: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        let ended = tokio::time::timeout(limit, self.end(limit * 2)).await;
        ended.unwrap_or_else(|_| self.kill())
    }

    /// Kills its group (SIGKILL) and reaps it.
    pub fn kill(&mut self) -> ExitStatus {
        if let Some(status) = self.ended() {
            return status;
        }
        self.kill_group();
        let status = self.process.wait().expect("the end of a killed child");
        self.ended = Some(status);
        status
    }

    /// Its resident memory, in KiB.
    #[must_use]
    pub fn rss_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("/proc");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident size");
        line.trim().trim_end_matches(" kB").parse().expect("a number of kB")
    }

    fn group(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    /// What the process started itself goes with it. A group that is gone already is no error.
    fn kill_group(&self) {
        match kill_process_group(self.group(), Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => eprintln!("killing the group of {}: {error}", self.name),
        }
        leash::stopped(self.process.id());
    }

    fn show_log(&self) {
        let log = self.log();
        let mut from = log.len().saturating_sub(LOG_SHOWN);
        while !log.is_char_boundary(from) {
            from += 1;
        }
        eprintln!("--- {} (pid {}, {:?}) said:\n{}---", self.name, self.pid(), self.ended, &log[from..]);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            self.show_log();
        }
    }
}
