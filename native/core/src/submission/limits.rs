//! The figures of the service's model that a job is held to before anything of it is sent.
//!
//! The service itself would refuse, after all files were uploaded, and name its own member and not what a person set.

use serde_json::{Map, Value};

use crate::attachments::grouping::{Group, Prepared};
use crate::error::{CoreError, Result};

const MAX_PARAMETERS: usize = 200;
const MAX_NAME: usize = 1024;
const MAX_ROOTS: usize = 10;
const MAX_ROOT_PATH: usize = 1024;
const MAX_OUTPUTS: usize = 100;
const MAX_OUTPUT_PATH: usize = 1024;

/// The longest text of a parameter's value, by its type.
const VALUES: &[(&str, usize)] = &[("int", 20), ("float", 26), ("string", 1024), ("path", 1024)];

/// The range of a number.
const NUMBERS: &[(&str, i64, i64)] = &[
    ("priority", 0, 100),
    ("maxFailedTasksCount", 0, i32::MAX as i64),
    ("maxRetriesPerTask", 0, i32::MAX as i64),
    ("maxWorkerCount", -1, i32::MAX as i64),
];

const STATUSES: &[&str] = &["READY", "SUSPENDED"];

/// Refuses a request with a member that `CreateJob` does not take.
pub(super) fn check_request(request: &Map<String, Value>) -> Result<()> {
    for (member, least, most) in NUMBERS {
        let Some(value) = request.get(*member) else { continue };
        if !value.as_i64().is_some_and(|number| (*least..=*most).contains(&number)) {
            return Err(CoreError::Operation(format!(
                "The job's {member} is {value}; it must be a whole number from {least} to {most}."
            )));
        }
    }
    if let Some(status) = request.get("targetTaskRunStatus")
        && !status.as_str().is_some_and(|text| STATUSES.contains(&text))
    {
        return Err(CoreError::Operation(format!(
            "The job's targetTaskRunStatus is {status}; it must be one of {}.",
            STATUSES.join(", ")
        )));
    }
    let Some(parameters) = request.get("parameters").and_then(Value::as_object) else { return Ok(()) };
    if parameters.len() > MAX_PARAMETERS {
        return Err(CoreError::Operation(format!(
            "The job has values for {} parameters; the service takes at most {MAX_PARAMETERS}. Leave out those that are \
             as the template has them by default, or put several into one.",
            parameters.len()
        )));
    }
    parameters.iter().try_for_each(|(name, value)| check_parameter(name, value))
}

fn check_parameter(name: &str, value: &Value) -> Result<()> {
    let length = name.chars().count();
    if length > MAX_NAME {
        return Err(CoreError::Operation(format!(
            "A job parameter has a name of {length} characters; the service takes at most {MAX_NAME}. Rename it: {name}."
        )));
    }
    for (kind, most) in VALUES {
        let Some(text) = value.get(kind).and_then(Value::as_str) else { continue };
        let length = text.chars().count();
        if length > *most {
            return Err(CoreError::Operation(format!(
                "The value of the job parameter {name:?} has {length} characters; the service takes at most {most} for \
                 a value of the type {}. Put it into a file of the bundle, and refer to the file.",
                kind.to_uppercase()
            )));
        }
    }
    Ok(())
}

/// Refuses files that `CreateJob` cannot name.
pub(super) fn check_groups(prepared: &Prepared) -> Result<()> {
    if prepared.groups.len() > MAX_ROOTS {
        let roots: Vec<String> = prepared.groups.iter().map(|group| format!("\n  {}", group.root.display())).collect();
        return Err(CoreError::Attachments(format!(
            "The job's files lie under {} roots; a job can have at most {MAX_ROOTS}. Move files together, or name their \
             folders as locations of a storage profile. The roots are:{}",
            prepared.groups.len(),
            roots.concat()
        )));
    }
    prepared.groups.iter().try_for_each(check_group)
}

fn check_group(group: &Group) -> Result<()> {
    let root = group.root.to_string_lossy();
    let length = root.chars().count();
    if length > MAX_ROOT_PATH {
        return Err(CoreError::Attachments(format!(
            "The job's files lie under a path of {length} characters; the service takes at most {MAX_ROOT_PATH}. Move \
             them: {root}."
        )));
    }
    if group.outputs.len() > MAX_OUTPUTS {
        return Err(CoreError::Attachments(format!(
            "The job writes into {} folders under {root}; the service takes at most {MAX_OUTPUTS}. Name a folder that \
             holds several of them.",
            group.outputs.len()
        )));
    }
    let too_long = group.outputs.iter().find_map(|output| {
        let path = output.strip_prefix(&group.root).unwrap_or(output).to_string_lossy().into_owned();
        Some((path.chars().count(), path)).filter(|(length, _)| *length > MAX_OUTPUT_PATH)
    });
    match too_long {
        None => Ok(()),
        Some((length, path)) => Err(CoreError::Attachments(format!(
            "The job writes into a folder whose path under {root} has {length} characters; the service takes at most \
             {MAX_OUTPUT_PATH}. Shorten it: {path}."
        ))),
    }
}
