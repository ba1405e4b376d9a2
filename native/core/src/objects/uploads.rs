//! Multipart uploads under way.
//!
//! ```text
//! <root>/uploads/<id>/upload.json    what is being uploaded
//! <root>/uploads/<id>/body           the object as far as it is there
//! <root>/uploads/<id>/<n>.json       one per part that is whole: size, checksums, where it lies
//! <root>/uploads/<id>/<n>-<k>.data   a part that does not lie in the body
//! ```
//!
//! All parts but the last have one size in practice, so a part is written straight to its place in the body, and completing
//! an upload is a footer and a rename instead of a copy. A part whose size does not fit the pattern, or that is sent again,
//! goes to a file of its own; then the object is put together by copying. A part counts once its record is there, which
//! is written after its bytes; records survive a restart.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::checksums::{self, Algorithm, Stored};
use super::format::{self, Description, Headers, Parts};
use super::store::{Condition, Store, now};

mod parts;

pub(super) use parts::{PartRecord, PartWriter, State};
use parts::{Place, Plan, copy_part, write_json};

/// Uploads that nobody touched for so long are removed at start.
const ABANDONED: Duration = Duration::from_secs(7 * 24 * 3600);
/// The protocol's least size of a part that is not the last.
const LEAST_PART: u64 = 5 * 1024 * 1024;

/// What is being uploaded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Upload {
    pub id: String,
    pub bucket: String,
    pub key: String,
    /// Milliseconds since 1970.
    pub initiated: u64,
    pub headers: Headers,
    pub metadata: BTreeMap<String, String>,
    pub algorithm: Option<Algorithm>,
    /// The object's checksum is one of its parts' checksums.
    pub composite: bool,
}

/// A part as a client names it when it completes an upload.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub number: u32,
    pub etag: Option<String>,
    pub checksum: Option<Stored>,
}

/// Why an upload was not completed.
#[derive(Debug)]
pub(super) enum Refusal {
    NoSuchUpload,
    PreconditionFailed,
    Part(u32),
    Order,
    TooSmall(u32),
    Checksum { expected: String, found: String },
    Size { expected: u64, found: u64 },
    Io(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(err: io::Error) -> Self {
        Self::Io(err)
    }
}

/// What a client expects of the finished object.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub checksum: Option<Stored>,
    pub size: Option<u64>,
}

/// All uploads of a store.
pub(super) struct Uploads {
    store: Arc<Store>,
    open: Mutex<HashMap<String, Arc<State>>>,
}

impl Uploads {
    /// Reads what is under way, and removes what was abandoned.
    pub(super) fn open(store: Arc<Store>) -> Self {
        let uploads = Self { store, open: Mutex::default() };
        let oldest = now().saturating_sub(u64::try_from(ABANDONED.as_millis()).unwrap_or(u64::MAX));
        for entry in fs::read_dir(&uploads.store.uploads).into_iter().flatten().flatten() {
            let touched = entry.metadata().and_then(|metadata| metadata.modified()).ok();
            let touched = touched.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
            if touched.is_some_and(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX) < oldest) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        uploads
    }

    /// Begins an upload.
    pub(super) fn create(&self, upload: Upload) -> io::Result<()> {
        let folder = self.store.uploads.join(&upload.id);
        fs::create_dir(&folder)?;
        write_json(&folder, "upload.json", &upload)?;
        let id = upload.id.clone();
        self.table().insert(id, Arc::new(State::new(upload, folder)));
        Ok(())
    }

    /// The upload of that id, for that object.
    pub(super) fn find(&self, id: &str, bucket: &str, key: &str) -> io::Result<Option<Arc<State>>> {
        // An id becomes a file name: nothing but what `create` was given.
        if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let mut table = self.table();
        let state = match table.get(id) {
            Some(state) => Arc::clone(state),
            None => {
                let Some(state) = State::load(&self.store.uploads.join(id))? else { return Ok(None) };
                let state = Arc::new(state);
                table.insert(id.to_owned(), Arc::clone(&state));
                state
            }
        };
        Ok((state.upload.bucket == bucket && state.upload.key == key).then_some(state))
    }

    /// All uploads to a bucket, by key and start.
    pub(super) fn list(&self, bucket: &str, prefix: &str) -> io::Result<Vec<Upload>> {
        let mut uploads = Vec::new();
        for entry in fs::read_dir(&self.store.uploads)? {
            let Ok(text) = fs::read(entry?.path().join("upload.json")) else { continue };
            let Ok(upload) = serde_json::from_slice::<Upload>(&text) else { continue };
            if upload.bucket == bucket && upload.key.starts_with(prefix) {
                uploads.push(upload);
            }
        }
        uploads.sort_by(|a, b| (&a.key, a.initiated, &a.id).cmp(&(&b.key, b.initiated, &b.id)));
        Ok(uploads)
    }

    /// Drops an upload with its parts.
    pub(super) fn abort(&self, state: &State) -> io::Result<()> {
        let mut plan = state.plan();
        plan.finished = true;
        self.table().remove(&state.upload.id);
        fs::remove_dir_all(&state.folder)
    }

    /// Makes the object of the named parts.
    pub(super) fn complete(
        &self,
        state: &State,
        named: &[Named],
        condition: &Condition,
        expected: &Expected,
    ) -> Result<Description, Refusal> {
        let mut plan = state.plan();
        if plan.finished {
            return Err(Refusal::NoSuchUpload);
        }
        let parts = chosen(&plan, named)?;
        let upload = &state.upload;
        let size = parts.iter().map(|part| part.size).sum();
        let mut crc64 = 0;
        for (index, part) in parts.iter().enumerate() {
            crc64 = if index == 0 { part.crc64 } else { checksums::combine_crc64(crc64, part.crc64, part.size) };
        }
        let checksum = whole_checksum(upload, &parts, crc64);
        if let Some(expected) = expected.size.filter(|&expected| expected != size) {
            return Err(Refusal::Size { expected, found: size });
        }
        if let Some(wanted) = &expected.checksum
            && wanted.algorithm == checksum.algorithm
            && wanted.value != checksum.value
        {
            return Err(Refusal::Checksum { expected: wanted.value.clone(), found: checksum.value });
        }
        let first = parts.first().map_or(0, |part| part.size);
        let even =
            parts[..parts.len() - 1].iter().all(|part| part.size == first) && parts[parts.len() - 1].size <= first;
        let description = Description {
            key: upload.key.clone(),
            size,
            etag: checksums::etag(crc64, size, parts.len()),
            crc64,
            modified: now(),
            checksum: Some(checksum),
            parts: Some(Parts {
                count: u32::try_from(parts.len()).unwrap_or(u32::MAX),
                stride: if even { first } else { 0 },
            }),
            upload: Some(upload.id.clone()),
            headers: upload.headers.clone(),
            metadata: upload.metadata.clone(),
        };
        let footer = format::footer(&description)?;
        let published = match self.in_place(state, &plan, &parts, size, &footer)? {
            Some(body) => self.store.publish_file(&body, &upload.bucket, &upload.key, condition)?,
            None => {
                let mut staged = self.store.stage()?;
                for part in &parts {
                    copy_part(&state.folder, part, &mut staged.file)?;
                }
                staged.write(&footer)?;
                self.store.publish(staged, &upload.bucket, &upload.key, condition)?
            }
        };
        if !published {
            return Err(Refusal::PreconditionFailed);
        }
        plan.finished = true;
        plan.body = None;
        self.table().remove(&upload.id);
        // The object is there; what is left of the upload is only in the way.
        let _ = fs::remove_dir_all(&state.folder);
        Ok(description)
    }

    /// Ends the body with the footer when the parts lie in it one behind the other; the path to publish.
    fn in_place(
        &self,
        state: &State,
        plan: &Plan,
        parts: &[PartRecord],
        size: u64,
        footer: &[u8],
    ) -> io::Result<Option<PathBuf>> {
        let mut end = 0;
        for part in parts {
            if !matches!(part.place, Place::Body(start) if start == end) {
                return Ok(None);
            }
            end += part.size;
        }
        // A writer that is still at it holds the file open and could write into the finished object.
        if !plan.writing.is_empty() {
            return Ok(None);
        }
        let path = state.folder.join("body");
        let mut file = File::options().write(true).open(&path)?;
        // Cuts what an attempt before this one, or a part that is not wanted, left behind the end.
        file.set_len(size)?;
        file.seek(SeekFrom::Start(size))?;
        file.write_all(footer)?;
        Ok(Some(path))
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Arc<State>>> {
        self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn chosen(plan: &Plan, named: &[Named]) -> Result<Vec<PartRecord>, Refusal> {
    if !named.is_sorted_by(|before, name| before.number < name.number) {
        return Err(Refusal::Order);
    }
    let mut parts: Vec<PartRecord> = Vec::with_capacity(named.len());
    for (index, name) in named.iter().enumerate() {
        let part = plan.parts.get(&name.number).ok_or(Refusal::Part(name.number))?;
        let other_etag = name.etag.as_ref().is_some_and(|etag| *etag != part.etag);
        let other_checksum = name.checksum.as_ref().is_some_and(|checksum| {
            checksum.algorithm == part.checksum.algorithm && checksum.value != part.checksum.value
        });
        if other_etag || other_checksum {
            return Err(Refusal::Part(name.number));
        }
        if index + 1 < named.len() && part.size < LEAST_PART {
            return Err(Refusal::TooSmall(name.number));
        }
        parts.push(part.clone());
    }
    if parts.is_empty() { Err(Refusal::Part(1)) } else { Ok(parts) }
}

fn whole_checksum(upload: &Upload, parts: &[PartRecord], crc64: u64) -> Stored {
    let Some(algorithm) = upload.algorithm else { return checksums::full_crc64(crc64) };
    let values = || parts.iter().filter(|part| part.checksum.algorithm == algorithm);
    if values().count() != parts.len() {
        return checksums::full_crc64(crc64);
    }
    let made = if upload.composite {
        checksums::composite(algorithm, values().map(|part| part.checksum.value.as_str()))
    } else {
        checksums::combined(algorithm, values().map(|part| (part.checksum.value.as_str(), part.size)))
    };
    made.unwrap_or_else(|| checksums::full_crc64(crc64))
}
