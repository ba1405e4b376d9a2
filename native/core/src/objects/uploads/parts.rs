//! The parts of one upload: where each is written, and the record that makes it count.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use serde::{Deserialize, Serialize};

use super::Upload;
use crate::objects::checksums::{Digested, Stored};
use crate::objects::store::now;

/// A part that is whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::objects) struct PartRecord {
    pub number: u32,
    pub size: u64,
    pub etag: String,
    pub crc64: u64,
    pub checksum: Stored,
    pub modified: u64,
    pub(super) place: Place,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Place {
    Body(u64),
    Own(String),
}

/// One upload in memory.
pub(in crate::objects) struct State {
    pub upload: Upload,
    pub(super) folder: PathBuf,
    plan: Mutex<Plan>,
}

#[derive(Default)]
pub(super) struct Plan {
    pub(super) body: Option<Arc<File>>,
    stride: Option<u64>,
    pub(super) parts: BTreeMap<u32, PartRecord>,
    /// Numbers that are being written into the body.
    pub(super) writing: HashSet<u32>,
    attempts: u64,
    pub(super) finished: bool,
}

/// A part on its way; forgotten when dropped before [`PartWriter::finish`].
pub(in crate::objects) struct PartWriter {
    state: Arc<State>,
    number: u32,
    file: Arc<File>,
    start: u64,
    written: u64,
    own: Option<String>,
    done: bool,
}

impl State {
    pub(super) fn new(upload: Upload, folder: PathBuf) -> Self {
        Self { upload, folder, plan: Mutex::default() }
    }

    pub(super) fn load(folder: &Path) -> io::Result<Option<Self>> {
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
    pub(in crate::objects) fn parts(&self) -> Vec<PartRecord> {
        self.plan().parts.values().cloned().collect()
    }

    /// A place for a part of a known size; `None` when the upload has ended.
    pub(in crate::objects) fn begin_part(self: &Arc<Self>, number: u32, size: u64) -> io::Result<Option<PartWriter>> {
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

    pub(super) fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl PartWriter {
    pub(in crate::objects) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        write_all_at(&self.file, bytes, self.start + self.written)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Records the part; `None` when the upload has ended meanwhile.
    pub(in crate::objects) fn finish(mut self, digested: &Digested) -> io::Result<Option<PartRecord>> {
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

pub(super) fn copy_part(folder: &Path, part: &PartRecord, target: &mut File) -> io::Result<()> {
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

pub(super) fn write_json(folder: &Path, name: &str, value: &impl Serialize) -> io::Result<()> {
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
