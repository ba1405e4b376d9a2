//! Profiles of the AWS files with names that the AWS SDK for Rust passes over: in quotes, with spaces, beyond ASCII.
//!
//! Every other tool of AWS's reads them (`aws configure --profile "my studio"` writes `[profile 'my studio']`), boto3 and
//! with it the official client too. The SDK is given the files with another name in each of these places.

use std::borrow::Cow;
use std::path::PathBuf;

use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_types::os_shim_internal::{Env, Fs};

use crate::config::expand_home;

/// Keys whose value is the name of another section.
const REFERENCES: [&str; 2] = ["source_profile", "sso_session"];

/// The name under which the SDK finds a profile in [`files`].
pub(super) fn known_as(name: &str) -> Cow<'_, str> {
    let is_read = |letter: char| letter.is_ascii_alphanumeric() || "_-/.%@:+".contains(letter);
    if name.chars().all(is_read) { name.into() } else { format!("shotput:{}", hex::encode(name)).into() }
}

/// The AWS files, with [`known_as`] in place of each name that the SDK would pass over.
pub(super) async fn files(env: &Env, fs: &Fs) -> EnvConfigFiles {
    let mut builder = EnvConfigFiles::builder();
    let config = translated(env, fs, EnvConfigFileKind::Config).await;
    let credentials = translated(env, fs, EnvConfigFileKind::Credentials).await;
    // Files that are fine are left to the SDK, and so are those that cannot be read: it says why.
    builder = builder.include_default_config_file(config.is_none());
    builder = builder.include_default_credentials_file(credentials.is_none());
    if let Some(text) = config {
        builder = builder.with_contents(EnvConfigFileKind::Config, text);
    }
    if let Some(text) = credentials {
        builder = builder.with_contents(EnvConfigFileKind::Credentials, text);
    }
    builder.build()
}

async fn translated(env: &Env, fs: &Fs, kind: EnvConfigFileKind) -> Option<String> {
    let (variable, default) = match kind {
        EnvConfigFileKind::Config => ("AWS_CONFIG_FILE", "~/.aws/config"),
        _ => ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    };
    let path = env.get(variable).unwrap_or_else(|_| default.to_owned());
    let path = match (path.strip_prefix("~/"), env.get("HOME")) {
        (Some(rest), Ok(home)) => PathBuf::from(home).join(rest),
        _ => expand_home(&path),
    };
    let text = String::from_utf8(fs.read_to_end(path).await.ok()?).ok()?;
    translate(&text, kind)
}

/// `None` when every name stays.
fn translate(text: &str, kind: EnvConfigFileKind) -> Option<String> {
    let mut is_changed = false;
    let lines: Vec<Cow<'_, str>> = text
        .lines()
        .map(|line| {
            let other = match line.strip_prefix('[') {
                Some(rest) => {
                    rest.split_once(']').and_then(|(name, rest)| Some(format!("[{}]{rest}", section(name, kind)?)))
                }
                None => reference(line),
            };
            match other {
                Some(other) if other != line => {
                    is_changed = true;
                    other.into()
                }
                _ => line.into(),
            }
        })
        .collect();
    is_changed.then(|| lines.join("\n"))
}

/// The other name of a section, where it is one of a profile.
fn section(name: &str, kind: EnvConfigFileKind) -> Option<String> {
    if !matches!(kind, EnvConfigFileKind::Config) {
        return Some(known_as(name.trim()).into_owned());
    }
    let (word, name) = name.trim().split_once(char::is_whitespace)?;
    if !["profile", "sso-session"].contains(&word) {
        return None;
    }
    let name = name.trim();
    let quoted = ['"', '\''].iter().find_map(|quote| name.strip_prefix(*quote)?.strip_suffix(*quote));
    // Without quotes, several words are no name for anybody.
    let name = quoted.or((!name.contains(char::is_whitespace)).then_some(name))?;
    Some(format!("{word} {}", known_as(name)))
}

/// A line that refers to another section, with that one's other name.
fn reference(line: &str) -> Option<String> {
    let (key, value) = line.split_once('=')?;
    if !REFERENCES.contains(&key.trim_end().to_ascii_lowercase().as_str()) {
        return None;
    }
    // A remark behind the value is none of it.
    let value = value.split(" #").next().unwrap_or(value).trim();
    let other = known_as(value);
    (other != value).then(|| format!("{} = {other}", key.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_sdk_reads_stay() {
        for text in ["", "[default]\nregion = x\n", "[profile a-b]\r\nsource_profile=c.d # e\r\n", "[sso-session x]\n"]
        {
            assert_eq!(translate(text, EnvConfigFileKind::Config), None, "{text:?}");
        }
        assert_eq!(translate("[a]\nx = 1\n[b/c]\n", EnvConfigFileKind::Credentials), None);
        // Not names of profiles, for nobody.
        assert_eq!(translate("[profile a b]\n[my studio]\n[services 'x']\n", EnvConfigFileKind::Config), None);
    }

    #[test]
    fn other_names_have_another() {
        let studio = known_as("my studio");
        assert_eq!(studio, "shotput:6d792073747564696f");
        let text =
            "[profile 'my studio']\nrole_arn = r\nsource_profile = my studio\n[profile \"plain\"] # x\n  a = 1\n";
        assert_eq!(
            translate(text, EnvConfigFileKind::Config).unwrap(),
            format!("[profile {studio}]\nrole_arn = r\nsource_profile = {studio}\n[profile plain] # x\n  a = 1")
        );
        assert_eq!(translate("[my studio]\n", EnvConfigFileKind::Credentials).unwrap(), format!("[{studio}]"));
    }
}
