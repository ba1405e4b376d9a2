//! One program of a hook while it runs.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Child;

/// A hook that ended can have left a process behind that holds its output open: this long is waited for the rest.
const DRAIN: Duration = Duration::from_secs(1);
/// More of a hook's output is cut off, and is then no JSON.
const MOST_OUTPUT: u64 = 64 * 1024 * 1024;

/// Feeds a program, reads what it says, waits for its end. Lines of its standard error are told as they come.
pub(super) async fn attend(
    child: &mut Child,
    input: &[u8],
    tell: &dyn Fn(&str),
) -> std::io::Result<(std::process::ExitStatus, String)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut output = Vec::new();
    let status = {
        let feed = async {
            if let Some(mut stdin) = stdin {
                // It need not read what it does not care for.
                let _ = stdin.write_all(input).await;
            }
        };
        let read = async {
            if let Some(stdout) = stdout {
                let _ = stdout.take(MOST_OUTPUT).read_to_end(&mut output).await;
            }
        };
        let listen = async {
            let Some(stderr) = stderr else { return };
            let mut lines = BufReader::new(stderr).split(b'\n');
            while let Ok(Some(line)) = lines.next_segment().await {
                tell(String::from_utf8_lossy(&line).trim_end());
            }
        };
        let pipes = async { tokio::join!(feed, read, listen) };
        tokio::pin!(pipes);
        tokio::select! {
            _ = &mut pipes => child.wait().await?,
            status = child.wait() => {
                let _ = tokio::time::timeout(DRAIN, &mut pipes).await;
                status?
            }
        }
    };
    Ok((status, String::from_utf8_lossy(&output).into_owned()))
}

/// The processes of a hook that did not end by itself: killed with it when this is dropped.
pub(super) struct Group(pub(super) Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(id) = self.0.and_then(|id| i32::try_from(id).ok()) {
            // Gone by itself, usually.
            let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGKILL);
        }
    }
}
