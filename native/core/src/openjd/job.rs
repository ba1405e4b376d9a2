//! A job: a template with its parameter values put in.

use std::sync::Arc;

use openjd_expr::PathFormat;
use openjd_expr::symbol_table::SerializedSymbolTable;
use openjd_model::types::{JobParameterInputValues, JobParameterValues};
use openjd_model::{ModelProfile, PathParameterOptions};
use serde_json::{Map, Value, json};

use super::parameter_space::ParameterSpace;
use super::template::{EnvironmentTemplate, JobTemplate, model_findings, template_error};
use super::values;
use crate::error::Result;

/// Where relative PATH values belong.
#[derive(Debug, Clone, Default)]
pub struct PathOptions {
    /// Folder of the template (absolute). With it, relative defaults of PATH parameters are joined to it and may not leave
    /// it; without it, they stay as they are written, as a service does that never saw the folder.
    pub job_template_dir: Option<String>,
    /// Folder that relative PATH values are joined to; without it they stay as they are written.
    pub current_dir: Option<String>,
}

/// A job with every parameter bound. Cheap to clone.
#[derive(Clone)]
pub struct Job {
    inner: Arc<JobParts>,
}

struct JobParts {
    model: openjd_model::job::Job,
    values: JobParameterValues,
    steps: Vec<Step>,
    job_environments: Vec<Environment>,
    queue_environments: Vec<Environment>,
}

/// A step of a job. Cheap to clone.
#[derive(Clone)]
pub struct Step {
    model: Arc<openjd_model::job::Step>,
    script: StepScript,
    environments: Vec<Environment>,
    space: Arc<ParameterSpace>,
}

/// What a task runs; a session resolves its format strings for each task. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StepScript {
    pub(super) step_name: Arc<str>,
    pub(super) model: Arc<openjd_model::job::StepScript>,
    pub(super) symbols: Option<Arc<SerializedSymbolTable>>,
    pub(super) profile: Arc<ModelProfile>,
}

/// What a session enters before tasks and exits after them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Environment {
    pub(super) model: Arc<openjd_model::job::Environment>,
    pub(super) profile: Arc<ModelProfile>,
}

/// Puts `values` into `template`.
///
/// Queue environments come first, as the service does: their parameters are merged with the template's own (constraints
/// tightened, the template's default winning), and they are entered before the job's environments.
///
/// # Errors
/// [`CoreError::Template`](crate::CoreError::Template) with a finding for each value that is missing, unknown, of the wrong
/// type or outside its constraints, and for everything that breaks a rule once the values are known.
pub fn create_job(
    template: &JobTemplate,
    values: &Map<String, Value>,
    queue_environments: &[EnvironmentTemplate],
    paths: &PathOptions,
) -> Result<Job> {
    let declarations = || {
        let of_environments =
            queue_environments.iter().flat_map(|environment| &environment.model.parameter_definitions);
        template.model.parameter_definitions.iter().chain(of_environments).flatten()
    };
    let mut inputs = JobParameterInputValues::new();
    for (name, value) in values {
        let declared =
            declarations().find(|declared| declared.name() == name).map(|declared| declared.job_param_type());
        inputs.insert(name.clone(), values::input_value(name, value, declared)?);
    }
    let environment_models: Vec<_> =
        queue_environments.iter().map(|environment| (*environment.model).clone()).collect();
    let options = PathParameterOptions {
        job_template_dir: paths.job_template_dir.as_deref().unwrap_or_default(),
        current_working_dir: paths.current_dir.as_deref().unwrap_or_default(),
        path_format: PathFormat::host(),
        allow_template_dir_walk_up: paths.job_template_dir.is_none(),
        allow_uri_path_values: true,
    };
    let values_error =
        |err| template_error("The job cannot be created from these parameter values", model_findings(err, &[]));
    let values = openjd_model::preprocess_job_parameters(&template.model, &inputs, &environment_models, &options)
        .map_err(values_error)?;
    let profile = Arc::new(template.profile());
    let context = openjd_model::ValidationContext::from_profile((*profile).clone());
    let model = openjd_model::create_job(&template.model, &values, &context).map_err(values_error)?;
    let mut symbols = openjd_model::build_symbol_table(&values).map_err(values_error)?;
    symbols
        .set("Job.Name", openjd_expr::ExprValue::String(model.name.clone()))
        .map_err(|err| values_error(err.into()))?;
    let environment =
        |model: openjd_model::job::Environment| Environment { model: Arc::new(model), profile: Arc::clone(&profile) };
    let queue_environments = queue_environments
        .iter()
        .map(|template| {
            environment(openjd_model::convert_environment_with_symtab(&template.model.environment, Some(&symbols)))
        })
        .collect();
    let job_environments = model.job_environments.iter().flatten().cloned().map(environment).collect();
    let steps = model.steps.iter().map(|step| Step::new(step, &profile)).collect::<Result<_>>()?;
    Ok(Job { inner: Arc::new(JobParts { model, values, steps, job_environments, queue_environments }) })
}

impl Job {
    /// The name with its format strings resolved.
    pub fn name(&self) -> &str {
        &self.inner.model.name
    }

    /// The description, as written.
    pub fn description(&self) -> Option<&str> {
        self.inner.model.description.as_deref()
    }

    /// Bound parameters, for a session.
    pub fn parameter_values(&self) -> &JobParameterValues {
        &self.inner.values
    }

    /// Bound parameters as `{name: {"type", "value"}}`.
    pub fn parameters_json(&self) -> Value {
        let mut parameters: Vec<_> = self.inner.model.parameters.iter().collect();
        parameters.sort_by_key(|(name, _)| name.as_str());
        let map: Map<String, Value> = parameters
            .into_iter()
            .map(|(name, parameter)| (name.clone(), values::job_parameter_json(parameter.param_type, &parameter.value)))
            .collect();
        Value::Object(map)
    }

    /// The steps, in order.
    pub fn steps(&self) -> &[Step] {
        &self.inner.steps
    }

    /// Environments of the queue, in the order they are entered: before [`Self::job_environments`].
    pub fn queue_environments(&self) -> &[Environment] {
        &self.inner.queue_environments
    }

    /// Environments of the job, in the order they are entered.
    pub fn job_environments(&self) -> &[Environment] {
        &self.inner.job_environments
    }

    /// The whole job in the shape of a template, with what is known once values are bound resolved.
    pub fn to_json(&self) -> Value {
        let model = &self.inner.model;
        let environments = |list: &[Environment]| Value::Array(list.iter().map(Environment::to_json).collect());
        let mut map = Map::new();
        map.insert("name".into(), json!(model.name));
        if let Some(description) = &model.description {
            map.insert("description".into(), json!(description));
        }
        if let Some(extensions) = &model.extensions {
            map.insert("extensions".into(), json!(extensions));
        }
        map.insert("parameters".into(), self.parameters_json());
        map.insert("queueEnvironments".into(), environments(self.queue_environments()));
        map.insert("jobEnvironments".into(), environments(self.job_environments()));
        map.insert("steps".into(), Value::Array(self.steps().iter().map(Step::to_json).collect()));
        Value::Object(map)
    }
}

impl Step {
    pub(super) fn new(model: &openjd_model::job::Step, profile: &Arc<ModelProfile>) -> Result<Self> {
        let script = StepScript {
            step_name: Arc::from(model.name.as_str()),
            model: Arc::new(model.script.clone()),
            symbols: model.resolved_symtab.clone().map(Arc::new),
            profile: Arc::clone(profile),
        };
        let environments = model.step_environments.iter().flatten().cloned();
        let environments =
            environments.map(|model| Environment { model: Arc::new(model), profile: Arc::clone(profile) }).collect();
        let space = Arc::new(ParameterSpace::new(model.parameter_space.clone())?);
        Ok(Self { model: Arc::new(model.clone()), script, environments, space })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.model.name
    }

    /// Names of the steps that have to end before this one begins.
    pub fn dependencies(&self) -> Vec<&str> {
        self.model.dependencies.iter().flatten().map(|dependency| dependency.depends_on.as_str()).collect()
    }

    /// `{"amounts": [...], "attributes": [...]}`, resolved; `Null` when the step asks for nothing.
    pub fn host_requirements_json(&self) -> Value {
        template_shape(json!(self.model.host_requirements))
    }

    /// Environments of the step, in the order they are entered.
    pub fn environments(&self) -> &[Environment] {
        &self.environments
    }

    /// What its tasks run.
    pub fn script(&self) -> &StepScript {
        &self.script
    }

    /// Its tasks.
    pub fn parameter_space(&self) -> &Arc<ParameterSpace> {
        &self.space
    }

    /// The step in the shape of a template.
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("name".into(), json!(self.name()));
        if let Some(description) = &self.model.description {
            map.insert("description".into(), json!(description));
        }
        let dependencies: Vec<Value> = self.dependencies().iter().map(|name| json!({"dependsOn": name})).collect();
        map.insert("dependencies".into(), Value::Array(dependencies));
        map.insert("hostRequirements".into(), self.host_requirements_json());
        map.insert(
            "stepEnvironments".into(),
            Value::Array(self.environments.iter().map(Environment::to_json).collect()),
        );
        map.insert("parameterSpace".into(), self.space.to_json());
        map.insert("script".into(), self.script.to_json());
        map.retain(|_, value| !value.is_null());
        Value::Object(map)
    }
}

impl StepScript {
    /// Name of the step it belongs to.
    pub fn step_name(&self) -> &str {
        &self.step_name
    }

    /// The script in the shape of a template, with its format strings.
    pub fn to_json(&self) -> Value {
        template_shape(json!(*self.model))
    }
}

impl Environment {
    /// The name.
    pub fn name(&self) -> &str {
        &self.model.name
    }

    /// The environment in the shape of a template, with its format strings.
    pub fn to_json(&self) -> Value {
        let mut value = json!(*self.model);
        if let Some(map) = value.as_object_mut() {
            map.remove("resolvedSymTab");
        }
        template_shape(value)
    }
}

/// The model writes absent members as null and calls the type of a file `fileType`; templates do neither.
fn template_shape(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let is_file = map.contains_key("fileType") && map.contains_key("filename");
            let entries = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(
                entries
                    .map(|(key, value)| {
                        (if is_file && key == "fileType" { "type".into() } else { key }, template_shape(value))
                    })
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(template_shape).collect()),
        other => other,
    }
}
