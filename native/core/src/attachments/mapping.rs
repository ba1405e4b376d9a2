//! Paths of one machine on another: rules between the locations of two storage profiles.
//!
//! Paths are compared by their parts and in the format of the machine that they come from: without case on Windows, with
//! its drives and its shares (`\\server\share`). The rule with the longest source wins. Nothing here looks at a disk.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::paths::Host;
use crate::{CoreError, Result};

/// A rule that maps paths of the submitting machine to this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathMappingRule {
    /// `POSIX` or `WINDOWS`, in any case.
    pub source_path_format: String,
    /// Path on the submitting machine.
    pub source_path: String,
    /// Path here.
    pub destination_path: String,
}

/// A path below a rule's destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// The destination of the rule.
    pub folder: PathBuf,
    /// What lies below it, with `/` between its parts; empty for the destination itself.
    pub relative: String,
}

/// Rules, ready to be applied.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    rules: Vec<(Host, Vec<String>, PathBuf)>,
}

impl Mapping {
    /// Reads rules.
    ///
    /// # Errors
    /// `Attachments` for a path format that is not known and a source that is not absolute.
    pub fn new(rules: &[PathMappingRule]) -> Result<Self> {
        let read = |rule: &PathMappingRule| {
            let format = Host::parse(&rule.source_path_format)?;
            let parts = split(&rule.source_path, format).ok_or_else(|| {
                CoreError::Attachments(format!(
                    "The path mapping rule for {:?} cannot be used: the path is not absolute.",
                    rule.source_path
                ))
            })?;
            Ok((format, parts, PathBuf::from(&rule.destination_path)))
        };
        Ok(Self { rules: rules.iter().map(read).collect::<Result<_>>()? })
    }

    /// Where an absolute path of another machine lies here; nowhere when no rule is for it.
    #[must_use]
    pub fn apply(&self, path: &str, format: Host) -> Option<Mapped> {
        let parts = split(path, format)?;
        let (_, source, folder) = self
            .rules
            .iter()
            .filter(|(of, source, _)| *of == format && begins(&parts, source, format))
            .max_by_key(|(_, source, _)| source.len())?;
        Some(Mapped { folder: folder.clone(), relative: parts[source.len()..].join("/") })
    }
}

/// The path of a manifest's file on the machine that wrote the manifest.
#[must_use]
pub fn source_path(root: &str, relative: &str, format: Host) -> String {
    match format {
        Host::Posix => format!("{}/{relative}", root.trim_end_matches('/')),
        Host::Windows => format!("{}\\{}", root.trim_end_matches(['/', '\\']), relative.replace('/', "\\")),
    }
}

fn begins(path: &[String], source: &[String], format: Host) -> bool {
    let same = |a: &String, b: &String| match format {
        Host::Posix => a == b,
        Host::Windows => a == b || a.to_lowercase() == b.to_lowercase(),
    };
    source.len() <= path.len() && source.iter().zip(path).all(|(a, b)| same(a, b))
}

/// The anchor of an absolute path, then its names, `.` and `..` worked out.
fn split(path: &str, format: Host) -> Option<Vec<String>> {
    let (anchor, rest) = match format {
        Host::Posix => ("/".to_owned(), path.strip_prefix('/')?.to_owned()),
        Host::Windows => windows_anchor(&path.replace('/', "\\"))?,
    };
    let separator = if format == Host::Windows { '\\' } else { '/' };
    let mut parts = vec![anchor];
    for part in rest.split(separator) {
        match part {
            "" | "." => {}
            ".." if parts.len() > 1 => {
                parts.pop();
            }
            ".." => {}
            name => parts.push(name.to_owned()),
        }
    }
    Some(parts)
}

/// `C:\` or `\\server\share\`, and what follows. The long form `\\?\` means the same.
fn windows_anchor(path: &str) -> Option<(String, String)> {
    if let Some(share) = path.strip_prefix("\\\\?\\UNC\\") {
        return windows_anchor(&format!("\\\\{share}"));
    }
    let path = path.strip_prefix("\\\\?\\").unwrap_or(path);
    if let Some(share) = path.strip_prefix("\\\\") {
        let mut names = share.splitn(3, '\\');
        let (server, name) = (names.next()?, names.next()?);
        if server.is_empty() || name.is_empty() {
            return None;
        }
        return Some((format!("\\\\{server}\\{name}\\"), names.next().unwrap_or_default().to_owned()));
    }
    let bytes = path.as_bytes();
    let drive = bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':';
    // `C:name` is relative to a folder that nobody here knows; `C:` alone is how rules name a drive.
    if !drive || !(path.len() == 2 || path[2..].starts_with('\\')) {
        return None;
    }
    Some((format!("{}\\", &path[..2]), path[2..].to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(format: &str, source: &str, destination: &str) -> PathMappingRule {
        PathMappingRule {
            source_path_format: format.into(),
            source_path: source.into(),
            destination_path: destination.into(),
        }
    }

    fn mapped(rules: &[PathMappingRule], path: &str, format: Host) -> Option<(String, String)> {
        let found = Mapping::new(rules).unwrap().apply(path, format)?;
        Some((found.folder.display().to_string(), found.relative))
    }

    fn some(folder: &str, relative: &str) -> Option<(String, String)> {
        Some((folder.into(), relative.into()))
    }

    #[test]
    fn the_longest_rule_wins_and_parts_are_whole() {
        let rules = [rule("posix", "/mnt/projects", "/p"), rule("POSIX", "/mnt/projects/special", "/s")];
        assert_eq!(mapped(&rules, "/mnt/projects/a/b.exr", Host::Posix), some("/p", "a/b.exr"));
        assert_eq!(mapped(&rules, "/mnt/projects/special/b.exr", Host::Posix), some("/s", "b.exr"));
        assert_eq!(mapped(&rules, "/mnt/projects/special2/b", Host::Posix), some("/p", "special2/b"));
        assert_eq!(mapped(&rules, "/mnt/projects", Host::Posix), some("/p", ""));
        for other in ["/mnt/Projects/a", "/mnt/projects2/a", "mnt/projects/a", "/mnt/projects/../a"] {
            assert_eq!(mapped(&rules, other, Host::Posix), None, "{other}");
        }
        assert_eq!(mapped(&rules, "/mnt/projects/a", Host::Windows), None);
    }

    #[test]
    fn windows_has_drives_shares_and_no_case() {
        let rules = [
            rule("windows", "X:\\Projects", "/p"),
            rule("WINDOWS", "\\\\Server\\Share\\in", "/s"),
            rule("windows", "Y:", "/y"),
        ];
        assert_eq!(mapped(&rules, "x:\\projects\\Shot\\A.exr", Host::Windows), some("/p", "Shot/A.exr"));
        assert_eq!(mapped(&rules, "X:/Projects/a", Host::Windows), some("/p", "a"));
        assert_eq!(mapped(&rules, "\\\\?\\X:\\Projects\\a", Host::Windows), some("/p", "a"));
        assert_eq!(mapped(&rules, "\\\\SERVER\\share\\In\\a\\b", Host::Windows), some("/s", "a/b"));
        assert_eq!(mapped(&rules, "\\\\?\\UNC\\server\\share\\in\\a", Host::Windows), some("/s", "a"));
        assert_eq!(mapped(&rules, "y:\\a", Host::Windows), some("/y", "a"));
        for other in ["X:Projects\\a", "\\Projects\\a", "\\\\Server\\Other\\in\\a", "\\\\Server", "Z:\\a"] {
            assert_eq!(mapped(&rules, other, Host::Windows), None, "{other}");
        }
        // A share is not the folder of the same names on a drive.
        assert_eq!(mapped(&[rule("windows", "\\\\a\\b", "/s")], "C:\\a\\b\\c", Host::Windows), None);
    }

    #[test]
    fn files_of_manifests_have_a_path_on_their_machine() {
        assert_eq!(source_path("/mnt/p/", "a/b", Host::Posix), "/mnt/p/a/b");
        assert_eq!(source_path("/", "a", Host::Posix), "/a");
        assert_eq!(source_path("C:\\", "a/b", Host::Windows), "C:\\a\\b");
        assert_eq!(source_path("\\\\s\\x\\p", "a/b", Host::Windows), "\\\\s\\x\\p\\a\\b");
    }

    #[test]
    fn rules_that_mean_nothing_are_refused() {
        let refusal = |rule: PathMappingRule| Mapping::new(&[rule]).unwrap_err().to_string();
        assert_eq!(refusal(rule("mac", "/a", "/b")), "The path format \"mac\" is not known. Use POSIX or WINDOWS.");
        assert_eq!(
            refusal(rule("posix", "a", "/b")),
            "The path mapping rule for \"a\" cannot be used: the path is not absolute."
        );
    }
}
