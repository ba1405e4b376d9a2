//! Parameter definitions and values: checks, merging of queue and bundle, and what they become in a request.
//!
//! A parameter is the JSON object of its definition in OpenJD's own words, with a `value` member once it has one. An
//! object of `name` and `value` alone is a value whose definition lies elsewhere.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::absolute;
use crate::error::{CoreError, Result};

/// One parameter.
pub type Parameter = Map<String, Value>;

const TYPES: &[&str] = &["STRING", "PATH", "INT", "FLOAT"];
const DATA_FLOWS: &[&str] = &["NONE", "IN", "OUT", "INOUT"];
const OBJECT_TYPES: &[&str] = &["FILE", "DIRECTORY"];
const CONTROLS: &[&str] = &[
    "CHECK_BOX",
    "CHOOSE_DIRECTORY",
    "CHOOSE_INPUT_FILE",
    "CHOOSE_OUTPUT_FILE",
    "DROPDOWN_LIST",
    "HIDDEN",
    "LINE_EDIT",
    "MULTILINE_EDIT",
    "SPIN_BOX",
];
const COMPARED: &[&str] = &["name", "type", "minValue", "maxValue", "minLength", "maxLength", "dataFlow", "objectType"];

/// A text member; empty when it is missing or something else.
pub fn text<'a>(parameter: &'a Parameter, member: &str) -> &'a str {
    parameter.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// Whether the object is a value without a definition.
pub fn is_bare(parameter: &Parameter) -> bool {
    parameter.keys().all(|key| key == "name" || key == "value")
}

/// Checks one definition. `origin` says where it stands; with `default_required` it must have a default.
pub fn check_definition(definition: &Value, origin: &str, default_required: bool) -> Result<Parameter> {
    let Value::Object(parameter) = definition else {
        return Err(CoreError::Bundle(format!("A parameter definition in {origin} is {definition}, not an object.")));
    };
    let name = text(parameter, "name");
    if name.is_empty() {
        return Err(CoreError::Bundle(format!("A parameter definition in {origin} has no name: {definition}.")));
    }
    let check = Check { parameter, name, origin };
    check.one_of("type", TYPES, true)?;
    if default_required && !parameter.contains_key("default") {
        return Err(check.refuse("has no default".into()));
    }
    if parameter.get("default").is_some_and(Value::is_null) {
        return Err(check.refuse("has the default null; leave the member out instead".into()));
    }
    match parameter.get("allowedValues") {
        None => {}
        Some(Value::Array(values)) if !values.is_empty() => {}
        Some(other) => return Err(check.refuse(format!("has allowedValues {other}; it must be a list of values"))),
    }
    check.one_of("dataFlow", DATA_FLOWS, false)?;
    check.one_of("objectType", OBJECT_TYPES, false)?;
    for member in ["minLength", "maxLength"] {
        if let Some(value) = parameter.get(member).filter(|value| value.as_u64().is_none()) {
            return Err(check.refuse(format!("has {member} {value}; it must be a whole number, 0 or more")));
        }
    }
    for member in ["minValue", "maxValue"] {
        if let Some(value) = parameter.get(member).filter(|value| number(value).is_none()) {
            return Err(check.refuse(format!("has {member} {value}; it must be a number")));
        }
    }
    match parameter.get("userInterface") {
        None => {}
        Some(Value::Object(interface)) => check.user_interface(interface)?,
        Some(other) => return Err(check.refuse(format!("has userInterface {other}; it must be an object"))),
    }
    Ok(parameter.clone())
}

struct Check<'a> {
    parameter: &'a Parameter,
    name: &'a str,
    origin: &'a str,
}

impl Check<'_> {
    fn refuse(&self, what: String) -> CoreError {
        CoreError::Bundle(format!("The parameter {:?} in {} {what}.", self.name, self.origin))
    }

    fn one_of(&self, member: &str, allowed: &[&str], required: bool) -> Result<()> {
        match self.parameter.get(member) {
            None if !required => Ok(()),
            None => Err(self.refuse(format!("has no {member}; it must be one of {}", allowed.join(", ")))),
            Some(value) if value.as_str().is_some_and(|value| allowed.contains(&value)) => Ok(()),
            Some(value) => Err(self.refuse(format!("has {member} {value}; it must be one of {}", allowed.join(", ")))),
        }
    }

    fn user_interface(&self, interface: &Map<String, Value>) -> Result<()> {
        if let Some(control) = interface.get("control") {
            let known = control.as_str().filter(|control| CONTROLS.contains(control));
            let Some(control) = known else {
                return Err(
                    self.refuse(format!("has the control {control}; it must be one of {}", CONTROLS.join(", ")))
                );
            };
            let kind = text(self.parameter, "type");
            let fitting: &[&str] = match kind {
                "STRING" => &["LINE_EDIT", "MULTILINE_EDIT", "DROPDOWN_LIST", "CHECK_BOX", "HIDDEN"],
                "PATH" => &["CHOOSE_INPUT_FILE", "CHOOSE_OUTPUT_FILE", "CHOOSE_DIRECTORY", "DROPDOWN_LIST", "HIDDEN"],
                _ => &["SPIN_BOX", "DROPDOWN_LIST", "HIDDEN"],
            };
            if !fitting.contains(&control) {
                return Err(self.refuse(format!(
                    "has the control {control:?}, which does not fit its type {kind}; use one of {}",
                    fitting.join(", ")
                )));
            }
            if control == "DROPDOWN_LIST" && !self.parameter.contains_key("allowedValues") {
                return Err(self.refuse("has the control DROPDOWN_LIST and no allowedValues".into()));
            }
        }
        for member in ["label", "groupLabel"] {
            if let Some(value) = interface.get(member).filter(|value| !value.is_string()) {
                return Err(self.refuse(format!("has the {member} {value}; it must be text")));
            }
        }
        if let Some(value) = interface.get("decimals").filter(|value| value.as_u64().is_none()) {
            return Err(self.refuse(format!("has decimals {value}; it must be a whole number, 0 or more")));
        }
        if let Some(value) =
            interface.get("singleStepDelta").filter(|value| number(value).is_none_or(|step| step <= 0.0))
        {
            return Err(self.refuse(format!("has singleStepDelta {value}; it must be a number above 0")));
        }
        match interface.get("fileFilters") {
            None => {}
            Some(Value::Array(filters)) => {
                filters.iter().try_for_each(|filter| self.file_filter("fileFilters", filter))?
            }
            Some(other) => return Err(self.refuse(format!("has fileFilters {other}; it must be a list"))),
        }
        interface.get("fileFilterDefault").map_or(Ok(()), |filter| self.file_filter("fileFilterDefault", filter))
    }

    fn file_filter(&self, member: &str, filter: &Value) -> Result<()> {
        let patterns = filter["patterns"].as_array().map(Vec::as_slice).unwrap_or_default();
        let fits = |pattern: &Value| pattern.as_str().is_some_and(|text| (1..=20).contains(&text.chars().count()));
        if filter["label"].is_string() && !patterns.is_empty() && patterns.iter().all(fits) {
            return Ok(());
        }
        Err(self.refuse(format!(
            "has {member} {filter}; it must have a label and a list of patterns of 1 to 20 characters"
        )))
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

/// The control that a definition gets when it names none.
pub fn infer_control(parameter: &Parameter) -> &'static str {
    if parameter.contains_key("allowedValues") {
        return "DROPDOWN_LIST";
    }
    match text(parameter, "type") {
        "STRING" => "LINE_EDIT",
        "PATH" if text(parameter, "objectType") == "FILE" => {
            if text(parameter, "dataFlow") == "OUT" {
                "CHOOSE_OUTPUT_FILE"
            } else {
                "CHOOSE_INPUT_FILE"
            }
        }
        "PATH" => "CHOOSE_DIRECTORY",
        _ => "SPIN_BOX",
    }
}

/// Brings a value into the type of its parameter and holds it to the limits of the definition.
pub fn coerce(parameter: &Parameter, value: &Value) -> Result<Value> {
    let name = text(parameter, "name");
    let kind = text(parameter, "type");
    let refuse = |what: String| CoreError::Bundle(format!("The parameter {name:?} cannot be {value}: {what}."));
    let coerced = match kind {
        "INT" => match value {
            Value::Number(number) if number.is_i64() || number.is_u64() => value.clone(),
            Value::Number(number)
                if number.as_f64().is_some_and(|float| float.fract() == 0.0 && float.abs() < 9.0e15) =>
            {
                Value::from(number.as_f64().unwrap_or_default() as i64)
            }
            Value::String(text) => {
                text.trim().parse::<i64>().map(Value::from).map_err(|_| refuse("it must be a whole number".into()))?
            }
            _ => return Err(refuse("it must be a whole number".into())),
        },
        "FLOAT" => match value {
            Value::Number(_) => value.clone(),
            Value::String(text) if number(value).is_some() => Value::String(text.trim().to_owned()),
            _ => return Err(refuse("it must be a number".into())),
        },
        _ => match value {
            Value::String(_) => value.clone(),
            _ => return Err(refuse("it must be text; put it between quotes".into())),
        },
    };
    if let Value::String(text) = &coerced
        && kind != "FLOAT"
    {
        let length = text.chars().count() as u64;
        if let Some(least) = parameter.get("minLength").and_then(Value::as_u64).filter(|least| length < *least) {
            return Err(refuse(format!("it must have at least {least} characters")));
        }
        if let Some(most) = parameter.get("maxLength").and_then(Value::as_u64).filter(|most| length > *most) {
            return Err(refuse(format!("it must have at most {most} characters")));
        }
    } else if let Some(amount) = number(&coerced) {
        if let Some(least) = parameter.get("minValue").filter(|least| number(least).is_some_and(|least| amount < least))
        {
            return Err(refuse(format!("it must be at least {least}")));
        }
        if let Some(most) = parameter.get("maxValue").filter(|most| number(most).is_some_and(|most| amount > most)) {
            return Err(refuse(format!("it must be at most {most}")));
        }
    }
    if let Some(Value::Array(allowed)) = parameter.get("allowedValues") {
        let same = |other: &Value| match kind {
            "INT" | "FLOAT" => number(other) == number(&coerced),
            _ => *other == coerced,
        };
        if !allowed.iter().any(same) {
            let allowed: Vec<String> = allowed.iter().map(Value::to_string).collect();
            return Err(refuse(format!("it must be one of {}", allowed.join(", "))));
        }
    }
    Ok(coerced)
}

/// The members in which two definitions of one parameter differ.
pub fn differences(one: &Parameter, other: &Parameter) -> Vec<&'static str> {
    let set = |parameter: &Parameter| -> Option<BTreeSet<String>> {
        parameter.get("allowedValues")?.as_array().map(|values| values.iter().map(Value::to_string).collect())
    };
    let mut found: Vec<&'static str> =
        COMPARED.iter().copied().filter(|member| one.get(*member) != other.get(*member)).collect();
    if set(one) != set(other) {
        found.push("allowedValues");
    }
    found
}

/// Merges the parameters of the queue's environments with those of the bundle: the queue's first, in their order.
pub fn merge(queue: &[Parameter], bundle: &[Parameter]) -> Result<Vec<Parameter>> {
    let mut merged = queue.to_vec();
    for parameter in bundle {
        let name = text(parameter, "name");
        let Some(known) = merged.iter_mut().find(|known| text(known, "name") == name) else {
            if is_bare(parameter) && !name.contains(':') {
                return Err(CoreError::Bundle(format!(
                    "The bundle gives a value for the parameter {name:?}, which neither its template nor an \
                     environment of the queue defines. Correct the name, or remove the value from parameter_values."
                )));
            }
            merged.push(parameter.clone());
            continue;
        };
        if let Some(value) = parameter.get("value") {
            known.insert("value".into(), value.clone());
        }
        if is_bare(parameter) {
            continue;
        }
        let different = differences(known, parameter);
        if !different.is_empty() {
            return Err(CoreError::Bundle(format!(
                "The template and an environment of the queue define the parameter {name:?} differently in: {}. Make \
                 the definitions equal, or rename the parameter.",
                different.join(", ")
            )));
        }
        if let Some(default) = parameter.get("default") {
            known.insert("default".into(), default.clone());
        }
    }
    Ok(merged)
}

/// Puts the values of the caller in, and holds every value to its definition. Relative paths lie in `current_dir`.
pub fn apply(parameters: &mut Vec<Parameter>, given: &[(String, Value)], current_dir: &Path) -> Result<()> {
    for (name, value) in given {
        match parameters.iter_mut().find(|parameter| text(parameter, "name") == name) {
            Some(parameter) => {
                if let Some(value) = given_value(parameter, value, current_dir)? {
                    parameter.insert("value".into(), value);
                }
            }
            None if name.contains(':') => {
                parameters.push(Map::from_iter([
                    ("name".to_owned(), name.clone().into()),
                    ("value".to_owned(), value.clone()),
                ]));
            }
            None => {
                return Err(CoreError::Bundle(format!(
                    "There is no parameter {name:?} in the template or in an environment of the queue. Correct the \
                     name."
                )));
            }
        }
    }
    let typed = || parameters.iter().filter(|parameter| !is_bare(parameter));
    let empty: Vec<&str> = typed()
        .filter(|parameter| !parameter.contains_key("value") && !parameter.contains_key("default"))
        .map(|parameter| text(parameter, "name"))
        .collect();
    if !empty.is_empty() {
        return Err(CoreError::Bundle(format!(
            "These job parameters have neither a value nor a default: {}. Give them in the bundle's parameter_values, \
             or with the submission.",
            empty.join(", ")
        )));
    }
    for parameter in parameters.iter_mut().filter(|parameter| !is_bare(parameter)) {
        if let Some(value) = parameter.get("value") {
            let value = coerce(parameter, value)?;
            parameter.insert("value".into(), value);
        }
    }
    Ok(())
}

fn given_value(parameter: &Parameter, value: &Value, current_dir: &Path) -> Result<Option<Value>> {
    if text(parameter, "type") != "PATH" || parameter.contains_key("allowedValues") {
        return Ok(Some(value.clone()));
    }
    let Value::String(path) = coerce(parameter, value)? else { return Ok(None) };
    // An empty path is how a dialog says that nothing was chosen.
    Ok((!path.is_empty()).then(|| absolute(Path::new(&path), current_dir).to_string_lossy().into()))
}

/// Members of `CreateJob` that a bundle may set as `deadline:<member>`.
const REQUEST_MEMBERS: &[&str] =
    &["targetTaskRunStatus", "priority", "maxFailedTasksCount", "maxRetriesPerTask", "maxWorkerCount"];

/// What parameters become in `CreateJob`: members of the request itself, and its `parameters`.
pub fn split(parameters: &[Parameter]) -> Result<(Map<String, Value>, Map<String, Value>)> {
    let mut members = Map::new();
    let mut values = Map::new();
    for parameter in parameters {
        let name = text(parameter, "name");
        let Some(value) = parameter.get("value") else { continue };
        if let Some(member) = name.strip_prefix("deadline:") {
            members.insert(member.to_owned(), request_member(member, value)?);
        } else if !name.contains(':') {
            let kind = text(parameter, "type").to_ascii_lowercase();
            values.insert(name.to_owned(), Value::Object(Map::from_iter([(kind, Value::String(plain(value)))])));
        }
    }
    Ok((members, values))
}

fn request_member(member: &str, value: &Value) -> Result<Value> {
    if !REQUEST_MEMBERS.contains(&member) {
        return Err(CoreError::Bundle(format!(
            "The bundle sets \"deadline:{member}\", which is no setting of a job. The settings are: {}.",
            REQUEST_MEMBERS.iter().map(|known| format!("deadline:{known}")).collect::<Vec<_>>().join(", ")
        )));
    }
    if member == "targetTaskRunStatus" {
        return Ok(Value::String(plain(value)));
    }
    let number = value.as_i64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
    number.map(Value::from).ok_or_else(|| {
        CoreError::Bundle(format!("The bundle sets \"deadline:{member}\" to {value}, which is not a whole number."))
    })
}

/// A value as the wire wants it: always text.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
