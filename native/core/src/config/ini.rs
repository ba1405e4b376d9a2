//! The INI dialect of the client configuration file: what Python's `configparser` writes, read and written back.
//!
//! Sections keep their order and case, keys are lower-case. Values are held exactly as they stand in the file; what `%`
//! means in them is the business of [`interpolate`] and [`escape`].

use crate::error::{CoreError, Result};

/// A document: sections in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    sections: Vec<Section>,
}

/// A section: keys in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The text between the brackets.
    pub name: String,
    /// Lower-case keys with their raw values.
    pub entries: Vec<(String, String)>,
}

impl Document {
    /// Reads a document. `origin` names it in error messages.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        let mut document = Self::default();
        let mut section: Option<usize> = None;
        let mut open_entry = None;
        let mut empty_lines = 0;
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let refuse = |what: &str| {
                Err(CoreError::Config(format!(
                    "Cannot read the configuration {origin}: line {} {what}: {line:?}. Correct the line, or remove it.",
                    index + 1
                )))
            };
            let trimmed = line.trim();
            if trimmed.is_empty() {
                empty_lines += 1;
                continue;
            }
            if trimmed.starts_with('#') || trimmed.starts_with(';') {
                continue;
            }
            if line.starts_with(char::is_whitespace)
                && let (Some(at), Some(open)) = (section, open_entry)
            {
                let entry: &mut (String, String) = &mut document.sections[at].entries[open];
                // Empty lines belong to a value that goes on behind them.
                entry.1.push_str(&"\n".repeat(empty_lines + 1));
                entry.1.push_str(trimmed);
                empty_lines = 0;
                continue;
            }
            empty_lines = 0;
            if let Some(rest) = trimmed.strip_prefix('[') {
                let Some(end) = rest.rfind(']') else {
                    return refuse("opens a section with `[` and does not close it");
                };
                section = Some(document.section_index(&rest[..end]));
                open_entry = None;
                continue;
            }
            let Some(at) = section else {
                return refuse("stands before any [section]");
            };
            let Some(cut) = trimmed.find(['=', ':']) else {
                return refuse("has neither `=` nor `:`");
            };
            let key = trimmed[..cut].trim().to_lowercase();
            if key.is_empty() {
                return refuse("has no key");
            }
            open_entry = Some(document.sections[at].set(&key, trimmed[cut + 1..].trim()));
        }
        Ok(document)
    }

    /// The text of the document.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for section in &self.sections {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&format!("[{}]\n", section.name));
            for (key, value) in &section.entries {
                text.push_str(&format!("{key} = {}\n", value.replace('\n', "\n\t")));
            }
        }
        text
    }

    /// The sections, in order.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The raw value of a key.
    pub fn get(&self, section: &str, key: &str) -> Option<&str> {
        self.section(section)?.get(key)
    }

    /// A section by name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// Sets a raw value; the section is made when it is missing.
    pub fn set(&mut self, section: &str, key: &str, value: &str) {
        let at = self.section_index(section);
        self.sections[at].set(&key.to_lowercase(), value);
    }

    fn section_index(&mut self, name: &str) -> usize {
        self.sections.iter().position(|section| section.name == name).unwrap_or_else(|| {
            self.sections.push(Section { name: name.to_owned(), entries: Vec::new() });
            self.sections.len() - 1
        })
    }
}

impl Section {
    /// The raw value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Sets a raw value; where the entry stands.
    fn set(&mut self, key: &str, value: &str) -> usize {
        let place = self.entries.iter().position(|(name, _)| name == key).unwrap_or(self.entries.len());
        match self.entries.get_mut(place) {
            Some(entry) => entry.1 = value.to_owned(),
            None => self.entries.push((key.to_owned(), value.to_owned())),
        }
        place
    }
}

/// How deep `%(key)s` may refer to a value that refers on; the figure of Python's `configparser`.
const MAX_DEPTH: usize = 10;

/// How many references one value may lead to in all: ten levels of ten would be a text that no memory holds.
const MAX_REFERENCES: usize = 1_000;

/// What a raw value means to Python's `configparser`: `%%` is `%`, `%(key)s` is the value of `key` in the same section.
///
/// A lone `%`, which Python refuses, stands for itself, and so does a reference that leads nowhere: a file that was
/// written by hand stays readable.
pub fn interpolate(raw: &str, section: &Section) -> String {
    expand(raw, section, 0, &mut 0)
}

fn expand(raw: &str, section: &Section, depth: usize, references: &mut usize) -> String {
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('%') {
        value.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            value.push('%');
            rest = after;
        } else if let Some((target, after)) =
            reference(rest, section).filter(|_| depth < MAX_DEPTH && *references < MAX_REFERENCES)
        {
            *references += 1;
            value.push_str(&expand(target, section, depth + 1, references));
            rest = after;
        } else {
            value.push('%');
        }
    }
    value.push_str(rest);
    value
}

fn reference<'a>(text: &'a str, section: &'a Section) -> Option<(&'a str, &'a str)> {
    let (name, after) = text.strip_prefix('(')?.split_once(")s")?;
    Some((section.get(&name.to_lowercase())?, after))
}

/// The raw form of a value, so that this reader and Python's give back `value`.
pub fn escape(value: &str) -> String {
    value.replace('%', "%%")
}
