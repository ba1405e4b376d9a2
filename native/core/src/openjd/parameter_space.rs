//! The task parameters of a step, by ordinal.
//!
//! Nothing is materialised: a step of a million tasks costs as much as its range expressions. The model's iterator answers
//! for every factor of the space but two, and those are ours:
//! - *contiguous chunks*: the model walks all runs of consecutive values before the wanted one (half a million for
//!   `1-1000000:2`); here runs are kept in segments with running totals, and a chunk is found by bisection.
//! - *adaptive chunks*: the model gives no random access, as sizes change while a job runs. Here the space counts
//!   *unchunked* tasks with the chunked parameter innermost, and [`ParameterSpace::chunk`] cuts the next chunk at any of them.

use openjd_expr::{ExprValue, RangeExpr};
use openjd_model::StepParameterSpaceIterator;
use openjd_model::job::{ResolvedChunks, StepParameterSpace, TaskParamRange, TaskParameter};
use openjd_model::template::RangeConstraint;
use openjd_model::types::{TaskParameterSet, TaskParameterType, TaskParameterValue};
use serde_json::{Map, Value, json};

use super::template::{model_findings, template_error};
use crate::error::{CoreError, Result};

/// Every task of a step, by ordinal.
pub struct ParameterSpace {
    definition: Option<StepParameterSpace>,
    /// Rightmost moves fastest. In an adaptive space the chunked parameter is not among them.
    factors: Vec<Factor>,
    /// Of an adaptive space: the values that chunks are cut from.
    adaptive: Option<Adaptive>,
    /// Tasks without chunking.
    task_count: u64,
    len: u64,
}

struct Adaptive {
    name: String,
    values: Values,
    chunks: ResolvedChunks,
}

enum Factor {
    Model { iterator: Box<StepParameterSpaceIterator>, len: u64 },
    Contiguous { name: String, runs: Runs },
}

/// One chunk cut from an adaptive space.
pub struct Chunk {
    /// The task parameters, the chunked one as a range.
    pub parameters: TaskParameterSet,
    /// How many unchunked tasks it covers; the next chunk starts at `offset + count`.
    pub count: u64,
}

impl ParameterSpace {
    /// The space of a step; a step without parameters has exactly one task.
    pub fn new(definition: Option<StepParameterSpace>) -> Result<Self> {
        let Some(space) = definition else {
            return Ok(Self { definition: None, factors: Vec::new(), adaptive: None, task_count: 1, len: 1 });
        };
        let adaptive = space.task_parameter_definitions.iter().find_map(|(name, parameter)| match parameter {
            TaskParameter::ChunkInt { range, chunks }
                if chunks.target_runtime_seconds.is_some_and(|seconds| seconds > 0) =>
            {
                Some(Adaptive { name: name.clone(), values: Values::new(range), chunks: chunks.clone() })
            }
            _ => None,
        });
        let expressions = factor_expressions(&space);
        let mut factors = Vec::with_capacity(expressions.len());
        for expression in &expressions {
            if adaptive.as_ref().is_some_and(|adaptive| adaptive.name == *expression) {
                continue;
            }
            factors.push(Factor::new(&space, expression)?);
        }
        let overflow = || too_large();
        let outer =
            factors.iter().try_fold(1u64, |product, factor| product.checked_mul(factor.len())).ok_or_else(overflow)?;
        let task_count = match &adaptive {
            Some(adaptive) => outer.checked_mul(adaptive.values.len()).ok_or_else(overflow)?,
            None => {
                let single = StepParameterSpaceIterator::new_with_chunk_override(&space, Some(1))
                    .map_err(|err| template_error("The parameter space is not valid", model_findings(err, &[])))?;
                single.len() as u64
            }
        };
        let len = if adaptive.is_some() { task_count } else { outer };
        Ok(Self { definition: Some(space), factors, adaptive, task_count, len })
    }

    /// Tasks of the step: chunks count as one. In an adaptive space, where that is decided while the job runs, unchunked tasks.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// No task at all; a valid template has at least one.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Tasks if nothing were chunked.
    pub fn task_count(&self) -> u64 {
        self.task_count
    }

    /// Names of the parameters, in the order of their definition.
    pub fn names(&self) -> Vec<&str> {
        self.definition.iter().flat_map(|space| space.task_parameter_definitions.keys()).map(String::as_str).collect()
    }

    /// Chunk sizes follow `targetRuntimeSeconds`.
    pub fn is_adaptive(&self) -> bool {
        self.adaptive.is_some()
    }

    /// The CHUNK[INT] parameter, if there is one.
    pub fn chunk_parameter(&self) -> Option<&str> {
        self.chunks().map(|(name, _)| name)
    }

    /// `defaultTaskCount` of the chunked parameter.
    pub fn default_task_count(&self) -> Option<u64> {
        self.chunks().map(|(_, chunks)| chunks.default_task_count as u64)
    }

    /// `targetRuntimeSeconds` of the chunked parameter, 0 counting as none.
    pub fn target_runtime_seconds(&self) -> Option<u64> {
        self.chunks()
            .and_then(|(_, chunks)| chunks.target_runtime_seconds)
            .filter(|seconds| *seconds > 0)
            .map(|seconds| seconds as u64)
    }

    /// `CONTIGUOUS` or `NONCONTIGUOUS`, if a parameter is chunked.
    pub fn range_constraint(&self) -> Option<&'static str> {
        self.chunks().map(|(_, chunks)| constraint_text(&chunks.range_constraint))
    }

    fn chunks(&self) -> Option<(&str, &ResolvedChunks)> {
        let space = self.definition.as_ref()?;
        space.task_parameter_definitions.iter().find_map(|(name, parameter)| match parameter {
            TaskParameter::ChunkInt { chunks, .. } => Some((name.as_str(), chunks)),
            _ => None,
        })
    }

    /// Parameters of task `ordinal`, `None` past the end. In an adaptive space a chunk of one task.
    pub fn get(&self, ordinal: u64) -> Option<TaskParameterSet> {
        if ordinal >= self.len {
            return None;
        }
        match &self.adaptive {
            Some(_) => self.chunk(ordinal, 1).map(|chunk| chunk.parameters),
            None => {
                let mut parameters = TaskParameterSet::new();
                self.outer(ordinal, &mut parameters);
                Some(self.in_order(parameters))
            }
        }
    }

    /// The chunk of at most `count` tasks that begins with unchunked task `offset`, `None` past the end.
    ///
    /// It is shorter where the other parameters change, and where a contiguous chunk meets a gap.
    /// Only an adaptive space cuts chunks; any other has its tasks fixed, and gives task `offset` for any `count`.
    pub fn chunk(&self, offset: u64, count: u64) -> Option<Chunk> {
        if offset >= self.len {
            return None;
        }
        let Some(adaptive) = &self.adaptive else {
            return Some(Chunk { parameters: self.get(offset)?, count: 1 });
        };
        let inner = adaptive.values.len();
        let mut parameters = TaskParameterSet::new();
        self.outer(offset / inner, &mut parameters);
        let first = offset % inner;
        let last = (first + count.max(1)).min(inner);
        let mut values = Vec::with_capacity((last - first) as usize);
        let contiguous = adaptive.chunks.range_constraint == RangeConstraint::Contiguous;
        for index in first..last {
            let value = adaptive.values.get(index);
            if contiguous && values.last().is_some_and(|before: &i64| value != before + 1) {
                break;
            }
            values.push(value);
        }
        let count = values.len() as u64;
        let range = if contiguous {
            contiguous_range(values[0], values[values.len() - 1])
        } else {
            RangeExpr::from_values(values).ok()?
        };
        parameters.insert(adaptive.name.clone(), chunk_value(range));
        Some(Chunk { parameters: self.in_order(parameters), count })
    }

    fn outer(&self, mut ordinal: u64, parameters: &mut TaskParameterSet) {
        for factor in self.factors.iter().rev() {
            let len = factor.len();
            factor.put(ordinal % len, parameters);
            ordinal /= len;
        }
    }

    fn in_order(&self, mut parameters: TaskParameterSet) -> TaskParameterSet {
        let names = self.definition.iter().flat_map(|space| space.task_parameter_definitions.keys());
        names.filter_map(|name| Some((name.clone(), parameters.swap_remove(name)?))).collect()
    }

    /// The definition with all format strings resolved, as in a template.
    pub fn to_json(&self) -> Value {
        let Some(space) = &self.definition else { return Value::Null };
        let definitions: Vec<Value> =
            space.task_parameter_definitions.iter().map(|(name, parameter)| definition_json(name, parameter)).collect();
        let mut map = Map::new();
        map.insert("taskParameterDefinitions".into(), Value::Array(definitions));
        if let Some(combination) = &space.combination {
            map.insert("combination".into(), json!(combination));
        }
        Value::Object(map)
    }
}

fn too_large() -> CoreError {
    CoreError::Operation("The parameter space has more tasks than a 64-bit number can count.".into())
}

/// The factors of the outermost product, as combination expressions of their own.
fn factor_expressions(space: &StepParameterSpace) -> Vec<String> {
    let text = space.combination.as_deref().map_or("*", str::trim);
    if text == "*" {
        return space.task_parameter_definitions.keys().cloned().collect();
    }
    let mut depth = 0usize;
    let mut factors = vec![String::new()];
    for character in text.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '*' if depth == 0 => {
                factors.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(factor) = factors.last_mut() {
            factor.push(character);
        }
    }
    factors.into_iter().map(|factor| factor.trim().to_string()).filter(|factor| !factor.is_empty()).collect()
}

impl Factor {
    fn new(space: &StepParameterSpace, expression: &str) -> Result<Self> {
        if let Some(TaskParameter::ChunkInt { range, chunks }) = space.task_parameter_definitions.get(expression)
            && chunks.range_constraint == RangeConstraint::Contiguous
        {
            let runs = Runs::new(range, (chunks.default_task_count as u64).max(1));
            return Ok(Self::Contiguous { name: expression.to_string(), runs });
        }
        let named: Vec<&str> =
            expression.split(['(', ')', '*', ',', ' ', '\t', '\n']).filter(|name| !name.is_empty()).collect();
        let definitions = space.task_parameter_definitions.iter().filter(|(name, _)| named.contains(&name.as_str()));
        let part = StepParameterSpace {
            task_parameter_definitions: definitions
                .map(|(name, parameter)| (name.clone(), parameter.clone()))
                .collect(),
            combination: Some(expression.to_string()),
        };
        let iterator = StepParameterSpaceIterator::new(&part)
            .map_err(|err| template_error("The parameter space is not valid", model_findings(err, &[])))?;
        let len = iterator.len() as u64;
        Ok(Self::Model { iterator: Box::new(iterator), len })
    }

    fn len(&self) -> u64 {
        match self {
            Self::Model { len, .. } => *len,
            Self::Contiguous { runs, .. } => runs.chunk_count,
        }
    }

    fn put(&self, index: u64, parameters: &mut TaskParameterSet) {
        match self {
            Self::Model { iterator, .. } => parameters.extend(iterator.get(index as usize).into_iter().flatten()),
            Self::Contiguous { name, runs } => {
                let (first, last) = runs.chunk(index);
                parameters.insert(name.clone(), chunk_value(contiguous_range(first, last)));
            }
        }
    }
}

fn chunk_value(range: RangeExpr) -> TaskParameterValue {
    TaskParameterValue { param_type: TaskParameterType::ChunkInt, value: ExprValue::RangeExpr(range) }
}

/// `first-last`, written so even for one value.
fn contiguous_range(first: i64, last: i64) -> RangeExpr {
    match format!("{first}-{last}").parse::<RangeExpr>() {
        Ok(range) => range.with_contiguous(true),
        // Values of a valid space are inside the bounds of a range.
        Err(err) => unreachable!("{first}-{last} is a range: {err}"),
    }
}

/// The values of an integer range, by index.
enum Values {
    List(Vec<i64>),
    Range(RangeExpr),
}

impl Values {
    fn new(range: &TaskParamRange<i64>) -> Self {
        match range {
            TaskParamRange::List(values) => Self::List(values.clone()),
            TaskParamRange::RangeExpr(range) => Self::Range(range.clone()),
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::List(values) => values.len() as u64,
            Self::Range(range) => range.len() as u64,
        }
    }

    fn get(&self, index: u64) -> i64 {
        match self {
            Self::List(values) => values[index as usize],
            Self::Range(range) => range.get(index as i64).unwrap_or_default(),
        }
    }
}

/// Consecutive values in the order of a range, and the chunks that they are divided into.
struct Runs {
    segments: Vec<Segment>,
    /// Chunks before each segment.
    before: Vec<u64>,
    chunk_count: u64,
    size: u64,
}

/// `count` runs of `len` consecutive values each, the first values `step` apart.
#[derive(Clone, Copy)]
struct Segment {
    first: i64,
    len: u64,
    count: u64,
    step: i64,
}

/// Lets the last run grow when `len` values from `first` follow it, or begins a new one.
fn extend(segments: &mut Vec<Segment>, first: i64, len: u64) {
    match segments.last_mut() {
        Some(run) if run.count == 1 && run.first + run.len as i64 == first => run.len += len,
        _ => segments.push(Segment { first, len, count: 1, step: 0 }),
    }
}

impl Runs {
    fn new(range: &TaskParamRange<i64>, size: u64) -> Self {
        let mut segments: Vec<Segment> = Vec::new();
        match range {
            TaskParamRange::List(values) => values.iter().for_each(|value| extend(&mut segments, *value, 1)),
            TaskParamRange::RangeExpr(range) => {
                for part in range.ranges() {
                    let len = part.len() as u64;
                    match part.step() {
                        1 => extend(&mut segments, part.start(), len),
                        _ if len <= 2 => part.iter().for_each(|value| extend(&mut segments, value, 1)),
                        step => {
                            // The first value may end a run and the last may begin one; those between stand alone.
                            extend(&mut segments, part.start(), 1);
                            segments.push(Segment { first: part.start() + step, len: 1, count: len - 2, step });
                            segments.push(Segment { first: part.end(), len: 1, count: 1, step: 0 });
                        }
                    }
                }
            }
        }
        let mut before = Vec::with_capacity(segments.len());
        let mut chunk_count = 0;
        for segment in &segments {
            before.push(chunk_count);
            chunk_count += segment.count * segment.len.div_ceil(size);
        }
        Self { segments, before, chunk_count, size }
    }

    /// First and last value of chunk `index`. Sizes differ by one at most, larger ones spread evenly, as OpenJD divides.
    fn chunk(&self, index: u64) -> (i64, i64) {
        let at = self.before.partition_point(|before| *before <= index) - 1;
        let segment = self.segments[at];
        let chunks = segment.len.div_ceil(self.size);
        let within = index - self.before[at];
        let first = segment.first + (within / chunks) as i64 * segment.step;
        let part = within % chunks;
        let (small, larger) = (segment.len / chunks, segment.len % chunks);
        let larger_before = |part: u64| (u128::from(part) * u128::from(larger)).div_ceil(u128::from(chunks)) as u64;
        let start = part * small + larger_before(part);
        let end = (part + 1) * small + larger_before(part + 1);
        (first + start as i64, first + end as i64 - 1)
    }
}

fn constraint_text(constraint: &RangeConstraint) -> &'static str {
    match constraint {
        RangeConstraint::Contiguous => "CONTIGUOUS",
        RangeConstraint::Noncontiguous => "NONCONTIGUOUS",
    }
}

fn definition_json(name: &str, parameter: &TaskParameter) -> Value {
    let integers = |range: &TaskParamRange<i64>| match range {
        TaskParamRange::List(values) => json!(values),
        TaskParamRange::RangeExpr(range) => json!(range.to_string()),
    };
    let (kind, range, chunks) = match parameter {
        TaskParameter::Int { range, chunks } => ("INT", integers(range), chunks.as_ref()),
        TaskParameter::ChunkInt { range, chunks } => ("CHUNK[INT]", integers(range), Some(chunks)),
        TaskParameter::Float { range } => {
            let texts: Vec<String> = range.iter().map(openjd_expr::value::Float64::to_display_string).collect();
            ("FLOAT", json!(texts), None)
        }
        TaskParameter::String { range } => ("STRING", json!(range), None),
        TaskParameter::Path { range } => ("PATH", json!(range), None),
    };
    let mut definition = json!({"name": name, "type": kind, "range": range});
    if let (Some(chunks), Some(map)) = (chunks, definition.as_object_mut()) {
        let mut value = json!({
            "defaultTaskCount": chunks.default_task_count,
            "rangeConstraint": constraint_text(&chunks.range_constraint),
        });
        if let (Some(seconds), Some(value)) = (chunks.target_runtime_seconds, value.as_object_mut()) {
            value.insert("targetRuntimeSeconds".into(), json!(seconds));
        }
        map.insert("chunks".into(), value);
    }
    definition
}
