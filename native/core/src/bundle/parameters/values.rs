//! Values of parameters: which fit a definition, and what they become in a request.
//!
//! The types BOOL, RANGE_EXPR and `LIST[...]` are those of OpenJD's extension EXPR. Items of lists are not converted: a
//! `"5"` is no item of a `LIST[INT]`, as for the official client.

use std::path::Path;

use openjd_expr::RangeExpr;
use openjd_expr::uri_path::is_uri;
use serde_json::{Map, Value};

use super::{Parameter, text};
use crate::bundle::absolute;
use crate::error::{CoreError, Result};

/// The longest text in a list, and the longest range, that `CreateJob` takes.
const MAX_TEXT: u64 = 1024;
const MAX_INNER_ITEMS: u64 = 64;

/// What the items of a list are; `None` for a type that is no list.
pub(super) fn item_type(kind: &str) -> Option<&str> {
    kind.strip_prefix("LIST[")?.strip_suffix(']')
}

/// How many letters or items a value of the type has at most; `is_item` when it stands in a list.
fn longest(kind: &str, is_item: bool) -> u64 {
    match kind {
        "LIST[STRING]" | "LIST[PATH]" => 64,
        _ if item_type(kind).is_some() => {
            if is_item {
                MAX_INNER_ITEMS
            } else {
                512
            }
        }
        "RANGE_EXPR" => MAX_TEXT,
        _ if is_item => MAX_TEXT,
        // `submission::limits` holds these to the service's figures, and says what to do then.
        _ => u64::MAX,
    }
}

/// Brings a value into the type of its parameter and holds it to the limits of the definition.
pub fn coerce(parameter: &Parameter, value: &Value) -> Result<Value> {
    fit(text(parameter, "type"), parameter, value, false).map_err(|what| {
        CoreError::Bundle(format!("The parameter {:?} cannot be {value}: {what}.", text(parameter, "name")))
    })
}

/// The value in its type. The error says what it must be.
pub(super) fn fit(kind: &str, rules: &Parameter, value: &Value, is_item: bool) -> Result<Value, String> {
    let fitted = match item_type(kind) {
        Some(item) => list(item, rules, value, is_item)?,
        None => scalar(kind, value, is_item)?,
    };
    hold(kind, rules, &fitted, is_item)?;
    Ok(fitted)
}

fn list(item: &str, rules: &Parameter, value: &Value, is_item: bool) -> Result<Value, String> {
    let read;
    let items = match value {
        Value::Array(items) => items,
        Value::String(text) if !is_item => {
            read = serde_json::from_str::<Vec<Value>>(text)
                .map_err(|err| format!("it must be a list, as text in JSON such as [1, 2] ({err})"))?;
            &read
        }
        _ => return Err("it must be a list".into()),
    };
    let nothing = Map::new();
    let of_item = rules.get("item").and_then(Value::as_object).unwrap_or(&nothing);
    let fitted = items.iter().enumerate().map(|(index, value)| {
        fit(item, of_item, value, true).map_err(|what| format!("item {} is {value}; {what}", index + 1))
    });
    fitted.collect::<Result<_, _>>().map(Value::Array)
}

fn scalar(kind: &str, value: &Value, is_item: bool) -> Result<Value, String> {
    let fitted = match (kind, value) {
        ("INT", Value::Number(number)) if number.is_i64() || (number.is_u64() && !is_item) => value.clone(),
        ("INT", Value::Number(number)) if !is_item => whole(number.as_f64()).ok_or("it must be a whole number")?,
        ("INT", Value::String(text)) if !is_item => {
            text.trim().parse::<i64>().map(Value::from).map_err(|_| "it must be a whole number")?
        }
        ("INT", _) => return Err("it must be a whole number".into()),
        ("FLOAT", Value::Number(number)) if is_item => number.as_f64().map(Value::from).ok_or("it must be a number")?,
        ("FLOAT", Value::Number(_)) => value.clone(),
        ("FLOAT", Value::String(text)) if !is_item && number(value).is_some() => Value::String(text.trim().to_owned()),
        ("FLOAT", _) => return Err("it must be a number".into()),
        ("BOOL", _) => boolean(value).map(Value::Bool).ok_or("it must be true or false (yes, no, on, off, 1, 0)")?,
        ("RANGE_EXPR", Value::String(text)) => {
            text.parse::<RangeExpr>()
                .map_err(|err| format!("it must be a range such as 1-10:2 ({})", one_line(&err)))?;
            value.clone()
        }
        (_, Value::String(_)) => value.clone(),
        _ => return Err("it must be text; put it between quotes".into()),
    };
    Ok(fitted)
}

fn whole(number: Option<f64>) -> Option<Value> {
    number.filter(|float| float.fract() == 0.0 && float.abs() < 9.0e15).map(|float| Value::from(float as i64))
}

fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) if number.as_f64() == Some(1.0) => Some(true),
        Value::Number(number) if number.as_f64() == Some(0.0) => Some(false),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn one_line(error: &impl std::fmt::Display) -> String {
    error.to_string().lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}

/// The number that a value is or spells.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

fn hold(kind: &str, rules: &Parameter, value: &Value, is_item: bool) -> Result<(), String> {
    let size = match value {
        Value::Array(items) => Some((items.len() as u64, "items")),
        Value::String(text) if kind != "FLOAT" => Some((text.chars().count() as u64, "characters")),
        _ => None,
    };
    if let Some((size, noun)) = size {
        let most = rules.get("maxLength").and_then(Value::as_u64).unwrap_or(u64::MAX).min(longest(kind, is_item));
        if let Some(least) = rules.get("minLength").and_then(Value::as_u64).filter(|least| size < *least) {
            return Err(format!("it must have at least {least} {noun}"));
        }
        if size > most {
            return Err(format!("it must have at most {most} {noun}"));
        }
    } else if let Some(amount) = number(value) {
        if let Some(least) = rules.get("minValue").filter(|least| number(least).is_some_and(|least| amount < least)) {
            return Err(format!("it must be at least {least}"));
        }
        if let Some(most) = rules.get("maxValue").filter(|most| number(most).is_some_and(|most| amount > most)) {
            return Err(format!("it must be at most {most}"));
        }
    }
    if let (Some(Value::Array(allowed)), false) = (rules.get("allowedValues"), value.is_array()) {
        let same = |other: &Value| match kind {
            "INT" | "FLOAT" => number(other) == number(value),
            _ => other == value,
        };
        if !allowed.iter().any(same) {
            let allowed: Vec<String> = allowed.iter().map(Value::to_string).collect();
            return Err(format!("it must be one of {}", allowed.join(", ")));
        }
    }
    Ok(())
}

/// Checks the limits that a definition sets for values of a type, or its `item` for those in a list. The error says what
/// it has.
pub(super) fn check_limits(kind: &str, rules: &Parameter, is_item: bool) -> Result<(), String> {
    for member in ["minLength", "maxLength"] {
        if let Some(value) = rules.get(member).filter(|value| value.as_u64().is_none()) {
            return Err(format!("has {member} {value}; it must be a whole number, 0 or more"));
        }
    }
    let least = rules.get("minLength").and_then(Value::as_u64).unwrap_or_default();
    let most = rules.get("maxLength").and_then(Value::as_u64).unwrap_or(u64::MAX);
    let most = most.min(longest(kind, is_item || kind == "PATH"));
    if least > most {
        return Err(format!("has minLength {least}, and no value can be longer than {most}"));
    }
    for member in ["minValue", "maxValue"] {
        if let Some(value) = rules.get(member).filter(|_| matches!(kind, "INT" | "FLOAT")) {
            scalar(kind, value, is_item).map_err(|what| format!("has {member} {value}; {what}"))?;
        }
    }
    if let (Some(least), Some(most)) = (rules.get("minValue"), rules.get("maxValue"))
        && number(least) > number(most)
    {
        return Err(format!("has minValue {least} above maxValue {most}"));
    }
    match rules.get("allowedValues") {
        None => {}
        Some(Value::Array(values)) if !values.is_empty() => {
            for value in values {
                fit(kind, rules, value, true).map_err(|what| format!("has {value} in allowedValues; {what}"))?;
            }
        }
        Some(other) => return Err(format!("has allowedValues {other}; it must be a list of values")),
    }
    match (rules.get("item"), item_type(kind)) {
        (None, _) => Ok(()),
        (Some(Value::Object(of_item)), Some(item)) if item != "BOOL" => {
            let known: &[&str] = match item {
                "STRING" | "PATH" => &["allowedValues", "minLength", "maxLength"],
                "INT" | "FLOAT" => &["allowedValues", "minValue", "maxValue"],
                _ => &["minLength", "maxLength", "item"],
            };
            if let Some(unknown) = of_item.keys().find(|member| !known.contains(&member.as_str())) {
                return Err(format!("has {unknown} in item; a {kind} can have {} there", known.join(", ")));
            }
            check_limits(item, of_item, true).map_err(|what| format!("has an item that {what}"))
        }
        (Some(_), Some("BOOL")) | (Some(_), None) => Err(format!("has item, which its type {kind} does not take")),
        (Some(other), _) => Err(format!("has item {other}; it must be an object")),
    }
}

/// The paths in a value: that of a PATH, or the items of a `LIST[PATH]`, which may be JSON text. A URI is none of them
/// where the template's extension EXPR makes it one.
pub fn paths(parameter: &Parameter, value: &Value, has_uris: bool) -> Vec<String> {
    let found = match (text(parameter, "type"), value) {
        ("PATH", Value::String(path)) => vec![path.clone()],
        ("LIST[PATH]", Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        ("LIST[PATH]", Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    found.into_iter().filter(|path| is_path(path, has_uris)).collect()
}

/// The value with `resolve` done to each of its [`paths`].
pub(in crate::bundle) fn with_paths(
    value: Value,
    has_uris: bool,
    resolve: &impl Fn(&str) -> Result<String>,
) -> Result<Value> {
    match value {
        Value::String(path) if is_path(&path, has_uris) => resolve(&path).map(Value::String),
        Value::Array(items) => {
            items.into_iter().map(|item| with_paths(item, has_uris, resolve)).collect::<Result<_>>().map(Value::Array)
        }
        other => Ok(other),
    }
}

/// The value with its paths made absolute in a folder.
pub(super) fn in_folder(value: Value, has_uris: bool, folder: &Path) -> Result<Value> {
    with_paths(value, has_uris, &|path| Ok(absolute(Path::new(path), folder).to_string_lossy().into_owned()))
}

/// Whether a text is the path of a file, and not an address (`s3://bucket/key`). One letter before the colon is a drive.
fn is_path(text: &str, has_uris: bool) -> bool {
    let is_address = has_uris && is_uri(text) && text.find("://") > Some(1);
    !text.is_empty() && !is_address
}

/// A value as `CreateJob` takes it, with the member of its union.
pub(super) fn wire(kind: &str, value: &Value) -> (String, Value) {
    let member = match kind {
        "RANGE_EXPR" => "rangeExpr",
        "LIST[STRING]" => "stringList",
        "LIST[PATH]" => "pathList",
        "LIST[INT]" => "intList",
        "LIST[FLOAT]" => "floatList",
        "LIST[BOOL]" => "boolList",
        "LIST[LIST[INT]]" => "intListList",
        plain => return (plain.to_ascii_lowercase(), texts(value)),
    };
    (member.to_owned(), texts(value))
}

fn texts(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(texts).collect(),
        Value::String(_) => value.clone(),
        other => other.to_string().into(),
    }
}
