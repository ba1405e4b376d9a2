//! Submission hooks: programs of the user's that see a job before it is sent and after it was created.
//!
//! They come from the folder `$DEADLINE_HOOKS_DIR` and from the bundle, in this order, and run only where the
//! configuration allows it: a bundle from elsewhere could name any program.

mod program;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::process::Command;

use super::{Callbacks, Lane, Submission};
use crate::bundle::documents::Document;
use crate::bundle::{Bundle, absolute};
use crate::error::{CoreError, Result};

use program::{Group, attend};

const VERSION: &str = "1.0";
const DEFAULT_TIMEOUT: u64 = 60;
/// One program.
#[derive(Debug, Clone, Deserialize)]
struct Hook {
    command: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default = "default_timeout")]
    timeout: u64,
    #[serde(default)]
    env: BTreeMap<String, Value>,
}

const fn default_timeout() -> u64 {
    DEFAULT_TIMEOUT
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listing {
    version: String,
    #[serde(default)]
    pre_submission: Vec<Hook>,
    #[serde(default)]
    post_submission: Vec<Hook>,
}

/// The hooks of one document.
#[derive(Debug)]
struct Source {
    document: PathBuf,
    /// What relative commands and arguments are relative to.
    folder: PathBuf,
    listing: Listing,
}

/// All hooks of a submission.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    sources: Vec<Source>,
}

/// What a hook is told of the job.
pub(super) struct Facts<'a> {
    pub(super) submission: &'a Submission,
    pub(super) job_name: &'a str,
    /// Values by name.
    pub(super) parameters: Map<String, Value>,
    /// In the shape of the bundle's document.
    pub(super) asset_references: Value,
    /// The members of `CreateJob` as far as they are known.
    pub(super) payload: Map<String, Value>,
    pub(super) job_id: Option<&'a str>,
}

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Before,
    After,
}

impl Hooks {
    /// Finds the hooks that may run. Those that may not are named to the caller.
    pub(super) fn find(submission: &Submission, bundle: &Bundle, callbacks: &Callbacks<'_>) -> Result<Self> {
        let mut found = Self::default();
        let places = [
            (submission.environment_hooks_dir.as_deref(), submission.allow_environment_hooks, "environment"),
            (Some(bundle.folder.as_path()), submission.allow_bundle_hooks, "bundle"),
        ];
        for (folder, allowed, kind) in places {
            let Some(folder) = folder else { continue };
            let present = ["hooks.yaml", "hooks.json"].iter().map(|name| folder.join(name)).find(|path| path.is_file());
            match present {
                None if allowed && !folder.is_dir() => {
                    return Err(CoreError::Operation(format!(
                        "The folder of submission hooks {} (DEADLINE_HOOKS_DIR) does not exist. Correct the variable, \
                         or turn settings.allow_environment_hooks off.",
                        folder.display()
                    )));
                }
                None => {}
                Some(path) if !allowed => callbacks.print(&format!(
                    "The submission hooks in {} are not run: settings.allow_{kind}_hooks is off.",
                    path.display()
                )),
                Some(_) => found.sources.extend(Source::read(folder)?),
            }
        }
        found
            .sources
            .retain(|source| !(source.listing.pre_submission.is_empty() && source.listing.post_submission.is_empty()));
        Ok(found)
    }

    /// Asks whether they may run. Nobody to ask is a yes, because the configuration allows them, but for the official
    /// client.
    pub(super) fn confirm(&self, submission: &Submission, callbacks: &Callbacks<'_>) -> Result<()> {
        if self.sources.is_empty() || submission.auto_accept {
            return Ok(());
        }
        let mut message = String::from("This submission runs programs:\n");
        for source in &self.sources {
            for (when, hooks) in
                [("before", &source.listing.pre_submission), ("after", &source.listing.post_submission)]
            {
                for hook in hooks {
                    let line = [&[hook.command.clone()][..], &hook.args].concat().join(" ");
                    message.push_str(&format!("\n  {when} it: {line} ({})", source.document.display()));
                }
            }
        }
        let Some(ask) = callbacks.on_confirm else {
            if !submission.as_official_client {
                return Ok(());
            }
            callbacks.print(&message);
            return Err(CoreError::Canceled(
                "The submission was canceled, because nobody could be asked whether its hooks may run. Nothing was \
                 sent. Give a callback that answers, or turn settings.auto_accept on."
                    .into(),
            ));
        };
        if ask(&format!("{message}\n\nRun them?"), true) {
            return Ok(());
        }
        Err(CoreError::UserCanceled("The submission was declined, because of its hooks. Nothing was sent.".into()))
    }

    /// Whether any hook runs before the submission.
    pub(super) fn run_before(&self) -> bool {
        self.sources.iter().any(|source| !source.listing.pre_submission.is_empty())
    }

    /// Runs those before the submission; what they answered, merged.
    pub(super) fn before(
        &self,
        lane: &Lane<'_>,
        facts: &Facts<'_>,
        callbacks: &Callbacks<'_>,
    ) -> Result<Map<String, Value>> {
        let mut answers = Map::new();
        for source in &self.sources {
            for hook in &source.listing.pre_submission {
                let output = source.run(hook, Moment::Before, lane, facts, &answers, callbacks)?;
                let text = output.trim();
                if text.is_empty() {
                    continue;
                }
                match serde_json::from_str(text) {
                    Ok(Value::Object(answer)) => merge(&mut answers, answer),
                    _ => {
                        return Err(source.refuse(
                            hook,
                            "did not print a JSON object. A hook before the submission \
                             prints nothing, or the members to change; what is for people goes to its standard error",
                        ));
                    }
                }
            }
        }
        Ok(answers)
    }

    /// Runs those after it. The job is there, so a failure is only told.
    pub(super) fn after(&self, lane: &Lane<'_>, facts: &Facts<'_>, callbacks: &Callbacks<'_>) -> Result<()> {
        for source in &self.sources {
            for hook in &source.listing.post_submission {
                match source.run(hook, Moment::After, lane, facts, &Map::new(), callbacks) {
                    Ok(output) => output.lines().for_each(|line| callbacks.print(line)),
                    Err(err @ CoreError::Canceled(_)) => return Err(err),
                    Err(err) => callbacks.print(&format!("Warning: {err}")),
                }
            }
        }
        Ok(())
    }
}

impl Source {
    fn read(folder: &Path) -> Result<Option<Self>> {
        let Some(document) = Document::read(folder, "hooks")? else { return Ok(None) };
        let path = document.path.clone();
        let refuse = |what: String| CoreError::Bundle(format!("The hooks {} {what}.", path.display()));
        let listing: Listing = serde_path_to_error::deserialize(document.value).map_err(|err| {
            let place = err.path().to_string();
            let what = err.into_inner();
            refuse(if place == "." {
                format!("cannot be used: {what}")
            } else {
                format!("cannot be used: {place}: {what}")
            })
        })?;
        if listing.version != VERSION {
            return Err(refuse(format!("have the version {:?}; only {VERSION:?} is known", listing.version)));
        }
        if listing.pre_submission.iter().chain(&listing.post_submission).any(|hook| hook.timeout == 0) {
            return Err(refuse("have a timeout of 0; it must be a number of seconds from 1 on".into()));
        }
        // A bundle of the job history is a copy: its programs lie where it was copied from.
        let origin = std::fs::read_to_string(folder.join(".hooks_origin")).ok();
        let origin = origin.map(|text| PathBuf::from(text.trim())).filter(|folder| folder.is_dir());
        Ok(Some(Self { document: document.path, folder: origin.unwrap_or_else(|| folder.to_owned()), listing }))
    }

    /// Runs one hook to its end; its standard output.
    fn run(
        &self,
        hook: &Hook,
        moment: Moment,
        lane: &Lane<'_>,
        facts: &Facts<'_>,
        answers: &Map<String, Value>,
        callbacks: &Callbacks<'_>,
    ) -> Result<String> {
        let program = self.program(hook)?;
        let arguments = hook.args.iter().map(|argument| {
            let here = self.folder.join(argument);
            if !argument.is_empty() && here.exists() { here.into_os_string() } else { argument.into() }
        });
        let mut command = Command::new(&program);
        command.args(arguments).envs(facts.variables()).kill_on_drop(true);
        command.envs(
            hook.env
                .iter()
                .map(|(name, value)| (name, value.as_str().map_or_else(|| value.to_string(), str::to_owned))),
        );
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        command.process_group(0);
        let input = facts.document(answers).to_string();
        let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        let limit = Duration::from_secs(hook.timeout);
        lane.run(async {
            let mut child = command.spawn().map_err(|err| self.refuse(hook, &format!("cannot be started: {err}")))?;
            let ended = {
                let tell = |line: &str| callbacks.print(&format!("[{name}] {line}"));
                let mut group = Group(child.id());
                let ended = tokio::time::timeout(limit, attend(&mut child, input.as_bytes(), &tell)).await;
                if ended.is_ok() {
                    // It may leave something running on purpose.
                    group.0 = None;
                }
                ended
            };
            match ended {
                Err(_) => Err(CoreError::TimedOut(self.sentence(
                    hook,
                    &format!("did not end within {} seconds. Make it faster, or raise its timeout", hook.timeout),
                ))),
                Ok(Err(err)) => Err(self.refuse(hook, &format!("cannot be watched: {err}"))),
                Ok(Ok((status, output))) if status.success() => Ok(output),
                Ok(Ok((status, _))) => Err(self.refuse(
                    hook,
                    &match (status.code(), moment) {
                        (Some(code), Moment::Before) => format!("ended with code {code}, so the job was not submitted"),
                        (Some(code), Moment::After) => format!("ended with code {code}; the job was submitted before"),
                        (None, _) => format!("was ended ({status})"),
                    },
                )),
            }
        })
    }

    fn program(&self, hook: &Hook) -> Result<PathBuf> {
        let given = Path::new(&hook.command);
        let here = absolute(given, &self.folder);
        if here.is_file() {
            return Ok(here);
        }
        let on_path = std::env::var_os("PATH").filter(|_| given.components().count() == 1);
        let found = on_path.iter().flat_map(std::env::split_paths).find_map(|folder| {
            let plain = folder.join(given);
            let with_suffix = plain.with_extension("exe");
            [plain, with_suffix].into_iter().take(if cfg!(windows) { 2 } else { 1 }).find(|path| path.is_file())
        });
        found.ok_or_else(|| {
            self.refuse(
                hook,
                &format!("is neither a file, nor one in {}, nor a program on PATH", self.folder.display()),
            )
        })
    }

    fn sentence(&self, hook: &Hook, what: &str) -> String {
        format!("The submission hook {:?} of {} {what}.", hook.command, self.document.display())
    }

    fn refuse(&self, hook: &Hook, what: &str) -> CoreError {
        CoreError::Operation(self.sentence(hook, what))
    }
}

impl Facts<'_> {
    fn document(&self, answers: &Map<String, Value>) -> Value {
        let mut payload = self.payload.clone();
        merge(&mut payload, answers.clone());
        let mut document = json!({
            "jobName": self.job_name,
            "priority": self.payload.get("priority"),
            "farmId": self.submission.farm_id,
            "queueId": self.submission.queue_id,
            "jobBundleDir": self.submission.bundle_dir,
            "parameters": self.parameters,
            "submitterName": self.submission.submitter_name,
            "assetReferences": self.asset_references,
            "submissionPayload": payload,
        });
        if let Some(id) = &self.submission.storage_profile_id {
            document["storageProfileId"] = id.clone().into();
        }
        if let Some(id) = self.job_id {
            document["jobId"] = id.into();
        }
        document
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let submission = self.submission;
        let mut variables = vec![
            ("DEADLINE_JOB_NAME", self.job_name.to_owned()),
            ("DEADLINE_PRIORITY", self.payload.get("priority").map(ToString::to_string).unwrap_or_default()),
            ("DEADLINE_FARM_ID", submission.farm_id.clone()),
            ("DEADLINE_QUEUE_ID", submission.queue_id.clone()),
            ("DEADLINE_JOB_BUNDLE_DIR", submission.bundle_dir.to_string_lossy().into_owned()),
        ];
        variables.extend(submission.storage_profile_id.clone().map(|id| ("DEADLINE_STORAGE_PROFILE_ID", id)));
        variables.extend(self.job_id.map(|id| ("DEADLINE_JOB_ID", id.to_owned())));
        variables
    }
}

/// Members of a later answer replace those of an earlier one; parameters and asset references by their own names.
fn merge(into: &mut Map<String, Value>, answer: Map<String, Value>) {
    for (key, value) in answer {
        match (key.as_str(), into.get_mut(&key), value) {
            ("parameters" | "attachments", Some(Value::Object(known)), Value::Object(more)) => {
                for (name, value) in more {
                    match (known.get_mut(&name), value) {
                        (Some(Value::Object(lists)), Value::Object(more)) if name == "assetReferences" => {
                            lists.extend(more)
                        }
                        (_, value) => {
                            known.insert(name, value);
                        }
                    }
                }
            }
            (_, _, value) => {
                into.insert(key, value);
            }
        }
    }
}
