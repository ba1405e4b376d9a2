//! Progress of hashing and transfers: counts, reports now and then, and the summary at the end.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{CoreError, Result};

/// Reports come at most this often, unless a batch of files was completed meanwhile.
const INTERVAL: Duration = Duration::from_secs(1);
/// Completed files that make a report due (one, when there are fewer files than this).
const BATCH: u64 = 50;
/// Rates are measured over at least this long: two reports in one millisecond say nothing.
const RATE_WINDOW: Duration = Duration::from_millis(200);

/// A callback for progress; `false` cancels what has files. It is never called by two threads at once.
pub type OnProgress<'a> = Option<&'a (dyn Fn(Progress) -> bool + Send + Sync)>;

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Files are hashed.
    PreparingInProgress,
    /// Objects are sent.
    UploadInProgress,
    /// Objects are fetched.
    DownloadInProgress,
    /// Objects are copied to a folder.
    SnapshotInProgress,
}

impl Status {
    fn verb(self) -> &'static str {
        match self {
            Self::PreparingInProgress => "Processed",
            Self::UploadInProgress => "Uploaded",
            Self::DownloadInProgress => "Downloaded",
            Self::SnapshotInProgress => "Snapshotted",
        }
    }

    fn canceled(self) -> &'static str {
        match self {
            Self::PreparingInProgress => "Hashing was canceled",
            Self::UploadInProgress => "The upload was canceled",
            Self::DownloadInProgress => "The download was canceled",
            Self::SnapshotInProgress => "The snapshot was canceled",
        }
    }
}

/// One report.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// What is being done.
    pub status: Status,
    /// Percent of the bytes, 0 to 100, one decimal; 100 when there is nothing to do.
    pub progress: f64,
    /// Bytes per second since the last report.
    pub transfer_rate: f64,
    /// One line for a person.
    pub progress_message: String,
    /// Files that were done, without the skipped ones.
    pub processed_files: u64,
    /// Bytes that were done, without the skipped ones.
    pub processed_bytes: u64,
    /// Files that needed no work.
    pub skipped_files: u64,
    /// All files.
    pub total_files: u64,
    /// All bytes.
    pub total_bytes: u64,
}

/// The summary of a finished piece of work, with the member names that telemetry and Python use.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Statistics {
    /// Seconds.
    pub total_time: f64,
    /// All files.
    pub total_files: u64,
    /// All bytes.
    pub total_bytes: u64,
    /// Files that were hashed or sent.
    pub processed_files: u64,
    /// Bytes that were hashed or sent.
    pub processed_bytes: u64,
    /// Files that needed no work: their hash was known, their object was there, or they lay in place.
    pub skipped_files: u64,
    /// Bytes of those.
    pub skipped_bytes: u64,
    /// Processed bytes per second.
    pub transfer_rate: f64,
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.processed_files == 1 { "" } else { "s" };
        writeln!(f, "Processed {} file{plural} totaling {}.", self.processed_files, human_size(self.processed_bytes))?;
        writeln!(f, "Skipped re-processing {} files totaling {}.", self.skipped_files, human_size(self.skipped_bytes))?;
        writeln!(
            f,
            "Total processing time of {:.5} seconds at {}/s.",
            self.total_time,
            human_size(self.transfer_rate as u64)
        )
    }
}

/// A size in SI units: two decimals at most, no trailing zeros, the next unit from 999.995 on.
///
/// ```
/// use shotput_core::attachments::progress::human_size;
/// assert_eq!(human_size(999), "999 B");
/// assert_eq!(human_size(1_500), "1.5 KB");
/// assert_eq!(human_size(999_999), "1 MB");
/// ```
#[must_use]
pub fn human_size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KB", "MB", "GB", "TB"] {
        let rounded = (value * 100.0).round() / 100.0;
        if rounded < 1000.0 {
            return format!("{rounded} {unit}");
        }
        value /= 1000.0;
    }
    format!("{} PB", (value * 100.0).round() / 100.0)
}

struct Counts {
    processed_files: u64,
    processed_bytes: u64,
    skipped_files: u64,
    skipped_bytes: u64,
    in_batch: u64,
    last_report: Instant,
    rate_start: Instant,
    rate_bytes: u64,
    rate: f64,
}

/// Counts for one phase, shared by its threads.
pub(crate) struct Tracker<'a> {
    status: Status,
    total_files: u64,
    total_bytes: u64,
    on_progress: OnProgress<'a>,
    started: Instant,
    /// A child of the caller's token: a callback that answers `false` ends this phase and not what the caller does next.
    token: CancellationToken,
    counts: Mutex<Counts>,
}

impl<'a> Tracker<'a> {
    pub(crate) fn new(
        status: Status,
        total_files: u64,
        total_bytes: u64,
        on_progress: OnProgress<'a>,
        token: &CancellationToken,
    ) -> Self {
        let now = Instant::now();
        Self {
            status,
            total_files,
            total_bytes,
            on_progress,
            started: now,
            token: token.child_token(),
            counts: Mutex::new(Counts {
                processed_files: 0,
                processed_bytes: 0,
                skipped_files: 0,
                skipped_bytes: 0,
                in_batch: 0,
                last_report: now,
                rate_start: now,
                rate_bytes: 0,
                rate: 0.0,
            }),
        }
    }

    /// The token that ends this phase: the caller's, or the callback's answer.
    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// The error of a canceled phase, with what was done until then.
    pub(crate) fn canceled(&self) -> CoreError {
        let counts = self.counts();
        CoreError::Canceled(format!(
            "{} after {} of {} files.",
            self.status.canceled(),
            counts.processed_files + counts.skipped_files,
            self.total_files
        ))
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.token.is_cancelled() { Err(self.canceled()) } else { Ok(()) }
    }

    /// Bytes of a file that is still going.
    pub(crate) fn bytes(&self, bytes: u64) {
        let mut counts = self.counts();
        counts.processed_bytes += bytes;
        self.report_when_due(&mut counts);
    }

    /// A file is done; `bytes` are those not counted by [`Self::bytes`] yet.
    pub(crate) fn processed(&self, bytes: u64) {
        let mut counts = self.counts();
        counts.processed_files += 1;
        counts.processed_bytes += bytes;
        counts.in_batch += 1;
        self.report_when_due(&mut counts);
    }

    /// Files that need no work.
    pub(crate) fn skipped(&self, files: u64, bytes: u64) {
        if files == 0 {
            return;
        }
        let mut counts = self.counts();
        counts.skipped_files += files;
        counts.skipped_bytes += bytes;
        counts.in_batch += files;
        self.report_when_due(&mut counts);
    }

    /// A file turned out to need no work after some of its bytes had been counted as processed.
    pub(crate) fn take_back(&self, bytes: u64) {
        let mut counts = self.counts();
        counts.processed_bytes = counts.processed_bytes.saturating_sub(bytes);
        counts.rate_bytes = counts.rate_bytes.min(counts.processed_bytes);
    }

    /// The last report (100 %) and the summary.
    pub(crate) fn finish(&self) -> Result<Statistics> {
        self.check()?;
        let mut counts = self.counts();
        self.report(&mut counts, true);
        let total_time = self.started.elapsed().as_secs_f64();
        let statistics = Statistics {
            total_time,
            total_files: self.total_files,
            total_bytes: self.total_bytes,
            processed_files: counts.processed_files,
            processed_bytes: counts.processed_bytes,
            skipped_files: counts.skipped_files,
            skipped_bytes: counts.skipped_bytes,
            transfer_rate: if total_time > 0.0 { counts.processed_bytes as f64 / total_time } else { 0.0 },
        };
        drop(counts);
        self.check()?;
        Ok(statistics)
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn report_when_due(&self, counts: &mut Counts) {
        let batch = if self.total_files < BATCH { 1 } else { BATCH };
        // The report of the last file is left to `finish`: until then the work (cache, manifest) is not done.
        let last = counts.processed_files + counts.skipped_files >= self.total_files;
        if !last && (counts.in_batch >= batch || counts.last_report.elapsed() >= INTERVAL) {
            self.report(counts, false);
        }
    }

    /// Called with the lock held, so that two reports never run at once and never come out of order.
    fn report(&self, counts: &mut Counts, done: bool) {
        counts.in_batch = 0;
        counts.last_report = Instant::now();
        let Some(on_progress) = self.on_progress else { return };
        if self.token.is_cancelled() {
            return;
        }
        let window = counts.rate_start.elapsed();
        if window >= RATE_WINDOW || done {
            let bytes = counts.processed_bytes.saturating_sub(counts.rate_bytes);
            counts.rate = if done {
                counts.processed_bytes as f64 / self.started.elapsed().as_secs_f64().max(1e-9)
            } else {
                bytes as f64 / window.as_secs_f64()
            };
            counts.rate_start = Instant::now();
            counts.rate_bytes = counts.processed_bytes;
        } else if counts.rate == 0.0 {
            counts.rate = counts.processed_bytes as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        }
        let completed = counts.processed_bytes + counts.skipped_bytes;
        let percent = if done || self.total_bytes == 0 {
            100.0
        } else {
            (completed as f64 / self.total_bytes as f64 * 1000.0).round().min(1000.0) / 10.0
        };
        let rate_name = if self.status == Status::PreparingInProgress { "Hashing speed" } else { "Transfer rate" };
        let report = Progress {
            status: self.status,
            progress: percent,
            transfer_rate: counts.rate,
            progress_message: format!(
                "{} {} / {} of {} file{} ({rate_name}: {}/s)",
                self.status.verb(),
                human_size(completed),
                human_size(self.total_bytes),
                self.total_files,
                if self.total_files == 1 { "" } else { "s" },
                human_size(counts.rate as u64)
            ),
            processed_files: counts.processed_files,
            processed_bytes: counts.processed_bytes,
            skipped_files: counts.skipped_files,
            total_files: self.total_files,
            total_bytes: self.total_bytes,
        };
        // With nothing to do there is nothing to cancel: the official client does not look at that answer either.
        if !on_progress(report) && self.total_files > 0 {
            self.token.cancel();
        }
    }
}
