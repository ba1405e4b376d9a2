//! Processes of sessions whose worker is gone.
//!
//! A worker that is killed cannot end what it started: its children live on in process groups of their own. Every process of
//! a session therefore carries markers in its environment, which its children inherit unless they take pains not to, and
//! which can be read from outside.
//!
//! Linux only, by `/proc`. macOS and Windows show the environment of a process to debuggers alone: there nothing is found,
//! and a worker's session folder is the only trace. A child subreaper was considered and rejected: orphans would become
//! children of a process that does not know them and has to reap them, which a host like a DCC does not do.

use crate::error::Result;

/// Carries the session's id.
pub const SESSION_VARIABLE: &str = "SHOTPUT_SESSION_ID";

/// Carries the owner's marker, the same for all sessions of one owner.
pub const MARKER_VARIABLE: &str = "SHOTPUT_SESSION_MARKER";

/// Carries the action's own id; what it started can be told from what other actions did.
pub(super) const ACTION_VARIABLE: &str = "SHOTPUT_ACTION_ID";

/// Ids of living processes that carry `marker`, as session id or as the owner's marker. Never the caller's own.
pub fn find_orphans(marker: &str) -> Vec<u32> {
    marked(&[&format!("{SESSION_VARIABLE}={marker}"), &format!("{MARKER_VARIABLE}={marker}")])
}

/// Kills all processes that [`find_orphans`] finds, until there are none left, and returns how many there were.
///
/// Must not be called while sessions with this marker are alive in any process: theirs are killed as well.
pub fn kill_orphans(marker: &str) -> Result<usize> {
    let needles = [format!("{SESSION_VARIABLE}={marker}"), format!("{MARKER_VARIABLE}={marker}")];
    kill_marked(&[&needles[0], &needles[1]])
}

#[cfg(target_os = "linux")]
pub(super) fn kill_marked(entries: &[&str]) -> Result<usize> {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use crate::error::CoreError;

    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let mut killed = std::collections::HashSet::new();
    let mut looked_again = 0;
    loop {
        let (found, unreadable) = scan(entries);
        if found.is_empty() {
            if !unreadable || looked_again == LOOKS_AT_UNREADABLE {
                return Ok(killed.len());
            }
            looked_again += 1;
        } else if std::time::Instant::now() > deadline {
            let left: Vec<String> = found.iter().map(u32::to_string).collect();
            return Err(CoreError::Session(format!(
                "Processes of an earlier session do not end: {}. End them by hand, then try again.",
                left.join(", ")
            )));
        }
        for id in found {
            if kill(Pid::from_raw(id as i32), Signal::SIGKILL).is_ok() {
                killed.insert(id);
            }
        }
        // A killed process is seen until it is gone; one that was starting another is seen through the other.
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn kill_marked(_entries: &[&str]) -> Result<usize> {
    Ok(0)
}

#[cfg(target_os = "linux")]
fn marked(entries: &[&str]) -> Vec<u32> {
    scan(entries).0
}

/// How often a process whose environment is empty is looked at again. It is so while a process executes a program, which
/// must not hide it; some empty it for good, and those are not waited for.
#[cfg(target_os = "linux")]
const LOOKS_AT_UNREADABLE: u32 = 25;

/// Processes with one of `entries` in their environment, and whether there are any that have none to be read just now.
#[cfg(target_os = "linux")]
fn scan(entries: &[&str]) -> (Vec<u32>, bool) {
    let own = std::process::id();
    let mut found = Vec::new();
    let mut unreadable = false;
    let processes = std::fs::read_dir("/proc").into_iter().flatten();
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    for id in ids.filter(|id| *id != own) {
        // Refused for other users' processes, whose sessions are not ours.
        let Ok(environment) = std::fs::read(format!("/proc/{id}/environ")) else { continue };
        if environment.split(|byte| *byte == 0).any(|variable| entries.iter().any(|entry| variable == entry.as_bytes()))
        {
            found.push(id);
        }
        unreadable |= environment.is_empty() && is_program(id);
    }
    (found, unreadable)
}

/// Neither a zombie, nor init, nor a thread of the kernel (process 2 and its children): those never have one to be read.
#[cfg(target_os = "linux")]
fn is_program(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let (state, parent) = (fields.next(), fields.next());
    id > 2 && parent != Some("2") && state.is_some_and(|state| !matches!(state, "Z" | "X"))
}

#[cfg(not(target_os = "linux"))]
fn marked(_entries: &[&str]) -> Vec<u32> {
    Vec::new()
}
