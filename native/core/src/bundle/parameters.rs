//! Parameter definitions and values: checks, merging of queue and bundle, and what they become in a request.
//!
//! A parameter is the JSON object of its definition in OpenJD's own words, with a `value` member once it has one. An
//! object of `name` and `value` alone is a value whose definition lies elsewhere.

mod values;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{CoreError, Result};
pub(super) use values::with_paths;
use values::{check_limits, in_folder, item_type, number, wire};
pub use values::{coerce, paths};

/// One parameter.
pub type Parameter = Map<String, Value>;

const TYPES: &[&str] = &[
    "STRING",
    "PATH",
    "INT",
    "FLOAT",
    "BOOL",
    "RANGE_EXPR",
    "LIST[STRING]",
    "LIST[PATH]",
    "LIST[INT]",
    "LIST[FLOAT]",
    "LIST[BOOL]",
    "LIST[LIST[INT]]",
];
const DATA_FLOWS: &[&str] = &["NONE", "IN", "OUT", "INOUT"];
const OBJECT_TYPES: &[&str] = &["FILE", "DIRECTORY"];
const CONTROLS: &[&str] = &[
    "CHECK_BOX",
    "CHECK_BOX_LIST",
    "CHOOSE_DIRECTORY",
    "CHOOSE_DIRECTORY_LIST",
    "CHOOSE_INPUT_FILE",
    "CHOOSE_INPUT_FILE_LIST",
    "CHOOSE_OUTPUT_FILE",
    "CHOOSE_OUTPUT_FILE_LIST",
    "DROPDOWN_LIST",
    "HIDDEN",
    "LINE_EDIT",
    "LINE_EDIT_LIST",
    "MULTILINE_EDIT",
    "SPIN_BOX",
    "SPIN_BOX_LIST",
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

/// Whether a template asks for the extension EXPR: its types of parameters may be written in small letters, and its paths
/// may be URIs.
pub fn is_expr(template: &Value) -> bool {
    template["extensions"].as_array().is_some_and(|names| names.iter().any(|name| name == "EXPR"))
}

/// A definition of a template with the type in capital letters where any will do.
pub fn with_type_in_capitals(template: &Value, definition: &Value) -> Value {
    let mut definition = definition.clone();
    if is_expr(template)
        && let Some(Value::String(kind)) = definition.get_mut("type")
    {
        kind.make_ascii_uppercase();
    }
    definition
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
    check.limits_of_its_type()?;
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

    /// What is wrong with the limits of one of the first edition's types, the template's own check says.
    fn limits_of_its_type(&self) -> Result<()> {
        let kind = text(self.parameter, "type");
        let never: &[&str] = match kind {
            "STRING" | "INT" | "FLOAT" | "PATH" => &["item"],
            "BOOL" => &["allowedValues", "minLength", "maxLength", "minValue", "maxValue", "item"],
            "RANGE_EXPR" => &["allowedValues", "minValue", "maxValue", "item"],
            "LIST[PATH]" => &["allowedValues", "minValue", "maxValue"],
            _ => &["allowedValues", "minValue", "maxValue", "objectType", "dataFlow"],
        };
        if let Some(member) = never.iter().find(|member| self.parameter.contains_key(**member)) {
            return Err(self.refuse(format!("has {member}, which its type {kind} does not take")));
        }
        if matches!(kind, "STRING" | "INT" | "FLOAT") {
            return Ok(());
        }
        if kind == "PATH" || item_type(kind).is_some() {
            check_limits(kind, self.parameter, false).map_err(|what| self.refuse(what))?;
        }
        match self.parameter.get("default") {
            None => Ok(()),
            Some(default) if item_type(kind).is_some() && !default.is_array() => {
                Err(self.refuse(format!("has the default {default}; it must be a list")))
            }
            // Of a PATH, it is held to the length of a path in a list here: a template says nothing longer.
            Some(default) => values::fit(kind, self.parameter, default, kind == "PATH")
                .map(|_| ())
                .map_err(|what| self.refuse(format!("has the default {default}; {what}"))),
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
                "BOOL" => &["CHECK_BOX", "HIDDEN"],
                "RANGE_EXPR" => &["LINE_EDIT", "HIDDEN"],
                "LIST[STRING]" => &["LINE_EDIT_LIST", "HIDDEN"],
                "LIST[PATH]" => {
                    &["CHOOSE_INPUT_FILE_LIST", "CHOOSE_OUTPUT_FILE_LIST", "CHOOSE_DIRECTORY_LIST", "HIDDEN"]
                }
                "LIST[INT]" | "LIST[FLOAT]" => &["SPIN_BOX_LIST", "HIDDEN"],
                "LIST[BOOL]" => &["CHECK_BOX_LIST", "HIDDEN"],
                "LIST[LIST[INT]]" => &["HIDDEN"],
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

/// The control that a definition gets when it names none.
pub fn infer_control(parameter: &Parameter) -> &'static str {
    if parameter.contains_key("allowedValues") {
        return "DROPDOWN_LIST";
    }
    let is_file = text(parameter, "objectType") == "FILE";
    let is_output = text(parameter, "dataFlow") == "OUT";
    match text(parameter, "type") {
        "STRING" | "RANGE_EXPR" => "LINE_EDIT",
        "PATH" if is_file && is_output => "CHOOSE_OUTPUT_FILE",
        "PATH" if is_file => "CHOOSE_INPUT_FILE",
        "PATH" => "CHOOSE_DIRECTORY",
        "BOOL" => "CHECK_BOX",
        "LIST[STRING]" => "LINE_EDIT_LIST",
        "LIST[PATH]" if is_file && is_output => "CHOOSE_OUTPUT_FILE_LIST",
        "LIST[PATH]" if is_file => "CHOOSE_INPUT_FILE_LIST",
        "LIST[PATH]" => "CHOOSE_DIRECTORY_LIST",
        "LIST[INT]" | "LIST[FLOAT]" => "SPIN_BOX_LIST",
        "LIST[BOOL]" => "CHECK_BOX_LIST",
        // OpenJD has no control for it: its value is edited as JSON text.
        "LIST[LIST[INT]]" => "MULTILINE_EDIT",
        _ => "SPIN_BOX",
    }
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
    // No item, and one without limits, say the same.
    let nothing = Value::Object(Map::new());
    let item = |parameter: &Parameter| parameter.get("item").unwrap_or(&nothing).clone();
    let is_different = match (item(one), item(other)) {
        (one, other) if one == other => false,
        (Value::Object(one), Value::Object(other)) => !differences(&one, &other).is_empty(),
        _ => true,
    };
    if is_different {
        found.push("item");
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

/// Puts the values of the caller in, and holds every value to its definition. Relative paths lie in `current_dir`; a URI
/// is none where `has_uris`.
pub fn apply(
    parameters: &mut Vec<Parameter>,
    given: &[(String, Value)],
    current_dir: &Path,
    has_uris: bool,
) -> Result<()> {
    for (name, value) in given {
        match parameters.iter_mut().find(|parameter| text(parameter, "name") == name) {
            Some(parameter) => {
                if let Some(value) = given_value(parameter, value, current_dir, has_uris)? {
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

/// Makes values fit as the official client does: those of a STRING become text, and those that nothing defines are taken
/// out; their names.
pub fn loosen(parameters: &mut [Parameter], given: &mut Vec<(String, Value)>) -> Vec<String> {
    for parameter in parameters.iter_mut() {
        // The value of a queue's parameter comes from the bundle, which did not know its type.
        if let Some(value) = parameter.remove("value") {
            let value = written_as_text(parameter, value);
            parameter.insert("value".into(), value);
        }
    }
    let mut undefined = Vec::new();
    given.retain_mut(|(name, value)| {
        if let Some(parameter) = parameters.iter().find(|parameter| text(parameter, "name") == name) {
            *value = as_text(parameter, value.take());
        } else if !name.contains(':') {
            undefined.push(name.clone());
            return false;
        }
        true
    });
    undefined
}

/// A number or truth value that a document has for a STRING, as text.
///
/// A whole number with a fraction stays one, which does not fit: it may have been `010` in YAML, where text was meant, and
/// the official client makes 8 of it.
pub fn written_as_text(parameter: &Parameter, value: Value) -> Value {
    if value.is_f64() && value.as_f64().is_some_and(|number| number.fract() == 0.0) {
        return value;
    }
    as_text(parameter, value)
}

/// A number or truth value of a STRING as text, in the words of Python: the official client writes it so.
fn as_text(parameter: &Parameter, value: Value) -> Value {
    match value {
        Value::Bool(flag) if text(parameter, "type") == "STRING" => if flag { "True" } else { "False" }.into(),
        Value::Number(number) if text(parameter, "type") == "STRING" => number.to_string().into(),
        other => other,
    }
}

fn given_value(parameter: &Parameter, value: &Value, current_dir: &Path, has_uris: bool) -> Result<Option<Value>> {
    if !holds_paths(parameter) {
        return Ok(Some(value.clone()));
    }
    let value = coerce(parameter, value)?;
    // An empty path is how a dialog says that nothing was chosen.
    if value == "" {
        return Ok(None);
    }
    in_folder(value, has_uris, current_dir).map(Some)
}

/// Whether values are paths that are made absolute: those that a definition lists are taken as they are.
pub(super) fn holds_paths(parameter: &Parameter) -> bool {
    match text(parameter, "type") {
        "PATH" => !parameter.contains_key("allowedValues"),
        "LIST[PATH]" => parameter.get("item").is_none_or(|item| item.get("allowedValues").is_none()),
        _ => false,
    }
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
            values.insert(name.to_owned(), Value::Object(Map::from_iter([wire(text(parameter, "type"), value)])));
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
        return Ok(value.as_str().map_or_else(|| value.to_string(), str::to_owned).into());
    }
    let number = value.as_i64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
    number.map(Value::from).ok_or_else(|| {
        CoreError::Bundle(format!("The bundle sets \"deadline:{member}\" to {value}, which is not a whole number."))
    })
}
