//! Object keys as file names, and back.
//!
//! A key is any text of up to 1,024 bytes; a file name is not. Every component of a key (what lies between slashes) is
//! one folder or, for the last, one file. All bytes but `a-z 0-9 - _ .` are percent-escaped, so that names are the same on
//! file systems that ignore case or normalise Unicode, and no key can spell `..`, a drive or a device. Four marks that no
//! escape can produce keep the rest apart: `=` ends the name of an object (so that object `a` and folder `a` live side by
//! side), `%_` stands for an empty component, `%-` ends a folder whose component goes on in the child.

use std::path::{Path, PathBuf};

/// Bytes of an escaped component that one name holds; below the 143 bytes that encrypting file systems leave.
const PIECE: usize = 120;
const OBJECT_MARK: char = '=';
const EMPTY: &str = "%_";
const CONTINUED: &str = "%-";

/// What a file name under a bucket says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// An object, with the bytes of its component (or of the rest of it, below a continued folder).
    Object(Vec<u8>),
    /// A folder that holds the next components.
    Folder(Vec<u8>),
    /// A folder that holds the rest of this component.
    Continued(Vec<u8>),
}

/// The file of an object, below the folder of its bucket.
pub(super) fn object_path(bucket_folder: &Path, key: &str) -> PathBuf {
    let mut text = String::with_capacity(key.len() * 2 + 8);
    for (index, component) in key.split('/').enumerate() {
        if index > 0 {
            text.push('/');
        }
        push_component(&mut text, component);
    }
    text.push(OBJECT_MARK);
    bucket_folder.join(text)
}

/// A bucket's name as a folder name.
pub(super) fn bucket_name(bucket: &str) -> String {
    let mut text = String::new();
    push_component(&mut text, bucket);
    text
}

/// Reads a file name; `None` for names that no key makes.
pub(super) fn parse(name: &str) -> Option<Name> {
    if let Some(object) = name.strip_suffix(OBJECT_MARK) {
        return unescape(object).map(Name::Object);
    }
    if let Some(piece) = name.strip_suffix(CONTINUED) {
        return unescape(piece).map(Name::Continued);
    }
    unescape(name).map(Name::Folder)
}

fn push_component(text: &mut String, component: &str) {
    if component.is_empty() {
        text.push_str(EMPTY);
        return;
    }
    let bytes = component.as_bytes();
    let mut start = text.len();
    for (index, &byte) in bytes.iter().enumerate() {
        if text.len() - start >= PIECE {
            guard(text, start);
            text.push_str(CONTINUED);
            text.push('/');
            start = text.len();
        }
        let plain = match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => true,
            // Leading dots hide files and spell `..`; Windows drops trailing ones.
            b'.' => index > 0 && index + 1 < bytes.len() && text.len() > start,
            _ => false,
        };
        if plain { text.push(byte as char) } else { push_escaped(text, byte) }
    }
    guard(text, start);
}

/// Escapes the first byte of a name that Windows reserves for a device (`con`, `nul.txt`).
fn guard(text: &mut String, start: usize) {
    let name = &text[start..];
    let stem = name.split('.').next().unwrap_or_default();
    let reserved = matches!(stem, "con" | "prn" | "aux" | "nul")
        || (stem.len() == 4
            && (stem.starts_with("com") || stem.starts_with("lpt"))
            && stem.as_bytes()[3].is_ascii_digit());
    if reserved {
        let rest = name[1..].to_owned();
        let first = name.as_bytes()[0];
        text.truncate(start);
        push_escaped(text, first);
        text.push_str(&rest);
    }
}

fn push_escaped(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    text.push('%');
    text.push(DIGITS[usize::from(byte >> 4)] as char);
    text.push(DIGITS[usize::from(byte & 15)] as char);
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    if text == EMPTY {
        return Some(Vec::new());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let [high, low, tail @ ..] = tail else { return None };
            bytes.push(digit(*high)? << 4 | digit(*low)?);
            rest = tail;
        } else if matches!(first, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.') {
            bytes.push(*first);
            rest = tail;
        } else {
            return None;
        }
    }
    (!bytes.is_empty()).then_some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(key: &str) -> String {
        object_path(Path::new(""), key).to_string_lossy().into_owned()
    }

    /// Puts a path together again the way the listing does.
    fn key_of(path: &str) -> String {
        let mut key = Vec::new();
        for name in path.split('/') {
            match parse(name).expect("a name that a key made") {
                Name::Folder(bytes) => {
                    key.extend(bytes);
                    key.push(b'/');
                }
                Name::Continued(bytes) | Name::Object(bytes) => key.extend(bytes),
            }
        }
        String::from_utf8(key).expect("UTF-8")
    }

    #[test]
    fn names_are_plain_where_they_can_be() {
        assert_eq!(path("data/0f3a.xxh128"), "data/0f3a.xxh128=");
        assert_eq!(path("Data/A b"), "%44ata/%41%20b=");
    }

    #[test]
    fn no_key_leaves_the_root() {
        for key in ["../x", "..", ".", "a/../../b", "/etc/passwd", "a\\..\\b", "c:/x", "a/./b", "\0", "a/", "//"] {
            let path = path(key);
            assert!(!path.starts_with('/') && !path.contains(['\\', ':', '\0']), "{key:?} -> {path:?}");
            assert!(path.split('/').all(|name| !name.is_empty() && name != "." && name != ".."), "{key:?} -> {path:?}");
            assert_eq!(key_of(&path), key);
        }
    }

    #[test]
    fn every_key_comes_back() {
        let long = "é".repeat(500);
        let plain = "x".repeat(1000);
        for key in ["a", "a=", "a%2f", "a%", "%_", "%-", "con", "NUL.txt", "lpt1.a/aux", "ключ/鍵 🎬", &long, &plain]
        {
            let path = path(key);
            assert_eq!(key_of(&path), key);
            assert!(path.split('/').all(|name| name.len() <= 143), "{path:?}");
            assert_eq!(path, path.to_lowercase());
        }
    }

    #[test]
    fn names_that_no_key_makes_are_passed_over() {
        for name in ["", "=", "Thumbs.db", "a b", "%", "%4", "%4g", "%4A", "é="] {
            assert_eq!(parse(name), None, "{name:?}");
        }
    }

    #[test]
    fn device_names_are_escaped() {
        assert_eq!(path("con"), "%63on=");
        assert_eq!(path("lpt1.a/console"), "%6cpt1.a/console=");
    }
}
