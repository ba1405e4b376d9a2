//! The job parameters that the environments of a queue define.

use serde_json::{Map, Value};

use super::Service;
use crate::bundle::documents;
use crate::bundle::parameters::{self, Parameter};
use crate::error::{CoreError, Result};

impl Service {
    /// The parameter definitions of all environments of a queue, in the order of their priority.
    pub async fn queue_parameter_definitions(&self, farm_id: &str, queue_id: &str) -> Result<Vec<Parameter>> {
        let listed = self.list_queue_environments(farm_id, queue_id).await?;
        let mut environments = Vec::new();
        for summary in listed["environments"].as_array().into_iter().flatten() {
            let id = summary["queueEnvironmentId"].as_str().unwrap_or_default();
            environments.push(self.get_queue_environment(farm_id, queue_id, id).await?);
        }
        environments.sort_by_key(|environment| environment["priority"].as_i64().unwrap_or_default());
        let mut found: Vec<Parameter> = Vec::new();
        for environment in &environments {
            collect(environment, &mut found)?;
        }
        Ok(found)
    }
}

fn collect(environment: &Value, found: &mut Vec<Parameter>) -> Result<()> {
    let id = environment["queueEnvironmentId"].as_str().unwrap_or_default();
    let refuse = |what: String| {
        CoreError::Bundle(format!("The queue environment {id} {what}. Ask the farm's administrator to correct it."))
    };
    let template = documents::parse_yaml(environment["template"].as_str().unwrap_or_default())
        .map_err(|err| refuse(format!("has a template that is not YAML: {err}")))?;
    let definitions = match template.get("parameterDefinitions") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Array(definitions)) => definitions,
        Some(other) => return Err(refuse(format!("has parameterDefinitions {other}, which is not a list"))),
    };
    let name = template["environment"]["name"].as_str().or(environment["name"].as_str()).unwrap_or(id);
    for definition in definitions {
        let origin = format!("the queue environment {name:?}");
        let definition = parameters::with_type_in_capitals(&template, definition);
        let mut parameter = parameters::check_definition(&definition, &origin, true)?;
        label(&mut parameter, name);
        let Some(known) = found.iter().find(|known| known["name"] == parameter["name"]) else {
            found.push(parameter);
            continue;
        };
        let different = parameters::differences(known, &parameter);
        if !different.is_empty() {
            return Err(refuse(format!(
                "defines the parameter {} differently from another environment of the queue in: {}",
                parameter["name"],
                different.join(", ")
            )));
        }
    }
    Ok(())
}

/// Groups the parameter under its environment, unless it says where it belongs.
fn label(parameter: &mut Parameter, environment: &str) {
    let control = parameters::infer_control(parameter);
    let interface = parameter.entry("userInterface").or_insert_with(|| Value::Object(Map::new()));
    let Value::Object(interface) = interface else { return };
    if interface.get("groupLabel").and_then(Value::as_str).is_none_or(str::is_empty) {
        interface.insert("groupLabel".into(), format!("Queue Environment: {environment}").into());
        interface.entry("control").or_insert_with(|| control.into());
    }
}
