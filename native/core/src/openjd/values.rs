//! Parameter values between plain JSON and the model's types.
//!
//! Two spellings are taken for a typed value: `{"type": "INT", "value": "1"}`, and the service's union
//! `{"int": "1"}` (`string`, `int`, `float`, `path`, `chunkInt`, and the kinds of the EXPR extension). One is given: the first.

use openjd_expr::{ExprType, ExprValue, PathFormat};
use openjd_model::types::{
    JobParameterType, JobParameterValue, JobParameterValues, TaskParameterSet, TaskParameterType, TaskParameterValue,
};
use serde_json::{Map, Value, json};

use crate::error::{CoreError, Result};

/// Members of the service's union, with the OpenJD types they stand for.
const UNION_MEMBERS: [(&str, &str); 13] = [
    ("string", "STRING"),
    ("int", "INT"),
    ("float", "FLOAT"),
    ("path", "PATH"),
    ("chunkInt", "CHUNK[INT]"),
    ("bool", "BOOL"),
    ("rangeExpr", "RANGE_EXPR"),
    ("stringList", "LIST[STRING]"),
    ("intList", "LIST[INT]"),
    ("floatList", "LIST[FLOAT]"),
    ("pathList", "LIST[PATH]"),
    ("boolList", "LIST[BOOL]"),
    ("intListList", "LIST[LIST[INT]]"),
];

/// A value as a person gives it (`3`, `"3"`, `[1, 2]`), or in the service's union (`{"int": "3"}`), whose lists hold texts.
pub(super) fn input_value(name: &str, value: &Value, declared: Option<JobParameterType>) -> Result<ExprValue> {
    let given = union_member(value).map_or(value, |(_, given)| given);
    let takes_list = declared.is_some_and(|declared| declared.expr_type().list_element_type().is_some());
    if given.is_array() && takes_list {
        // As text the model reads a list item by item, as the declared type; as values it takes only lists that have
        // this very type already, which an empty one has never, nor whole numbers where floats belong.
        return Ok(ExprValue::String(given.to_string()));
    }
    expression_value(given).map_err(|reason| {
        CoreError::Operation(format!("The value {value} of the job parameter '{name}' cannot be used: {reason}."))
    })
}

fn expression_value(value: &Value) -> Result<ExprValue, String> {
    Ok(match value {
        Value::Null => return Err("it is null".into()),
        Value::Object(_) => return Err("it is a mapping; give a text, a number, a boolean or a list".into()),
        Value::Bool(flag) => ExprValue::Bool(*flag),
        Value::String(text) => ExprValue::String(text.clone()),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => ExprValue::Int(whole),
            None => {
                let real = number.as_f64().ok_or("the number is out of range")?;
                ExprValue::Float(openjd_expr::value::Float64::new(real).map_err(|_| "the number is not finite")?)
            }
        },
        Value::Array(items) => {
            let items: Vec<ExprValue> = items.iter().map(expression_value).collect::<Result<_, _>>()?;
            ExprValue::make_list(items, ExprType::NULLTYPE).map_err(|err| err.to_string())?
        }
    })
}

/// The type and the value of the only member of the service's union.
fn union_member(value: &Value) -> Option<(&'static str, &Value)> {
    let (member, value) = value.as_object().filter(|fields| fields.len() == 1)?.iter().next()?;
    UNION_MEMBERS.iter().find(|(known, _)| known == member).map(|(_, type_name)| (*type_name, value))
}

/// Job parameters of a session: `{name: typed value}`.
pub fn job_parameters(values: &Value) -> Result<JobParameterValues> {
    typed_values(values, "job parameter")?
        .map(|(name, type_name, value)| {
            let param_type = JobParameterType::from_spec_str(type_name)
                .ok_or_else(|| unknown_type("job parameter", name, type_name))?;
            let value = typed(value, &param_type.expr_type())
                .map_err(|reason| bad_value("job parameter", name, type_name, value, &reason))?;
            Ok((name.clone(), JobParameterValue { param_type, value }))
        })
        .collect()
}

/// Parameters of one task: `{name: typed value}`.
pub fn task_parameters(values: &Value) -> Result<TaskParameterSet> {
    typed_values(values, "task parameter")?
        .map(|(name, type_name, value)| {
            let param_type = TaskParameterType::from_spec_str(type_name)
                .ok_or_else(|| unknown_type("task parameter", name, type_name))?;
            let value = typed(value, &param_type.expr_type())
                .map_err(|reason| bad_value("task parameter", name, type_name, value, &reason))?;
            Ok((name.clone(), TaskParameterValue { param_type, value }))
        })
        .collect()
}

/// `{name: {"type", "value"}}` of one task, values as text.
pub fn task_parameters_json(parameters: &TaskParameterSet) -> Value {
    let map: Map<String, Value> = parameters
        .iter()
        .map(|(name, parameter)| {
            let value =
                json!({"type": parameter.param_type.as_spec_str(), "value": parameter.value.to_display_string()});
            (name.clone(), value)
        })
        .collect();
    Value::Object(map)
}

/// `{"type", "value"}` of a job parameter; scalars as text, lists as lists of text.
pub(super) fn job_parameter_json(param_type: JobParameterType, value: &ExprValue) -> Value {
    json!({"type": param_type.as_spec_str(), "value": value_json(value)})
}

fn value_json(value: &ExprValue) -> Value {
    match value.list_elements() {
        Some(items) => Value::Array(items.iter().map(value_json).collect()),
        None => Value::String(value.to_display_string()),
    }
}

type Typed<'a> = (&'a String, &'a str, &'a Value);

fn typed_values<'a>(values: &'a Value, noun: &str) -> Result<impl Iterator<Item = Typed<'a>> + use<'a>> {
    let Some(map) = values.as_object() else {
        return Err(CoreError::Operation(format!(
            "The {noun}s must be a mapping of names to typed values, e.g. {{\"Frame\": {{\"type\": \"INT\", \"value\": \"1\"}}}}, but they are {values}."
        )));
    };
    let mut typed = Vec::with_capacity(map.len());
    for (name, value) in map {
        let fields = value.as_object().ok_or_else(|| not_typed(noun, name, value))?;
        let pair = match (fields.get("type").and_then(Value::as_str), fields.get("value")) {
            (Some(type_name), Some(value)) => (type_name, value),
            _ => union_member(value).ok_or_else(|| not_typed(noun, name, value))?,
        };
        typed.push((name, pair.0, pair.1));
    }
    Ok(typed.into_iter())
}

fn not_typed(noun: &str, name: &str, value: &Value) -> CoreError {
    CoreError::Operation(format!(
        "The {noun} '{name}' must be given as {{\"type\": \"INT\", \"value\": \"1\"}} or {{\"int\": \"1\"}}, but it is {value}."
    ))
}

fn unknown_type(noun: &str, name: &str, type_name: &str) -> CoreError {
    CoreError::Operation(format!("The {noun} '{name}' has the type '{type_name}', which OpenJD does not know."))
}

fn bad_value(noun: &str, name: &str, type_name: &str, value: &Value, reason: &str) -> CoreError {
    CoreError::Operation(format!("The {noun} '{name}' has the value {value}, which is no {type_name}: {reason}."))
}

fn typed(value: &Value, target: &ExprType) -> Result<ExprValue, String> {
    // Paths stay as they were written: a session maps them, and only it knows the host's format.
    if *target == ExprType::PATH {
        return value.as_str().map(|text| ExprValue::String(text.into())).ok_or_else(|| "a path is a text".into());
    }
    if *target == ExprType::list(ExprType::PATH) {
        return expression_value(value)?.coerce(&ExprType::list(ExprType::STRING), PathFormat::host());
    }
    match (value, target.list_element_type()) {
        (Value::String(text), _) => match ExprValue::from_str_coerce(text, target, PathFormat::host()) {
            Ok(value) => Ok(value),
            // The service gives lists as JSON in a text.
            Err(err) => match serde_json::from_str::<Value>(text) {
                Ok(list @ Value::Array(_)) => expression_value(&list)?.coerce(target, PathFormat::host()),
                _ => Err(err),
            },
        },
        (Value::Array(items), Some(element)) => {
            let items: Vec<_> = items.iter().map(|item| typed(item, element)).collect::<Result<_, _>>()?;
            ExprValue::make_list(items, element.clone()).map_err(|err| err.to_string())
        }
        (other, _) => expression_value(other)?.coerce(target, PathFormat::host()),
    }
}
