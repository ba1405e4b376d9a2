//! A submission on disk instead of on the farm: what would be sent, and the commands of the AWS tool that send it.

use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{CoreError, Result};

/// What a snapshot holds.
pub(super) struct DebugSnapshot<'a> {
    /// The members of `CreateJob`.
    pub(super) request: &'a Map<String, Value>,
    /// The queue as the service describes it.
    pub(super) queue: &'a Value,
    /// The storage profile, when there is one.
    pub(super) storage_profile: Option<&'a Value>,
    /// Bucket and root prefix, when the job has attachments.
    pub(super) bucket: Option<(&'a str, &'a str)>,
}

/// One argument of the command.
struct Argument {
    option: String,
    value: String,
}

impl DebugSnapshot<'_> {
    /// Writes everything but `Data` and `Manifests`.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(|err| unwritable(folder, &err))?;
        let put = |name: &str, text: String| {
            std::fs::write(folder.join(name), text).map_err(|err| unwritable(&folder.join(name), &err))
        };
        put("create_job_args.json", pretty(&Value::Object(self.request.clone())))?;
        let mut arguments = Vec::with_capacity(self.request.len());
        for (member, value) in self.request {
            let name = kebab(member);
            let option = format!("--{name}");
            let value = match value {
                Value::Object(_) | Value::Array(_) => {
                    let file = format!("{name}_param.json");
                    put(&file, pretty(value))?;
                    format!("file://{file}")
                }
                Value::String(text) if text.contains('\n') => {
                    let file = format!("{name}_param.data");
                    put(&file, text.clone())?;
                    format!("file://{file}")
                }
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            arguments.push(Argument { option, value });
        }
        put("submit_job.sh", self.shell_script(&arguments))?;
        put("submit_job.bat", self.batch_file(&arguments))?;
        put("queue.json", pretty(self.queue))?;
        if let Some(profile) = self.storage_profile {
            put("storage_profile.json", pretty(profile))?;
        }
        executable(&folder.join("submit_job.sh"))
    }

    fn shell_script(&self, arguments: &[Argument]) -> String {
        let mut script = String::from(
            "#!/bin/sh\n# Submits the job with the AWS command line.\nset -eux\ncd \"$(dirname \"$0\")\"\n",
        );
        for (folder, destination) in self.copies() {
            script.push_str(&format!("\naws s3 cp --recursive ./{folder} {}\n", quoted(&destination)));
        }
        script.push_str("\naws deadline create-job");
        for Argument { option, value } in arguments {
            script.push_str(&format!(" \\\n    {option} {}", quoted(value)));
        }
        script.push('\n');
        script
    }

    fn batch_file(&self, arguments: &[Argument]) -> String {
        let mut script = String::from("@rem Submits the job with the AWS command line.\r\ncd /d \"%~dp0\"\r\n");
        for (folder, destination) in self.copies() {
            script.push_str(&format!("\r\naws s3 cp --recursive .\\{folder} {}\r\n", batch_quoted(&destination)));
        }
        script.push_str("\r\naws deadline create-job");
        for Argument { option, value } in arguments {
            script.push_str(&format!(" ^\r\n    {option} {}", batch_quoted(value)));
        }
        script.push_str("\r\n");
        script
    }

    /// Folders of the snapshot and where they go.
    fn copies(&self) -> Vec<(&'static str, String)> {
        let Some((bucket, prefix)) = self.bucket.filter(|_| self.request.contains_key("attachments")) else {
            return Vec::new();
        };
        let prefix = prefix.trim_matches('/');
        let place = |folder: &str| match prefix {
            "" => format!("s3://{bucket}/{folder}"),
            prefix => format!("s3://{bucket}/{prefix}/{folder}"),
        };
        vec![("Data", place("Data")), ("Manifests", place("Manifests"))]
    }
}

fn unwritable(path: &Path, err: &std::io::Error) -> CoreError {
    CoreError::Operation(format!(
        "Cannot write {} of the debug snapshot: {err}. Give another debug_snapshot_dir.",
        path.display()
    ))
}

fn executable(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).map_err(|err| unwritable(path, &err))?;
    }
    let _ = path;
    Ok(())
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// `maxRetriesPerTask` as `max-retries-per-task`.
fn kebab(member: &str) -> String {
    let mut name = String::with_capacity(member.len() + 4);
    for letter in member.chars() {
        if letter.is_ascii_uppercase() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// A word of a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// A word of a batch file: `%` is doubled there even between quotes.
fn batch_quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@+:./-_\\".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("\"{}\"", word.replace('"', "\\\"").replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_one_word() {
        assert_eq!(quoted("job-1"), "job-1");
        assert_eq!(quoted("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(quoted(""), "''");
        assert_eq!(batch_quoted("100% \"x\""), "\"100%% \\\"x\\\"\"");
        assert_eq!(kebab("maxRetriesPerTask"), "max-retries-per-task");
        assert_eq!(kebab("template"), "template");
    }
}
