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

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::checksums::{self, Algorithm, Digested, Stored};
use super::format::{self, Description, Headers, Parts};
use super::store::{Condition, Store, now};

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

/// A part that is whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PartRecord {
    pub number: u32,
    pub size: u64,
    pub etag: String,
    pub crc64: u64,
    pub checksum: Stored,
    pub modified: u64,
    place: Place,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Place {
    Body(u64),
    Own(String),
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

/// One upload in memory.
pub(super) struct State {
    pub upload: Upload,
    folder: PathBuf,
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    body: Option<Arc<File>>,
    stride: Option<u64>,
    parts: BTreeMap<u32, PartRecord>,
    /// Numbers that are being written into the body.
    writing: HashSet<u32>,
    attempts: u64,
    finished: bool,
}

/// A part on its way; forgotten when dropped before [`PartWriter::finish`].
pub(super) struct PartWriter {
    state: Arc<State>,
    number: u32,
    file: Arc<File>,
    start: u64,
    written: u64,
    own: Option<String>,
    done: bool,
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
        let state = State { upload, folder, plan: Mutex::default() };
        self.table().insert(state.upload.id.clone(), Arc::new(state));
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

impl State {
    fn load(folder: &Path) -> io::Result<Option<Self>> {
        let text = match fs::read(folder.join("upload.json")) {
            Ok(text) => text,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(err),
        };
        let Ok(upload) = serde_json::from_slice::<Upload>(&text) else { return Ok(None) };
        let mut plan = Plan::default();
        // The body is gone when it became the object, and the process ended before the rest was removed.
        let has_body = folder.join("body").exists();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let is_record =
                path.extension().is_some_and(|extension| extension == "json") && !path.ends_with("upload.json");
            if !is_record {
                continue;
            }
            let Ok(record) = serde_json::from_slice::<PartRecord>(&fs::read(&path)?) else { continue };
            match &record.place {
                Place::Body(_) if !has_body => return Ok(None),
                Place::Body(start) if record.number > 1 => plan.stride = Some(start / u64::from(record.number - 1)),
                Place::Body(_) if plan.stride.is_none() => plan.stride = Some(record.size),
                Place::Body(_) | Place::Own(_) => {}
            }
            plan.parts.insert(record.number, record);
        }
        Ok(Some(Self { upload, folder: folder.to_owned(), plan: Mutex::new(plan) }))
    }

    /// Parts that are whole, by number.
    pub(super) fn parts(&self) -> Vec<PartRecord> {
        self.plan().parts.values().cloned().collect()
    }

    /// A place for a part of a known size; `None` when the upload has ended.
    pub(super) fn begin_part(self: &Arc<Self>, number: u32, size: u64) -> io::Result<Option<PartWriter>> {
        let mut plan = self.plan();
        if plan.finished {
            return Ok(None);
        }
        let index = u64::from(number.saturating_sub(1));
        let stride = plan.stride.unwrap_or(size);
        let fits = size <= stride && size > 0 && !plan.parts.contains_key(&number) && !plan.writing.contains(&number);
        plan.attempts += 1;
        let (file, start, own) = match index.checked_mul(stride).filter(|_| fits) {
            Some(start) => {
                plan.stride = Some(stride);
                let body = match &plan.body {
                    Some(body) => Arc::clone(body),
                    None => {
                        let path = self.folder.join("body");
                        let body = Arc::new(File::options().write(true).create(true).truncate(false).open(path)?);
                        plan.body = Some(Arc::clone(&body));
                        body
                    }
                };
                plan.writing.insert(number);
                (body, start, None)
            }
            None => {
                let name = format!("{number}-{}-{}.data", now(), plan.attempts);
                (Arc::new(File::create_new(self.folder.join(&name))?), 0, Some(name))
            }
        };
        Ok(Some(PartWriter { state: Arc::clone(self), number, file, start, written: 0, own, done: false }))
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl PartWriter {
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        write_all_at(&self.file, bytes, self.start + self.written)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Records the part; `None` when the upload has ended meanwhile.
    pub(super) fn finish(mut self, digested: &Digested) -> io::Result<Option<PartRecord>> {
        let record = PartRecord {
            number: self.number,
            size: self.written,
            etag: digested.etag(self.written),
            crc64: digested.crc64,
            checksum: digested.stored(),
            modified: now(),
            place: self.own.clone().map_or(Place::Body(self.start), Place::Own),
        };
        let state = Arc::clone(&self.state);
        let mut plan = state.plan();
        if plan.finished {
            return Ok(None);
        }
        write_json(&state.folder, &format!("{}.json", self.number), &record)?;
        if self.own.is_none() {
            plan.writing.remove(&self.number);
        }
        self.done = true;
        let replaced = plan.parts.insert(self.number, record.clone());
        if let Some(PartRecord { place: Place::Own(name), .. }) = replaced {
            let _ = fs::remove_file(state.folder.join(name));
        }
        Ok(Some(record))
    }
}

impl Drop for PartWriter {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        match &self.own {
            Some(name) => {
                let _ = fs::remove_file(self.state.folder.join(name));
            }
            None => {
                self.state.plan().writing.remove(&self.number);
            }
        }
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

fn copy_part(folder: &Path, part: &PartRecord, target: &mut File) -> io::Result<()> {
    let (name, start) = match &part.place {
        Place::Body(start) => ("body", *start),
        Place::Own(name) => (name.as_str(), 0),
    };
    let mut source = File::open(folder.join(name))?;
    source.seek(SeekFrom::Start(start))?;
    // The standard library copies inside the kernel, and shares blocks where the file system can.
    if io::copy(&mut source.take(part.size), target)? == part.size {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("part {} of the upload is damaged", part.number)))
    }
}

fn write_json(folder: &Path, name: &str, value: &impl Serialize) -> io::Result<()> {
    let temporary = folder.join(format!("{name}.new"));
    fs::write(&temporary, serde_json::to_vec(value)?)?;
    fs::rename(&temporary, folder.join(name))
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
}
