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
    loop {
        let found = marked(entries);
        if found.is_empty() {
            return Ok(killed.len());
        }
        if std::time::Instant::now() > deadline {
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
        // A killed process is seen until its parent reaps it; one that was starting another is seen through the other.
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn kill_marked(_entries: &[&str]) -> Result<usize> {
    Ok(0)
}

#[cfg(target_os = "linux")]
fn marked(entries: &[&str]) -> Vec<u32> {
    let own = std::process::id();
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|id| *id != own)
        .filter(|id| {
            // Empty for zombies and kernel threads, refused for other users' processes.
            let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
            environment
                .split(|byte| *byte == 0)
                .any(|variable| entries.iter().any(|entry| variable == entry.as_bytes()))
        })
        .collect()
}

#[cfg(not(target_os = "linux"))]
fn marked(_entries: &[&str]) -> Vec<u32> {
    Vec::new()
}
