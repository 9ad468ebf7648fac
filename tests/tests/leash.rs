//! A test process that dies leaves no child behind.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use hookgate_e2e::{Child, wait_until};
use tempfile::TempDir;

/// Set in the process that plays the dying test, to the folder it shall use.
const DYING: &str = "HOOKGATE_TEST_DYING_PARENT";

/// Plays the dying test when it is told to, and is an empty test otherwise.
#[test]
#[expect(clippy::disallowed_methods, reason = "reads whether it is the process that shall die")]
fn dying_parent() {
    let Some(folder) = env::var_os(DYING) else {
        return;
    };
    let mut command = Command::new("sleep");
    command.arg("600");
    let child = Child::start("sleep", command, folder.as_ref());
    println_to_parent(child.pid());
    std::process::abort();
}

#[tokio::test]
async fn a_parent_that_aborts_takes_its_children_along() {
    let folder = TempDir::new().unwrap();
    let mut parent = Command::new(env::current_exe().unwrap());
    parent.args(["--exact", "dying_parent", "--nocapture"]).env(DYING, folder.path());
    let mut parent = parent.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let words = BufReader::new(parent.stdout.take().unwrap()).lines();
    let pid = words.map_while(Result::ok).find_map(|line| line.strip_prefix("child=")?.parse::<u32>().ok());
    let pid = pid.expect("the child's id");
    assert!(!parent.wait().unwrap().success(), "it aborted");
    wait_until("end of the orphan", Duration::from_secs(10), || async {
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if state.is_empty() || state.contains(") Z ") { Ok(()) } else { Err(state) }
    })
    .await;
}

fn println_to_parent(pid: u32) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "\nchild={pid}").unwrap();
    output.flush().unwrap();
}
