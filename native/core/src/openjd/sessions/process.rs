//! One subprocess: started, read to its end, told to stop, killed with all that it started.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, sleep_until};

use super::command::CancelMethod;
use super::orphans::{ACTION_VARIABLE, kill_marked};
use super::session::Cancel;

/// Longer lines are logged in pieces of this many bytes.
const LONGEST_LINE: usize = 64 * 1024;
/// A process that started others in the background can end before its output does: this long is waited for the rest.
const DRAIN: Duration = Duration::from_secs(1);
/// A killed process that is not gone after this long hangs in the kernel; the session goes on without it.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// What is to be started.
pub(super) struct Start {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) variables: HashMap<OsString, OsString>,
    pub(super) working_directory: PathBuf,
    pub(super) low_priority: bool,
    /// Value of the action's marker in the environment, by which its processes are found again.
    pub(super) action_id: String,
    pub(super) timeout: Option<Duration>,
    pub(super) cancel_method: CancelMethod,
}

/// What its owner hears.
pub(super) enum Heard<'a> {
    Started(u32),
    Line(&'a str),
    /// Something the session did to the process.
    Note(String),
}

/// Whether the owner wants to go on.
#[derive(PartialEq, Eq)]
pub(super) enum Answer {
    GoOn,
    /// Stop it: what it said cannot be worked with.
    Stop,
}

/// How it ended.
pub(super) struct Ended {
    pub(super) exit_code: Option<i32>,
    pub(super) canceled: bool,
    pub(super) timed_out: bool,
}

/// Runs a process to its end. `Err` when it could not be started.
pub(super) async fn run(
    start: Start,
    cancel: Cancel,
    mut hear: impl FnMut(Heard<'_>) -> Answer,
) -> Result<Ended, String> {
    let (reader, writer) = std::io::pipe().map_err(|err| format!("No pipe for its output: {err}"))?;
    let mut child = spawn(&start, writer)?;
    let id = child.id().unwrap_or_default();
    hear(Heard::Started(id));
    let mut output = Output::new(reader)?;
    let mut lines = Lines::default();
    let mut stop = Stop::default();
    let mut status: Option<ExitStatus> = None;
    let mut output_open = true;
    let mut drain_until: Option<Instant> = None;
    let timeout_at = start.timeout.map(|timeout| Instant::now() + timeout);
    let mut cancel_open = true;
    let Cancel { request: mut requests, interrupt } = cancel;
    // A request that came before the process did counts.
    requests.mark_changed();
    while status.is_none() || output_open {
        tokio::select! {
            biased;
            changed = requests.changed(), if cancel_open => match changed {
                Ok(()) => {
                    let request = *requests.borrow_and_update();
                    if let Some(request) = request && status.is_none() {
                        stop.canceled = true;
                        stop.request(&start, id, request.time_limit, &mut hear);
                    }
                }
                Err(_) => cancel_open = false,
            },
            () = interrupt.cancelled(), if !stop.requested() && status.is_none() => {
                stop.canceled = true;
                stop.request(&start, id, None, &mut hear);
            }
            () = at(timeout_at), if timeout_at.is_some() && !stop.requested() && status.is_none() => {
                stop.timed_out = true;
                hear(Heard::Note(format!("The time of {} s is up.", start.timeout.unwrap_or_default().as_secs())));
                stop.kill(&start, id, &mut hear);
            }
            () = at(stop.kill_at), if stop.kill_at.is_some() && !stop.killed => {
                hear(Heard::Note("The grace period is over.".into()));
                stop.kill(&start, id, &mut hear);
            }
            () = at(stop.give_up_at), if stop.killed && status.is_none() => {
                hear(Heard::Note(format!("Process {id} does not end although it was killed; it is left behind.")));
                break;
            }
            read = output.read(lines.buffer()), if output_open => match read {
                Ok(0) | Err(_) => output_open = false,
                Ok(length) => {
                    let answer = lines.take(length, &mut hear);
                    if answer == Answer::Stop && !stop.requested() {
                        stop.kill(&start, id, &mut hear);
                    }
                    // Whoever writes is not done.
                    drain_until = drain_until.map(|_| Instant::now() + DRAIN);
                }
            },
            exited = child.wait(), if status.is_none() => {
                status = exited.ok();
                if stop.requested() {
                    // Nothing of a stopped action goes on, even what left its process group.
                    kill_tree(&start, id);
                }
                drain_until = Some(Instant::now() + DRAIN);
                if status.is_none() {
                    break;
                }
            }
            () = at(drain_until), if drain_until.is_some() => {
                hear(Heard::Note("A process that it started holds its output open; it is not waited for.".into()));
                break;
            }
        }
    }
    lines.finish(&mut hear);
    Ok(Ended { exit_code: status.and_then(exit_code), canceled: stop.canceled, timed_out: stop.timed_out })
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

#[derive(Default)]
struct Stop {
    canceled: bool,
    timed_out: bool,
    killed: bool,
    kill_at: Option<Instant>,
    give_up_at: Option<Instant>,
}

impl Stop {
    fn requested(&self) -> bool {
        self.canceled || self.timed_out || self.killed
    }

    /// Tells or kills the process. A later request can only shorten what an earlier one granted.
    fn request(&mut self, start: &Start, id: u32, limit: Option<Duration>, hear: &mut impl FnMut(Heard<'_>) -> Answer) {
        let grace = match start.cancel_method {
            CancelMethod::Terminate => Duration::ZERO,
            CancelMethod::NotifyThenTerminate(period) => limit.map_or(period, |limit| limit.min(period)),
        };
        if grace.is_zero() {
            self.kill(start, id, hear);
            return;
        }
        let until = Instant::now() + grace;
        if self.kill_at.is_none() {
            hear(Heard::Note(format!("Canceling: process {id} has {} s to end.", grace.as_secs_f64())));
            write_cancel_info(&start.working_directory, grace);
            notify(id);
        }
        self.kill_at = Some(self.kill_at.map_or(until, |earlier| earlier.min(until)));
    }

    fn kill(&mut self, start: &Start, id: u32, hear: &mut impl FnMut(Heard<'_>) -> Answer) {
        if self.killed {
            return;
        }
        self.killed = true;
        hear(Heard::Note(format!("Killing process {id} and all that it started.")));
        kill_tree(start, id);
        self.give_up_at = Some(Instant::now() + KILL_PATIENCE);
    }
}

/// OpenJD: a notified process finds in `cancel_info.json` when its time ends.
fn write_cancel_info(folder: &Path, grace: Duration) {
    let end = time::OffsetDateTime::now_utc() + grace;
    let format = time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let text = end.format(format).unwrap_or_default();
    // The signal itself counts; a full disk must not keep it from being sent.
    let _ = std::fs::write(folder.join("cancel_info.json"), serde_json::json!({"NotifyEnd": text}).to_string());
}

fn spawn(start: &Start, writer: std::io::PipeWriter) -> Result<tokio::process::Child, String> {
    let mut command = prioritised(start);
    command.env_clear().envs(&start.variables).env(ACTION_VARIABLE, &start.action_id);
    command.current_dir(&start.working_directory).stdin(Stdio::null());
    // One pipe for both, so that lines come in the order in which they were written.
    let error_writer = writer.try_clone().map_err(|err| format!("No pipe for its output: {err}"))?;
    command.stdout(writer).stderr(error_writer);
    // A group of its own, to be signalled as one. No `pre_exec`, which would make a fork of a `posix_spawn`.
    #[cfg(unix)]
    command.process_group(0);
    command.spawn().map_err(|err| format!("The command '{}' cannot be started: {err}", start.program.display()))
}

#[cfg(unix)]
fn prioritised(start: &Start) -> Command {
    // `nice` replaces itself by the program; setting the priority here would slow the host down instead.
    if start.low_priority
        && let Some(nice) = ["/usr/bin/nice", "/bin/nice"].iter().find(|path| Path::new(path).exists())
    {
        let mut command = Command::new(nice);
        command.args(["-n", "10"]).arg(&start.program).args(&start.arguments);
        return command;
    }
    let mut command = Command::new(&start.program);
    command.args(&start.arguments);
    command
}

#[cfg(not(unix))]
fn prioritised(start: &Start) -> Command {
    const BELOW_NORMAL_PRIORITY_CLASS: u32 = 0x4000;
    let mut command = Command::new(&start.program);
    command.args(&start.arguments);
    if start.low_priority {
        command.creation_flags(BELOW_NORMAL_PRIORITY_CLASS);
    }
    command
}

#[cfg(unix)]
fn notify(id: u32) {
    use nix::sys::signal::{Signal, killpg};
    let _ = killpg(nix::unistd::Pid::from_raw(id as i32), Signal::SIGTERM);
}

/// Without a console of its own a process cannot be told; it is killed when its grace is over.
#[cfg(not(unix))]
fn notify(_id: u32) {}

#[cfg(unix)]
fn kill_tree(start: &Start, id: u32) {
    use nix::sys::signal::{Signal, killpg};
    let _ = killpg(nix::unistd::Pid::from_raw(id as i32), Signal::SIGKILL);
    // Who left the group still carries the action's marker.
    let _ = kill_marked(&[&format!("{ACTION_VARIABLE}={}", start.action_id)]);
}

#[cfg(not(unix))]
fn kill_tree(start: &Start, id: u32) {
    let _ = kill_marked(&[&start.action_id]);
    let _ = std::process::Command::new("taskkill")
        .args(["/T", "/F", "/PID", &id.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

#[cfg(unix)]
fn exit_code(status: ExitStatus) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt;
    status.code().or_else(|| status.signal().map(|signal| -signal))
}

#[cfg(not(unix))]
fn exit_code(status: ExitStatus) -> Option<i32> {
    status.code()
}

#[cfg(unix)]
struct Output(tokio::net::unix::pipe::Receiver);

#[cfg(unix)]
impl Output {
    fn new(reader: std::io::PipeReader) -> Result<Self, String> {
        let receiver = tokio::net::unix::pipe::Receiver::from_owned_fd(reader.into());
        receiver.map(Self).map_err(|err| format!("Its output cannot be read: {err}"))
    }

    async fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        tokio::io::AsyncReadExt::read(&mut self.0, buffer).await
    }
}

/// Anonymous pipes cannot be polled here: a thread reads.
#[cfg(not(unix))]
struct Output(tokio::sync::mpsc::Receiver<Vec<u8>>, Vec<u8>);

#[cfg(not(unix))]
impl Output {
    fn new(mut reader: std::io::PipeReader) -> Result<Self, String> {
        let (sender, receiver) = tokio::sync::mpsc::channel(16);
        std::thread::spawn(move || {
            let mut buffer = vec![0; LONGEST_LINE];
            while let Ok(length @ 1..) = std::io::Read::read(&mut reader, &mut buffer) {
                if sender.blocking_send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Ok(Self(receiver, Vec::new()))
    }

    async fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.1.is_empty() {
            self.1 = self.0.recv().await.unwrap_or_default();
        }
        let length = self.1.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.1[..length]);
        self.1.drain(..length);
        Ok(length)
    }
}

/// Output, cut into lines.
struct Lines {
    bytes: Vec<u8>,
    filled: usize,
}

impl Default for Lines {
    fn default() -> Self {
        Self { bytes: vec![0; LONGEST_LINE], filled: 0 }
    }
}

impl Lines {
    fn buffer(&mut self) -> &mut [u8] {
        &mut self.bytes[self.filled..]
    }

    fn take(&mut self, length: usize, hear: &mut impl FnMut(Heard<'_>) -> Answer) -> Answer {
        let mut answer = Answer::GoOn;
        let mut start = 0;
        let mut search_from = self.filled;
        self.filled += length;
        while let Some(at) = self.bytes[search_from..self.filled].iter().position(|byte| *byte == b'\n') {
            let end = search_from + at;
            if hear(Heard::Line(&text(&self.bytes[start..end]))) == Answer::Stop {
                answer = Answer::Stop;
            }
            start = end + 1;
            search_from = start;
        }
        if start == 0 && self.filled == self.bytes.len() {
            if hear(Heard::Line(&text(&self.bytes))) == Answer::Stop {
                answer = Answer::Stop;
            }
            self.filled = 0;
            return answer;
        }
        self.bytes.copy_within(start..self.filled, 0);
        self.filled -= start;
        answer
    }

    fn finish(&mut self, hear: &mut impl FnMut(Heard<'_>) -> Answer) {
        if self.filled > 0 {
            hear(Heard::Line(&text(&self.bytes[..self.filled])));
        }
    }
}

/// A line as text; bytes that are not UTF-8 as `\xNN`, so that a foreign code page can be recognised.
fn text(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}
