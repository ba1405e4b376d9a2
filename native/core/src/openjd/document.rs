//! From text to a decoded document, with every structural finding instead of the first.
//!
//! Decoding stops at the first error by its nature. Here the offending node is cut out of a copy and decoding is tried
//! again until it goes through; each error is one [`Finding`], with its path in the document as it was written.

use std::collections::{HashMap, HashSet};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Finding;

/// A document with more mistakes than this is not worth listing further.
const MOST_FINDINGS: usize = 200;

/// One step on the way from the document's root to a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Key(String),
    Index(usize),
}

/// `steps[0] -> script -> actions -> onRun`, as OpenJD's own tools write it.
pub(super) fn path_text(places: &[Place]) -> String {
    let mut text = String::new();
    for place in places {
        match place {
            Place::Key(key) => {
                if !text.is_empty() {
                    text.push_str(" -> ");
                }
                text.push_str(key);
            }
            Place::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// Reads YAML (of which JSON is a part). Not YAML, duplicate keys and anything but a mapping at the top are findings.
pub fn parse(text: &str) -> Result<Value, Finding> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        // `.nan` stays text, so that the rule of the field it stands in speaks about it.
        reject_non_finite_typeless_float: false,
        budget: serde_saphyr::budget! { max_depth: openjd_model::template::parse::MAX_DOCUMENT_DEPTH },
    };
    let value: Value = serde_saphyr::from_str_with_options(text, options).map_err(|err| Finding {
        path: String::new(),
        message: format!("The document is not YAML: {}", first_line(&err.to_string())),
    })?;
    mapping(value)
}

/// Holds that a document is a mapping.
pub fn mapping(value: Value) -> Result<Value, Finding> {
    if value.is_object() {
        return Ok(value);
    }
    Err(Finding {
        path: String::new(),
        message: format!("The document must be a mapping of keys to values, but it is {}.", kind_of(&value)),
    })
}

/// A parser's message without the source excerpt that follows it.
fn first_line(text: &str) -> &str {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("unreadable")
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// Decodes `document`, or lists everything in it that has the wrong shape.
pub(super) fn decode<T: DeserializeOwned>(document: &Value) -> Result<T, Vec<Finding>> {
    let mut repair = Repair { value: document.clone(), ..Repair::default() };
    let mut findings: Vec<Finding> = Vec::new();
    for _ in 0..MOST_FINDINGS {
        let err = match serde_path_to_error::deserialize::<_, T>(&repair.value) {
            Ok(decoded) if findings.is_empty() => return Ok(decoded),
            Ok(_) => break,
            Err(err) => err,
        };
        let places = places_of(err.path());
        let message = err.inner().to_string();
        let (finding, went_on) = repair.cut(places, &message);
        if let Some(finding) = finding
            && !findings.contains(&finding)
        {
            findings.push(finding);
        }
        if !went_on {
            break;
        }
    }
    Err(findings)
}

fn places_of(path: &serde_path_to_error::Path) -> Vec<Place> {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(Place::Index(*index)),
            Segment::Map { key } => Some(Place::Key(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

/// The name in ``missing field `name` ``.
fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.split('`').next()
}

/// The copy that is decoded, and what was cut out of it so far.
#[derive(Default)]
struct Repair {
    value: Value,
    /// For each shortened list (by its written path), the written index of each remaining element.
    indices: HashMap<Vec<Place>, Vec<usize>>,
    /// Keys (by written path) that were cut out after a finding: that they are missing now is no second finding.
    cut: HashSet<Vec<Place>>,
    /// Stand-ins for missing keys, and how many kinds were tried.
    stand_ins: HashMap<Vec<Place>, usize>,
}

impl Repair {
    /// Takes the node at `places` out. Returns the finding, if it is one, and whether decoding can go on.
    fn cut(&mut self, places: Vec<Place>, message: &str) -> (Option<Finding>, bool) {
        let written = self.written(&places);
        if let Some(stand_in) = self.stand_in_above(&written) {
            let depth = stand_in.len();
            return (None, self.try_stand_in(&places[..depth], stand_in));
        }
        let finding = Finding { path: path_text(&written), message: message.to_string() };
        if let Some(field) = missing_field(message) {
            let mut key = written.clone();
            key.push(Place::Key(field.to_string()));
            let known = self.cut.contains(&key);
            let mut here = places;
            here.push(Place::Key(field.to_string()));
            return ((!known).then_some(finding), self.try_stand_in(&here, key));
        }
        let went_on = self.remove(&places, &written);
        (Some(finding), went_on)
    }

    fn written(&self, places: &[Place]) -> Vec<Place> {
        let mut written: Vec<Place> = Vec::with_capacity(places.len());
        for place in places {
            let place = match place {
                Place::Index(index) => {
                    let original = self.indices.get(&written).and_then(|indices| indices.get(*index));
                    Place::Index(*original.unwrap_or(index))
                }
                key => key.clone(),
            };
            written.push(place);
        }
        written
    }

    fn stand_in_above(&self, written: &[Place]) -> Option<Vec<Place>> {
        (1..=written.len())
            .map(|depth| &written[..depth])
            .find(|part| self.stand_ins.contains_key(*part))
            .map(Vec::from)
    }

    /// Puts the next kind of stand-in at `places`; with none left, takes the parent out.
    fn try_stand_in(&mut self, places: &[Place], written: Vec<Place>) -> bool {
        let tried = self.stand_ins.entry(written.clone()).or_insert(0);
        let stand_in = match *tried {
            0 => Value::String("placeholder".into()),
            1 => Value::Array(Vec::new()),
            2 => Value::Object(serde_json::Map::new()),
            _ => {
                let parent = &places[..places.len() - 1];
                self.stand_ins.remove(&written);
                let parent_written = written[..written.len() - 1].to_vec();
                return self.remove(parent, &parent_written);
            }
        };
        *tried += 1;
        let Some(Place::Key(key)) = places.last() else { return false };
        match self.node(&places[..places.len() - 1]) {
            Some(Value::Object(map)) => {
                map.insert(key.clone(), stand_in);
                true
            }
            _ => false,
        }
    }

    fn node(&mut self, places: &[Place]) -> Option<&mut Value> {
        let mut node = &mut self.value;
        for place in places {
            node = match place {
                Place::Key(key) => node.get_mut(key)?,
                Place::Index(index) => node.get_mut(*index)?,
            };
        }
        Some(node)
    }

    fn remove(&mut self, places: &[Place], written: &[Place]) -> bool {
        let Some((last, parent)) = places.split_last() else { return false };
        let list = written[..written.len() - 1].to_vec();
        match (last, self.node(parent)) {
            (Place::Key(key), Some(Value::Object(map))) => {
                if map.shift_remove(key).is_none() {
                    return false;
                }
                self.cut.insert(written.to_vec());
                true
            }
            (Place::Index(index), Some(Value::Array(items))) if *index < items.len() => {
                let length = items.len();
                items.remove(*index);
                self.indices.entry(list).or_insert_with(|| (0..length).collect()).remove(*index);
                true
            }
            _ => false,
        }
    }
}
