//! A file in the making: beside its place, under a hidden name that no other download writes to.
//!
//! The name is the same for each attempt at the same content, so that a later one goes on where an earlier one ended. A
//! finished part is moved to its place in one step.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::hash::{Hasher, hash_bytes, read_full};
use super::manifest::Entry;
use super::paths::disk_fault;
use crate::{CoreError, Result};

/// Bytes of a stream that are hashed and written at once.
pub(super) const BLOCK: usize = 4 * 1024 * 1024;
/// Copies of one name that are counted before giving up.
const MAX_COPIES: u32 = 9_999;

/// What to do with a file that is there and differs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Conflict {
    /// Keep it.
    Skip,
    /// Replace it.
    Overwrite,
    /// Put the new one beside it, as `name (1).ext`.
    #[default]
    CreateCopy,
}

impl Conflict {
    /// Reads the word of the settings and the command line.
    ///
    /// # Errors
    /// `Attachments` for another word.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "SKIP" => Ok(Self::Skip),
            "OVERWRITE" => Ok(Self::Overwrite),
            "CREATE_COPY" => Ok(Self::CreateCopy),
            other => Err(CoreError::Attachments(format!(
                "The conflict resolution {other:?} is not known. Use SKIP, OVERWRITE or CREATE_COPY."
            ))),
        }
    }
}

/// The name beside its place under which a file is made: the same for each attempt, so that a later one goes on. Who
/// comes while another download makes the same file there uses a name of its own: see [`Claim`].
pub(super) fn part_path(place: &Path, entry: &Entry) -> PathBuf {
    let name = place.file_name().unwrap_or_default().as_encoded_bytes();
    let unique = &hash_bytes(&[name, entry.hash.as_bytes()].concat())[..16];
    place.with_file_name(format!(".shotput-{unique}.part"))
}

pub(super) fn write_whole(part: &Path, body: &Bytes, entry: &Entry) -> Result<Claim> {
    let failed = |err: io::Error| cannot_write(part.parent().unwrap_or(part), &err);
    let mut claim = Claim::take(part).map_err(failed)?;
    let mut write = || {
        claim.file.set_len(0)?;
        claim.file.write_all(body)?;
        claim.file.set_modified(modified(entry))
    };
    // No later attempt goes on with it, and whoever waits for it may be gone: a download that was canceled.
    claim.name.is_passing = true;
    write().map_err(failed)?;
    Ok(claim)
}

/// A part that no other download writes to, on this machine or another, for as long as this is held.
pub(super) struct Claim {
    name: Name,
    pub(super) file: File,
}

/// The hidden name of a part. A passing one goes when this is dropped: no later attempt could go on with it.
struct Name {
    path: PathBuf,
    is_passing: bool,
}

impl Drop for Name {
    fn drop(&mut self) {
        if self.is_passing {
            // What failed before is told, and not that this fails too.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Claim {
    /// Where the part is.
    pub(super) fn path(&self) -> &Path {
        &self.name.path
    }

    /// Removes the part.
    pub(super) fn give_up(mut self) {
        self.name.is_passing = true;
    }

    /// Opens the part of an earlier attempt or makes it, and never what somebody else put there: it could be a link to
    /// another file.
    pub(super) fn take(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        loop {
            if path.symlink_metadata().is_ok_and(|found| !found.is_file()) {
                remove_if_there(path)?;
            }
            let file = open_no_link(options.clone().create(true).truncate(false), path)?;
            match file.try_lock() {
                // Where a file system knows no locks, only one download at a time can be told from another.
                Ok(()) | Err(TryLockError::Error(_)) => {}
                Err(TryLockError::WouldBlock) => {
                    let path = path.with_extension(format!("{}.part", uuid::Uuid::new_v4().simple()));
                    let file = open_no_link(options.create_new(true), &path)?;
                    // A name that no later attempt would find.
                    return Ok(Self { name: Name { path, is_passing: true }, file });
                }
            }
            let found = file.metadata()?;
            if !is_own(&found) {
                remove_if_there(path)?;
            } else if is_at(&found, path) {
                return Ok(Self { name: Name { path: path.to_path_buf(), is_passing: false }, file });
            }
        }
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
        _ => Ok(()),
    }
}

/// Removes the name of a part that has its place already: whoever was killed between giving it the one name and taking
/// the other left both.
pub(super) fn remove_twin(place: &Path, entry: &Entry, found: &std::fs::Metadata) -> Result<()> {
    let part = part_path(place, entry);
    if is_own(found) || !is_at(found, &part) {
        return Ok(());
    }
    remove_if_there(&part).map_err(|err| cannot_write(&part, &err))
}

/// Whether an open file still has this name: another download may have moved it to its place meanwhile.
fn is_at(open: &std::fs::Metadata, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        path.symlink_metadata().is_ok_and(|found| (found.dev(), found.ino()) == (open.dev(), open.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = open;
        path.exists()
    }
}

pub(super) fn modified(entry: &Entry) -> SystemTime {
    let distance = Duration::from_micros(entry.mtime.unsigned_abs());
    let time = if entry.mtime < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    time.unwrap_or(UNIX_EPOCH)
}

pub(super) struct Part {
    pub(super) file: File,
    pub(super) hasher: Hasher,
    pub(super) length: u64,
}

/// Hashes what a part has.
pub(super) fn open_part(mut file: File, size: u64) -> io::Result<Part> {
    if file.metadata()?.len() > size {
        file.set_len(0)?;
    }
    file.rewind()?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; BLOCK];
    let mut length = 0;
    loop {
        let filled = read_full(&mut file, &mut buffer)?;
        if filled == 0 {
            break;
        }
        hasher.update(&buffer[..filled]);
        length += filled as u64;
    }
    file.seek(SeekFrom::Start(length))?;
    Ok(Part { file, hasher, length })
}

/// Whether a file is nobody else's too: no link of either kind.
fn is_own(found: &std::fs::Metadata) -> bool {
    #[cfg(unix)]
    let links = std::os::unix::fs::MetadataExt::nlink(found);
    #[cfg(not(unix))]
    let links = 1;
    found.is_file() && links == 1
}

/// Opens a file, and not what a link that was put there meanwhile leads to.
fn open_no_link(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, nix::libc::O_NOFOLLOW);
    options.open(path)
}

/// Moves a finished part to its place, or beside it.
pub(super) fn publish(
    claim: Claim,
    place: &Path,
    conflict: Conflict,
    copies: &Mutex<HashSet<PathBuf>>,
) -> Result<PathBuf> {
    let Claim { name: hidden, file } = claim;
    let part = hidden.path.clone();
    // Held until the name is another or gone, so it is dropped last; a system that moves no open files does without.
    let _file = cfg!(unix).then_some(file);
    let mut hidden = hidden;
    hidden.is_passing = true;
    let failed = |err: io::Error| cannot_write(place, &err);
    if conflict == Conflict::Overwrite {
        std::fs::rename(&part, place).map_err(failed)?;
        hidden.is_passing = false;
        return Ok(place.to_path_buf());
    }
    // Names are taken one after the other: two files of one download may want the same copy.
    let mut taken = copies.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut name = place.to_path_buf();
    for number in 1..=MAX_COPIES {
        if !taken.contains(&name) {
            // A hard link takes the name only when it is free, in one step; then the other name goes.
            match std::fs::hard_link(&part, &name) {
                Ok(()) => {
                    remove_if_there(&part).map_err(failed)?;
                    hidden.is_passing = false;
                    taken.insert(name.clone());
                    return Ok(name);
                }
                Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
                    if conflict == Conflict::Skip {
                        return Ok(name);
                    }
                }
                // No links on this file system: look, then move.
                Err(_) if name.symlink_metadata().is_err() => {
                    std::fs::rename(&part, &name).map_err(failed)?;
                    hidden.is_passing = false;
                    taken.insert(name.clone());
                    return Ok(name);
                }
                Err(_) => {}
            }
        }
        let stem = place.file_stem().unwrap_or_default().to_string_lossy();
        let extension = place.extension().map(|text| format!(".{}", text.to_string_lossy())).unwrap_or_default();
        name = place.with_file_name(format!("{stem} ({number}){extension}"));
    }
    Err(failed(io::Error::other(format!("{MAX_COPIES} copies of this name are there"))))
}

pub(super) fn cannot_write(path: &Path, err: &io::Error) -> CoreError {
    CoreError::Attachments(format!("Cannot write {}: {}.", path.display(), disk_fault(err)))
}
