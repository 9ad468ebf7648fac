//! Ends the children of a test process that died without stopping them.
//!
//! A parent-death signal would be bound to the *thread* that started the child, and a test's threads come and go. So
//! one small watchdog process hears over a pipe what was started and stopped, and when the pipe ends, which it does
//! however this process dies, it kills the process groups that are left.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

const WATCHDOG: &str = r#"
trap '' HUP INT TERM
left=' '
while read -r verb group; do
  case $verb in
    started) left="$left$group " ;;
    stopped) case $left in *" $group "*) left="${left%% $group *} ${left#* $group }" ;; esac ;;
  esac
done
for group in $left; do kill -KILL "-$group" 2>/dev/null; done
"#;

static WATCHDOG_INPUT: LazyLock<Mutex<ChildStdin>> = LazyLock::new(|| Mutex::new(start_watchdog()));

/// The process group `group` runs from now on.
pub(crate) fn started(group: u32) {
    tell("started", group);
}

/// The process group `group` is gone.
pub(crate) fn stopped(group: u32) {
    tell("stopped", group);
}

fn tell(verb: &str, group: u32) {
    let mut input = WATCHDOG_INPUT.lock().unwrap_or_else(PoisonError::into_inner);
    writeln!(input, "{verb} {group}").expect("the watchdog listens");
}

fn start_watchdog() -> ChildStdin {
    let mut watchdog = Command::new("/bin/sh");
    watchdog.arg("-c").arg(WATCHDOG).process_group(0);
    watchdog.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    watchdog.spawn().expect("/bin/sh").stdin.take().expect("a piped stdin")
}
