//! The shapes that the Python contract promises for farms, queues and storage profiles: exact members, in a fixed
//! order, with timestamps as text.

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde_json::{Map, Value, json};

/// `{"farms": [{farmId, displayName, createdAt, createdBy}]}`.
pub fn farms(wire: &Value) -> Value {
    json!({ "farms": items(wire, "farms", &["farmId", "displayName", "createdAt", "createdBy"]) })
}

/// `{"queues": [{queueId, displayName, status, createdAt, createdBy}]}`.
pub fn queues(wire: &Value) -> Value {
    json!({ "queues": items(wire, "queues", &["queueId", "displayName", "status", "createdAt", "createdBy"]) })
}

/// `{"storageProfiles": [{storageProfileId, displayName, osFamily}]}`.
pub fn storage_profiles(wire: &Value) -> Value {
    json!({ "storageProfiles": items(wire, "storageProfiles", &["storageProfileId", "displayName", "osFamily"]) })
}

/// The farm of `get_farm`.
pub fn farm(wire: &Value) -> Value {
    let members = [
        "farmId",
        "displayName",
        "kmsKeyArn",
        "createdAt",
        "createdBy",
        "updatedAt",
        "updatedBy",
        "description",
        "costScaleFactor",
    ];
    Value::Object(pick(wire, &members, display_time))
}

/// The queue of `get_queue`. Empty lists are left out.
pub fn queue(wire: &Value) -> Value {
    let members = [
        "farmId",
        "queueId",
        "displayName",
        "status",
        "defaultBudgetAction",
        "blockedReason",
        "createdAt",
        "createdBy",
        "updatedAt",
        "updatedBy",
        "description",
        "jobAttachmentSettings",
        "roleArn",
        "requiredFileSystemLocationNames",
        "allowedStorageProfileIds",
        "jobRunAsUser",
        "schedulingConfiguration",
    ];
    let mut queue = pick(wire, &members, display_time);
    queue.retain(|_, value| !value.as_array().is_some_and(Vec::is_empty));
    Value::Object(queue)
}

fn items(wire: &Value, member: &str, members: &[&str]) -> Vec<Value> {
    let found = wire[member].as_array().map(Vec::as_slice).unwrap_or_default();
    found.iter().map(|item| Value::Object(pick(item, members, wire_time))).collect()
}

fn pick(wire: &Value, members: &[&str], time: fn(&DateTime) -> Option<String>) -> Map<String, Value> {
    let mut picked = Map::new();
    for &member in members {
        let Some(value) = wire.get(member).filter(|value| !value.is_null()) else { continue };
        let text = if member.ends_with("At") { moment(value).and_then(|moment| time(&moment)) } else { None };
        picked.insert(member.to_owned(), text.map_or_else(|| value.clone(), Value::String));
    }
    picked
}

/// A timestamp of the wire: RFC 3339 with `Z` or an offset, or seconds since 1970 as a number or text.
pub(crate) fn moment(value: &Value) -> Option<DateTime> {
    match value {
        Value::Number(seconds) => seconds.as_f64().map(DateTime::from_secs_f64),
        Value::String(text) => DateTime::from_str(text, Format::DateTimeWithOffset)
            .ok()
            .or_else(|| text.parse::<f64>().ok().map(DateTime::from_secs_f64)),
        _ => None,
    }
}

/// `2024-01-02T03:04:05.678Z`.
fn wire_time(moment: &DateTime) -> Option<String> {
    moment.fmt(Format::DateTime).ok()
}

/// `2024-01-02 03:04:05.678+00:00`.
fn display_time(moment: &DateTime) -> Option<String> {
    Some(wire_time(moment)?.replacen('T', " ", 1).replacen('Z', "+00:00", 1))
}
