//! The hash cache and the S3-check cache: two SQLite files that are shared with the official client.
//!
//! Tables, key forms and the text forms of times are that client's, so each of the two finds what the other wrote. A
//! cache that cannot be used (locked for long, damaged, read-only) costs time and is no reason to fail: it is logged
//! and left alone.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Datelike, Local, Timelike};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};

use super::manifest::HASH_ALGORITHM;

const HASHES: &str = "CREATE TABLE IF NOT EXISTS hashesV4(file_path blob, hash_algorithm text, range_start integer, \
    range_end integer, file_hash text, last_modified_time timestamp, \
    PRIMARY KEY (file_path, hash_algorithm, range_start, range_end))";
const CHECKS: &str = "CREATE TABLE IF NOT EXISTS s3checkV1(s3_key text primary key, last_seen_time timestamp)";
/// How long another process may hold the file before the cache is done without.
const BUSY: Duration = Duration::from_secs(5);
/// How long an object that was seen counts as there.
const EXPIRY: Duration = Duration::from_secs(30 * 24 * 60 * 60);

fn open(folder: &Path, name: &str, table: &str) -> rusqlite::Result<Connection> {
    // A missing folder shows as "unable to open database file", so its own error is not needed.
    let _ = std::fs::create_dir_all(folder);
    let connection = Connection::open(folder.join(name))?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // In WAL mode this cannot damage the file; a power cut may lose the newest rows, which are then made again.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.execute(table, [])?;
    Ok(connection)
}

fn without(name: &str, folder: &Path, err: &rusqlite::Error) {
    log::warn!("{name} in {} cannot be used and is left alone: {err}", folder.display());
}

/// Whole seconds since 1970 (rounded down) and the nanoseconds above them.
fn since_epoch(time: SystemTime) -> (i64, u32) {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => (since.as_secs() as i64, since.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            match before.subsec_nanos() {
                0 => (-(before.as_secs() as i64), 0),
                nanoseconds => (-(before.as_secs() as i64) - 1, 1_000_000_000 - nanoseconds),
            }
        }
    }
}

/// Microseconds since 1970, rounded down, as manifests have them.
#[must_use]
pub fn microseconds(time: SystemTime) -> i64 {
    let (seconds, nanoseconds) = since_epoch(time);
    seconds * 1_000_000 + i64::from(nanoseconds / 1000)
}

/// When a file was modified, in the two forms that stand in the one column of the hash cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modified {
    /// That of the official client in Python, which new rows have.
    text: String,
    /// Microseconds since 1970: that of the official crates in Rust, which write to the same table.
    number: i64,
}

impl Modified {
    /// The forms of a file's time.
    #[must_use]
    pub fn of(time: SystemTime) -> Self {
        Self { text: modified_text(time), number: microseconds(time) }
    }

    fn is(&self, stored: ValueRef<'_>) -> bool {
        match stored {
            ValueRef::Text(text) => text == self.text.as_bytes(),
            // The column has numeric affinity: digits come back as a number, whoever wrote them as text.
            ValueRef::Integer(number) => number == self.number,
            _ => false,
        }
    }
}

/// `str(datetime.fromtimestamp(st_mtime))` of Python: local time, microseconds rounded half to even from a double, no
/// fraction when it is zero.
fn modified_text(modified: SystemTime) -> String {
    let (seconds, nanoseconds) = since_epoch(modified);
    // `st_mtime` is a double, so its last microsecond is not that of the file: the same detour gives the same text.
    let time = seconds as f64 + 1e-9 * f64::from(nanoseconds);
    let mut whole = time.trunc();
    let mut microseconds = ((time - whole) * 1e6).round_ties_even();
    if microseconds >= 1e6 {
        microseconds -= 1e6;
        whole += 1.0;
    } else if microseconds < 0.0 {
        microseconds += 1e6;
        whole -= 1.0;
    }
    let Some(utc) = DateTime::from_timestamp(whole as i64, 0) else { return String::new() };
    let local = utc.with_timezone(&Local);
    let text = format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        local.year(),
        local.month(),
        local.day(),
        local.hour(),
        local.minute(),
        local.second()
    );
    if microseconds == 0.0 { text } else { format!("{text}.{:06}", microseconds as u32) }
}

/// The key of a file: its resolved absolute path in UTF-8. Bytes that are none are written as Python decodes them, as
/// lone surrogates (`surrogateescape`, then `surrogatepass`).
fn path_key(path: &Path) -> Vec<u8> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if cfg!(windows) {
        return bytes.to_vec();
    }
    let mut key = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        key.extend_from_slice(chunk.valid().as_bytes());
        for byte in chunk.invalid() {
            // U+DC00 and the byte, in three bytes.
            key.extend([0xED, 0xB0 | (byte >> 6), 0x80 | (byte & 0x3F)]);
        }
    }
    key
}

/// `hash_cache.db`: the hash of a file that was not modified since.
pub struct HashCache {
    folder: PathBuf,
    connection: Option<Connection>,
}

/// What is stored of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashRow {
    /// Resolved absolute path.
    pub path: PathBuf,
    /// Content hash.
    pub hash: String,
    /// When the file that was hashed was modified.
    pub modified: Modified,
}

impl HashCache {
    /// Opens or makes the cache; `None` is a cache that knows nothing and keeps nothing.
    #[must_use]
    pub fn open(folder: Option<&Path>) -> Self {
        let connection = folder.and_then(|folder| {
            open(folder, "hash_cache.db", HASHES).map_err(|err| without("The hash cache", folder, &err)).ok()
        });
        Self { folder: folder.map(Path::to_path_buf).unwrap_or_default(), connection }
    }

    /// The hashes of those files whose time is the stored one; in the order asked for.
    pub fn lookup(&self, files: &[(PathBuf, Modified)]) -> Vec<Option<String>> {
        let Some(connection) = &self.connection else { return vec![None; files.len()] };
        let read = || -> rusqlite::Result<Vec<Option<String>>> {
            // One read transaction: one view of the file and no lock per row.
            let transaction = connection.unchecked_transaction()?;
            let mut statement = transaction.prepare(
                "SELECT CAST(file_hash AS TEXT), last_modified_time FROM hashesV4 \
                 WHERE file_path=? AND hash_algorithm=? AND range_start=0 AND range_end=-1",
            )?;
            files
                .iter()
                .map(|(path, modified)| {
                    let row = statement.query_row(params![path_key(path), HASH_ALGORITHM], |row| {
                        Ok(if modified.is(row.get_ref(1)?) { Some(row.get(0)?) } else { None })
                    });
                    Ok(row.optional()?.flatten())
                })
                .collect()
        };
        read().unwrap_or_else(|err| {
            without("The hash cache", &self.folder, &err);
            vec![None; files.len()]
        })
    }

    /// Stores rows in one transaction. A row that is there keeps the form of its time, so that its writer finds it too.
    pub fn store(&mut self, rows: &[HashRow]) {
        let Some(connection) = &mut self.connection else { return };
        if rows.is_empty() {
            return;
        }
        let write = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            {
                let mut statement = transaction.prepare(
                    "INSERT INTO hashesV4 VALUES(?1, ?2, 0, -1, ?3, ?4) \
                     ON CONFLICT(file_path, hash_algorithm, range_start, range_end) DO UPDATE SET file_hash=?3, \
                     last_modified_time=iif(typeof(last_modified_time)='integer', ?5, ?4)",
                )?;
                for row in rows {
                    let Modified { text, number } = &row.modified;
                    statement.execute(params![path_key(&row.path), HASH_ALGORITHM, row.hash, text, number])?;
                }
            }
            transaction.commit()
        };
        if let Err(err) = write(connection) {
            without("The hash cache", &self.folder, &err);
            self.connection = None;
        }
    }
}

/// `s3_check_cache.db`: objects that were seen in a bucket not long ago.
pub struct CheckCache {
    folder: PathBuf,
    connection: Option<Connection>,
}

impl CheckCache {
    /// Opens or makes the cache; `None` is a cache that knows nothing and keeps nothing.
    #[must_use]
    pub fn open(folder: Option<&Path>) -> Self {
        let connection = folder.and_then(|folder| {
            open(folder, "s3_check_cache.db", CHECKS).map_err(|err| without("The S3 check cache", folder, &err)).ok()
        });
        Self { folder: folder.map(Path::to_path_buf).unwrap_or_default(), connection }
    }

    /// Those of `keys` (`<bucket>/<object key>`) that were seen in the last 30 days.
    pub fn seen<'k>(&self, keys: impl Iterator<Item = &'k str>) -> HashSet<&'k str> {
        let Some(connection) = &self.connection else { return HashSet::new() };
        let limit = SystemTime::now().checked_sub(EXPIRY).map_or(0.0, epoch);
        let read = || -> rusqlite::Result<HashSet<&'k str>> {
            let transaction = connection.unchecked_transaction()?;
            let mut statement =
                transaction.prepare("SELECT CAST(last_seen_time AS TEXT) FROM s3checkV1 WHERE s3_key=?")?;
            let mut seen = HashSet::new();
            for key in keys {
                let time: Option<String> = statement.query_row([key], |row| row.get(0)).optional()?;
                if time.and_then(|time| time.parse::<f64>().ok()).is_some_and(|time| time > limit) {
                    seen.insert(key);
                }
            }
            Ok(seen)
        };
        read().unwrap_or_else(|err| {
            without("The S3 check cache", &self.folder, &err);
            HashSet::new()
        })
    }

    /// Notes objects as seen now, in one transaction.
    pub fn store(&mut self, keys: &[String]) {
        let Some(connection) = &mut self.connection else { return };
        if keys.is_empty() {
            return;
        }
        let now = format!("{:.6}", epoch(SystemTime::now()));
        let write = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            {
                let mut statement = transaction.prepare("INSERT OR REPLACE INTO s3checkV1 VALUES(?, ?)")?;
                for key in keys {
                    statement.execute(params![key, now])?;
                }
            }
            transaction.commit()
        };
        if let Err(err) = write(connection) {
            without("The S3 check cache", &self.folder, &err);
            self.connection = None;
        }
    }

    /// Forgets everything: an object that should be there was not. The rows are deleted rather than the file, which
    /// another process may have open.
    pub fn clear(&mut self) {
        let Some(connection) = &self.connection else { return };
        if let Err(err) = connection.execute("DELETE FROM s3checkV1", []) {
            without("The S3 check cache", &self.folder, &err);
            self.connection = None;
        }
    }
}

fn epoch(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Resolves links in the folders of many files with one look per folder.
#[derive(Default)]
pub(crate) struct Resolver {
    folders: HashMap<PathBuf, PathBuf>,
}

impl Resolver {
    /// The path under which the official client keeps a file: absolute, every link followed, without `\\\\?\\`.
    pub(crate) fn resolve(&mut self, path: &Path, is_link: bool) -> std::io::Result<PathBuf> {
        let (Some(folder), Some(name), false) = (path.parent(), path.file_name(), is_link) else {
            return dunce::canonicalize(path);
        };
        if let Some(resolved) = self.folders.get(folder) {
            return Ok(resolved.join(name));
        }
        let resolved = dunce::canonicalize(folder)?;
        let file = resolved.join(name);
        self.folders.insert(folder.to_path_buf(), resolved);
        Ok(file)
    }
}
