//! A job with more tasks than the farm takes gets larger chunks, or is refused with the number.
//!
//! It is not split into several jobs: the service knows no dependencies between jobs, so steps that wait for each other
//! could not be kept in order.

use serde_json::{Map, Value};

use super::Callbacks;
use super::plan::Plan;
use crate::bundle::documents::{Document, render};
use crate::bundle::parameters::{self, Parameter, text};
use crate::error::{CoreError, Result};
use crate::openjd::job::{PathOptions, create_job};
use crate::openjd::parameter_space::ParameterSpace;
use crate::openjd::template::JobTemplate;

/// The service's model counts the tasks of a job with 32 bits. An account may have a smaller quota.
pub(super) const MAX_TASKS: u64 = i32::MAX as u64;

/// A step of the job, as the service would make it.
struct Step {
    name: String,
    tasks: u64,
    /// Of a step whose tasks are chunks: tasks without chunks, tasks in one by default, and where that stands.
    chunks: Option<Chunks>,
}

struct Chunks {
    single_tasks: u64,
    size: u64,
    place: Place,
}

/// Where the size of a step's chunks is said.
#[derive(PartialEq)]
enum Place {
    /// In the template.
    Template,
    /// As the value of a job parameter.
    Parameter(String),
    /// In an expression, which cannot be turned round.
    Expression,
}

/// Holds the plan's job to the number of tasks that its farm takes.
pub(super) fn fit(plan: &mut Plan<'_>, callbacks: &Callbacks<'_>) -> Result<()> {
    let most = plan.submission.max_tasks;
    // What does not become a job here is refused by the service, with its own reasons.
    let Some(steps) = steps(&plan.bundle.template.value, &plan.parameters) else { return Ok(()) };
    let tasks = total(&steps);
    if tasks <= most {
        return Ok(());
    }
    let refuse = |why: String| {
        CoreError::Operation(format!(
            "The job has {tasks} tasks; the farm takes at most {most} in one job. {why} Submit parts of its frames as \
             jobs of their own, or have the farm's quota raised."
        ))
    };
    let chunked: Vec<&Step> = steps.iter().filter(|step| step.chunks.is_some()).collect();
    if chunked.is_empty() {
        return Err(refuse("None of its steps takes frames in chunks (TASK_CHUNKING).".into()));
    }
    let largest = chunked.iter().filter_map(|step| step.chunks.as_ref()).map(|chunks| chunks.single_tasks).max();
    let factor = smallest(largest.unwrap_or(1), |factor| {
        let (template, parameters) = enlarged(plan, &steps, factor)?;
        Ok(self::steps(&template, &parameters).is_some_and(|steps| total(&steps) <= most))
    });
    let factor = match factor {
        Ok(Some(factor)) => factor,
        Ok(None) => return Err(refuse("Larger chunks do not make it fit.".into())),
        Err(err) => return Err(refuse(format!("Its chunks cannot be made larger: {err}"))),
    };
    let (template, parameters) =
        enlarged(plan, &steps, factor).map_err(|err| refuse(format!("Its chunks cannot be made larger: {err}")))?;
    let now = self::steps(&template, &parameters).unwrap_or_default();
    callbacks.print(&format!(
        "The job has {tasks} tasks, and the farm takes at most {most} in one job. With larger chunks it has {}: {}.",
        total(&now),
        now.iter().zip(&steps).filter_map(|(now, before)| told(now, before)).collect::<Vec<_>>().join(", ")
    ));
    plan.replace(template, parameters)
}

fn told(now: &Step, before: &Step) -> Option<String> {
    let (now, before, name) = (now.chunks.as_ref()?, before.chunks.as_ref()?, &now.name);
    let place = match &now.place {
        Place::Parameter(parameter) => format!(" ({parameter})"),
        _ => String::new(),
    };
    Some(format!("chunks of {} instead of {} in the step {name:?}{place}", now.size, before.size))
}

fn total(steps: &[Step]) -> u64 {
    steps.iter().fold(0, |sum, step| sum.saturating_add(step.tasks))
}

/// The smallest factor with which the job fits; none up to `most` does. An error is a factor that cannot be had.
fn smallest(most: u64, fits: impl Fn(u64) -> Result<bool>) -> Result<Option<u64>> {
    let mut high = 2;
    let mut at_high = loop {
        match fits(high) {
            Ok(false) if high >= most => return Ok(None),
            Ok(false) => high = high.saturating_mul(2),
            found => break found,
        }
    };
    let mut low = high / 2;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match fits(middle) {
            Ok(false) => low = middle,
            found => (high, at_high) = (middle, found),
        }
    }
    at_high.map(|_| Some(high))
}

fn steps(template: &Value, parameters: &[Parameter]) -> Option<Vec<Step>> {
    let decoded = JobTemplate::decode(template.clone()).ok()?;
    let is_defined = |name: &str| {
        template["parameterDefinitions"]
            .as_array()
            .is_some_and(|definitions| definitions.iter().any(|definition| definition["name"] == name))
    };
    let values: Map<String, Value> = parameters
        .iter()
        .filter(|parameter| is_defined(text(parameter, "name")))
        .filter_map(|parameter| Some((text(parameter, "name").to_owned(), parameter.get("value")?.clone())))
        .collect();
    let job = create_job(&decoded, &values, &[], &PathOptions::default()).ok()?;
    let written = template["steps"].as_array()?;
    let step = |(step, written): (&crate::openjd::job::Step, &Value)| {
        let space = step.parameter_space();
        Step { name: step.name().to_owned(), tasks: tasks(space), chunks: chunks(space, written) }
    };
    Some(job.steps().iter().zip(written).map(step).collect())
}

/// The tasks that the service begins with: chunks whose size follows the time they take count by their first size.
fn tasks(space: &ParameterSpace) -> u64 {
    match space.default_task_count() {
        Some(size) if space.is_adaptive() => space.task_count().div_ceil(size.max(1)),
        _ => space.len(),
    }
}

fn chunks(space: &ParameterSpace, written: &Value) -> Option<Chunks> {
    let place = match chunk_definition(written)?.get("defaultTaskCount") {
        Some(Value::String(text)) => match text.trim().strip_prefix("{{").and_then(|text| text.strip_suffix("}}")) {
            Some(expression) => match expression.trim().strip_prefix("Param.") {
                Some(name) if name.chars().all(|letter| letter.is_alphanumeric() || letter == '_') => {
                    Place::Parameter(name.to_owned())
                }
                _ => Place::Expression,
            },
            None if text.trim().parse::<u64>().is_ok() => Place::Template,
            None => Place::Expression,
        },
        _ => Place::Template,
    };
    Some(Chunks { single_tasks: space.task_count(), size: space.default_task_count()?, place })
}

fn chunk_definition(step: &Value) -> Option<&Value> {
    step["parameterSpace"]["taskParameterDefinitions"]
        .as_array()?
        .iter()
        .find_map(|definition| definition.get("chunks"))
}

/// Template and parameters with chunks that are `factor` times as large.
fn enlarged(plan: &Plan<'_>, steps: &[Step], factor: u64) -> Result<(Value, Vec<Parameter>)> {
    let mut template = plan.bundle.template.value.clone();
    let mut parameters = plan.parameters.clone();
    for (index, step) in steps.iter().enumerate() {
        let Some(chunks) = &step.chunks else { continue };
        let size = chunks.size.saturating_mul(factor).min(MAX_TASKS);
        match &chunks.place {
            Place::Template => {
                let definitions = &mut template["steps"][index]["parameterSpace"]["taskParameterDefinitions"];
                let definition = definitions
                    .as_array_mut()
                    .and_then(|all| all.iter_mut().find_map(|definition| definition.get_mut("chunks")));
                if let Some(definition) = definition {
                    definition["defaultTaskCount"] = size.into();
                }
            }
            Place::Parameter(name) => {
                if let Some(parameter) = parameters.iter_mut().find(|parameter| text(parameter, "name") == name) {
                    let value = parameters::coerce(parameter, &size.into())?;
                    parameter.insert("value".into(), value);
                }
            }
            Place::Expression => {
                return Err(CoreError::Operation(format!(
                    "in the step {:?} their size is an expression, not a number or one job parameter.",
                    step.name
                )));
            }
        }
    }
    Ok((template, parameters))
}

impl Plan<'_> {
    /// The same job with another template and other values.
    fn replace(&mut self, template: Value, merged: Vec<Parameter>) -> Result<()> {
        if template != self.bundle.template.value {
            let (text, format) = render(&template, self.bundle.template.format);
            let path = self.bundle.template.path.clone();
            self.bundle.template = Document { path, format, text, value: template };
            let (text, kind) = self.bundle.template_text(self.submission.name.as_deref())?;
            self.request.insert("template".into(), text.into());
            self.request.insert("templateType".into(), kind.into());
        }
        let (_, values) = parameters::split(&merged)?;
        if !values.is_empty() {
            self.request.insert("parameters".into(), values.into());
        }
        self.parameters = merged;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_factor_that_fits_is_found() {
        for least in 2..70 {
            assert_eq!(smallest(100, |factor| Ok(factor >= least)).unwrap(), Some(least));
        }
        assert_eq!(smallest(100, |_| Ok(false)).unwrap(), None);
        let up_to_ten = |factor| match factor {
            ..=10 => Ok(factor >= 9),
            _ => Err(CoreError::Operation("more than ten".into())),
        };
        assert_eq!(smallest(100, up_to_ten).unwrap(), Some(9));
        let up_to_eight = |factor| if factor <= 8 { Ok(false) } else { up_to_ten(11) };
        assert_eq!(smallest(100, up_to_eight).unwrap_err().to_string(), "more than ten");
    }
}
