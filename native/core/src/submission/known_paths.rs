//! Which files may leave this machine without a question.
//!
//! A bundle from elsewhere could name any file of the user. Files below folders that the user, the configuration or the
//! storage profile names are known; for the rest a person is asked.

use std::path::{Path, PathBuf};

use super::{Callbacks, Submission};
use crate::attachments::grouping::{Location, LocationKind, Prepared};
use crate::attachments::progress::human_size;
use crate::bundle::parameters::{self, Parameter};
use crate::bundle::{Bundle, absolute};
use crate::error::{CoreError, Result};

/// As many paths as a message can hold and still be read.
const MOST_SHOWN: usize = 10;

/// Asks about files outside of the known folders, and as the official client about all; says what will be transferred
/// either way.
pub(super) fn confirm(
    submission: &Submission,
    bundle: &Bundle,
    parameters: &[Parameter],
    locations: &[Location],
    prepared: &Prepared,
    callbacks: &Callbacks<'_>,
) -> Result<()> {
    let files = if prepared.total_files == 1 { "file" } else { "files" };
    let summary =
        format!("The job reads {} input {files}, {} in total.", prepared.total_files, human_size(prepared.total_bytes));
    callbacks.print(&summary);
    let declined = || Err(CoreError::UserCanceled("The submission was declined. Nothing was uploaded.".into()));
    let unknown = unknown_files(submission, bundle, parameters, locations, prepared);
    if unknown.is_empty() {
        let Some(ask) = callbacks.on_confirm.filter(|_| submission.as_official_client && !submission.auto_accept)
        else {
            return Ok(());
        };
        let moved = prepared.groups.iter().filter(|group| !(group.inputs.is_empty() && group.outputs.is_empty()));
        let roots: Vec<String> = moved.map(|group| format!("\n  {}", group.root.display())).collect();
        if roots.is_empty() {
            return Ok(());
        }
        let question = format!("{summary} It reads and writes below:\n{}\n\nSubmit it?", roots.concat());
        return if ask(&question, true) { Ok(()) } else { declined() };
    }
    let message = describe(&unknown);
    if submission.auto_accept && !submission.from_gui {
        return Err(CoreError::Canceled(format!(
            "The submission was canceled, because auto_accept covers no files outside of the known folders. {message} \
             Add their folders to known_asset_paths or to settings.known_asset_paths."
        )));
    }
    let Some(ask) = callbacks.on_confirm else {
        callbacks.print(&message);
        return Err(CoreError::Canceled(format!(
            "The submission was canceled, because nobody could be asked. {message} Add their folders to \
             known_asset_paths or to settings.known_asset_paths."
        )));
    };
    if ask(&format!("{message}\n\nUpload them all the same?"), false) {
        return Ok(());
    }
    declined()
}

/// The files that lie outside of the known folders.
pub(super) fn unknown_files<'p>(
    submission: &Submission,
    bundle: &Bundle,
    parameters: &[Parameter],
    locations: &[Location],
    prepared: &'p Prepared,
) -> Vec<&'p Path> {
    let known = known_folders(submission, bundle, parameters, locations);
    let inputs = prepared.groups.iter().flat_map(|group| &group.inputs);
    inputs
        .map(|input| input.path.as_path())
        .filter(|path| !known.iter().any(|folder| path.starts_with(folder)))
        .collect()
}

/// Folders without those that lie in another one.
pub(super) fn outermost(mut folders: Vec<PathBuf>) -> Vec<PathBuf> {
    folders.sort();
    folders.dedup_by(|later, earlier| later.starts_with(earlier));
    folders
}

fn describe(unknown: &[&Path]) -> String {
    let shown: Vec<String> = unknown.iter().take(MOST_SHOWN).map(|path| format!("\n  {}", path.display())).collect();
    let more = unknown.len().saturating_sub(MOST_SHOWN);
    let rest = if more > 0 { format!("\n  and {more} more") } else { String::new() };
    let (files, lie) = if unknown.len() == 1 { ("file", "lies") } else { ("files", "lie") };
    format!("{} input {files} {lie} outside of the known folders:{}{rest}\n", unknown.len(), shown.concat())
        .trim_end()
        .to_owned()
        + "\n"
}

fn known_folders(
    submission: &Submission,
    bundle: &Bundle,
    parameters: &[Parameter],
    locations: &[Location],
) -> Vec<PathBuf> {
    let mut folders = submission.known_asset_paths.clone();
    folders.push(submission.bundle_dir.clone());
    // Paths of the bundle come with its links resolved.
    folders.extend(submission.bundle_dir.canonicalize());
    folders.extend(
        locations.iter().filter(|location| location.kind == LocationKind::Local).map(|location| location.path.clone()),
    );
    // What the caller gave by hand in this call is known.
    for (name, value) in &submission.job_parameters {
        let Some(parameter) = parameters.iter().find(|parameter| parameter["name"] == name.as_str()) else {
            continue;
        };
        let is_file = parameter.get("objectType").is_some_and(|kind| kind == "FILE");
        for path in parameters::paths(parameter, value, bundle.has_uris()) {
            let path = absolute(Path::new(&path), &submission.current_dir);
            folders.extend(if is_file { path.parent().map(Path::to_path_buf) } else { Some(path) });
        }
    }
    outermost(folders)
}
