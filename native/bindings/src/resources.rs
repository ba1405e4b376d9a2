//! Farms, queues, jobs, steps, tasks, sessions: one function per operation.

use std::future::Future;
use std::path::PathBuf;

use pyo3::prelude::*;
use pythonize::{depythonize, pythonize};
use serde_json::Value;
use shotput_core::Result as CoreResult;
use shotput_core::service::{JobChange, JobSearch, LogQuery, Service, SessionActionFilter, block_on, shapes};

use crate::config::Place;
use crate::runtime;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(list_farms, module)?)?;
    module.add_function(wrap_pyfunction!(get_farm, module)?)?;
    module.add_function(wrap_pyfunction!(list_queues, module)?)?;
    module.add_function(wrap_pyfunction!(get_queue, module)?)?;
    module.add_function(wrap_pyfunction!(list_storage_profiles_for_queue, module)?)?;
    module.add_function(wrap_pyfunction!(get_storage_profile_for_queue, module)?)?;
    module.add_function(wrap_pyfunction!(get_queue_parameter_definitions, module)?)?;
    module.add_function(wrap_pyfunction!(list_queue_environments, module)?)?;
    module.add_function(wrap_pyfunction!(list_queue_fleet_associations, module)?)?;
    module.add_function(wrap_pyfunction!(get_fleet, module)?)?;
    module.add_function(wrap_pyfunction!(get_job, module)?)?;
    module.add_function(wrap_pyfunction!(search_jobs, module)?)?;
    module.add_function(wrap_pyfunction!(update_job, module)?)?;
    module.add_function(wrap_pyfunction!(list_steps, module)?)?;
    module.add_function(wrap_pyfunction!(list_step_dependencies, module)?)?;
    module.add_function(wrap_pyfunction!(list_tasks, module)?)?;
    module.add_function(wrap_pyfunction!(update_task, module)?)?;
    module.add_function(wrap_pyfunction!(list_sessions, module)?)?;
    module.add_function(wrap_pyfunction!(list_session_actions, module)?)?;
    module.add_function(wrap_pyfunction!(get_session_log, module)?)?;
    Ok(())
}

/// The arguments that all calls share.
type Path = Option<PathBuf>;
type Given<'a, 'py> = Option<&'a Bound<'py, PyAny>>;

fn call<'py, F, W>(py: Python<'py>, config_path: Path, target: Given<'_, 'py>, work: F) -> PyResult<Bound<'py, PyAny>>
where
    F: FnOnce(Service) -> W + Send + 'static,
    W: Future<Output = CoreResult<Value>>,
{
    let place = Place::of(config_path, target)?;
    let value = runtime::run(py, move |token| block_on(&token, async { work(place.connect().await?).await }))?;
    Ok(pythonize(py, &value)?)
}

#[pyfunction]
#[pyo3(signature = (config_path=None, *, target=None))]
fn list_farms<'py>(py: Python<'py>, config_path: Path, target: Given<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    call(py, config_path, target, |service| async move { Ok(shapes::farms(&service.list_farms().await?)) })
}

#[pyfunction]
#[pyo3(signature = (farm_id, config_path=None, *, target=None))]
fn get_farm<'py>(
    py: Python<'py>,
    farm_id: String,
    config_path: Path,
    target: Given<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    call(py, config_path, target, |service| async move { Ok(shapes::farm(&service.get_farm(&farm_id).await?)) })
}

#[pyfunction]
#[pyo3(signature = (farm_id, config_path=None, *, target=None))]
fn list_queues<'py>(
    py: Python<'py>,
    farm_id: String,
    config_path: Path,
    target: Given<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    call(py, config_path, target, |service| async move { Ok(shapes::queues(&service.list_queues(&farm_id).await?)) })
}

#[pyfunction]
#[pyo3(signature = (farm_id, queue_id, config_path=None, *, target=None))]
fn get_queue<'py>(
    py: Python<'py>,
    farm_id: String,
    queue_id: String,
    config_path: Path,
    target: Given<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    call(
        py,
        config_path,
        target,
        |service| async move { Ok(shapes::queue(&service.get_queue(&farm_id, &queue_id).await?)) },
    )
}

#[pyfunction]
#[pyo3(signature = (farm_id, queue_id, config_path=None, *, target=None))]
fn list_storage_profiles_for_queue<'py>(
    py: Python<'py>,
    farm_id: String,
    queue_id: String,
    config_path: Path,
    target: Given<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    call(py, config_path, target, |service| async move {
        Ok(shapes::storage_profiles(&service.list_storage_profiles_for_queue(&farm_id, &queue_id).await?))
    })
}

#[pyfunction]
#[pyo3(signature = (farm_id, queue_id, storage_profile_id, config_path=None, *, target=None))]
fn get_storage_profile_for_queue<'py>(
    py: Python<'py>,
    farm_id: String,
    queue_id: String,
    storage_profile_id: String,
    config_path: Path,
    target: Given<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    call(py, config_path, target, |service| async move {
        service.get_storage_profile_for_queue(&farm_id, &queue_id, &storage_profile_id).await
    })
}

#[pyfunction]
#[pyo3(signature = (farm_id, queue_id, config_path=None, *, target=None))]
fn list_queue_environments<'py>(
    py: Python<'py>,
    farm_id: String,
    queue_id: String,
    config_path: Path,
    target: Given<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    call(py, config_path, target, |service| async move { service.list_queue_environments(&farm_id, &queue_id).await })
}

#[pyfunction]
#[pyo3(signature = (farm_id, queue_id, config_path=None, *, target=None))]
fn list_queue_fleet_associations<'py>(
    py: Python<'py>,
    farm_id: String,
    queue_id: String,
    config_path: Path,
    target: Given<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    call(
        py,
        config_path,
        target,
        |service| async move { service.list_queue_fleet_associations(&farm_id, &queue_id).await },
    )
}

#[pyfunction]
#[pyo3(signature = (farm_id, fleet_id, config_path=None, *, target=None))]
fn get_fleet<'py>(
    py: Python<'py>,
    farm_id: String,
    fleet_id: String,
    config_path: Path,
    target: Given<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    call(py, config_path, target, |service| async move { service.get_fleet(&farm_id, &fleet_id).await })
}

#[pyfunction]
#[pyo3(signature = (farm_id, queue_id, config_path=None, *, target=None))]
fn get_queue_parameter_definitions<'py>(
    py: Python<'py>,
    farm_id: String,
    queue_id: String,
    config_path: Path,
    target: Given<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    call(py, config_path, target, |service| async move {
        let definitions = service.queue_parameter_definitions(&farm_id, &queue_id).await?;
        Ok(Value::Array(definitions.into_iter().map(Value::Object).collect()))
    })
}

#[pyfunction]
#[pyo3(signature = (farm_id, queue_id, job_id, config_path=None, *, target=None))]
fn get_job<'py>(
    py: Python<'py>,
    farm_id: String,
    queue_id: String,
    job_id: String,
    config_path: Path,
    target: Given<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    call(py, config_path, target, |service| async move { service.get_job(&farm_id, &queue_id, &job_id).await })
}

#[pyfunction]
#[pyo3(signature = (
    farm_id, queue_ids, *, limit=100, filter_expressions=None, oldest_first=false, config_path=None, target=None
))]
#[allow(clippy::too_many_arguments)] // what to search for, all by keyword
fn search_jobs<'py>(
    py: Python<'py>,
    farm_id: String,
    queue_ids: Vec<String>,
    limit: usize,
    filter_expressions: Option<&Bound<'py, PyAny>>,
    oldest_first: bool,
    config_path: Path,
    target: Given<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let filter = filter_expressions.map(|filter| depythonize(filter)).transpose()?;
    let wanted = JobSearch { limit, filter, oldest_first };
    call(
        py,
        config_path,
        target,
        move |service| async move { service.search_jobs(&farm_id, &queue_ids, &wanted).await },
    )
}

#[pyfunction]
#[pyo3(signature = (
    farm_id, queue_id, job_id, *, target_task_run_status=None, priority=None, max_failed_tasks_count=None,
    max_retries_per_task=None, max_worker_count=None, lifecycle_status=None, name=None, description=None,
    config_path=None, target=None
))]
#[allow(clippy::too_many_arguments)] // one per member of the operation, all by keyword
fn update_job<'py>(
    py: Python<'py>,
    farm_id: String,
    queue_id: String,
    job_id: String,
    target_task_run_status: Option<String>,
    priority: Option<i32>,
    max_failed_tasks_count: Option<i32>,
    max_retries_per_task: Option<i32>,
    max_worker_count: Option<i32>,
    lifecycle_status: Option<String>,
    name: Option<String>,
    description: Option<String>,
    config_path: Path,
    target: Given<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let change = JobChange {
        target_task_run_status,
        priority,
        max_failed_tasks_count,
        max_retries_per_task,
        max_worker_count,
        lifecycle_status,
        name,
        description,
    };
    call(py, config_path, target, move |service| async move {
        service.update_job(&farm_id, &queue_id, &job_id, &change).await
    })
}

#[pyfunction]
#[pyo3(signature = (farm_id, queue_id, job_id, config_path=None, *, target=None))]
fn list_steps<'py>(
    py: Python<'py>,
    farm_id: String,
    queue_id: String,
    job_id: String,
    config_path: Path,
    target: Given<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    call(py, config_path, target, |service| async move { service.list_steps(&farm_id, &queue_id, &job_id).await })
}

#[pyfunction]
#[pyo3(signature = (farm_id, queue_id, job_id, step_id, config_path=None, *, target=None))]
fn list_step_dependencies<'py>(
    py: Python<'py>,
    farm_id: String,
    queue_id: String,
    job_id: String,
    step_id: String,
    config_path: Path,
    target: Given<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    call(py, config_path, target, |service| async move {
        service.list_step_dependencies(&farm_id, &queue_id, &job_id, &step_id).await
    })
}

#[pyfunction]
#[pyo3(signature = (farm_id, queue_id, job_id, step_id, config_path=None, *, target=None))]
fn list_tasks<'py>(
    py: Python<'py>,
    farm_id: String,
    queue_id: String,
    job_id: String,
    step_id: String,
    config_path: Path,
    target: Given<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    call(
        py,
        config_path,
        target,
        |service| async move { service.list_tasks(&farm_id, &queue_id, &job_id, &step_id).await },
    )
}

#[pyfunction]
#[pyo3(signature = (farm_id, queue_id, job_id, step_id, task_id, target_run_status, config_path=None, *, target=None))]
#[allow(clippy::too_many_arguments)] // the path of the resource
fn update_task<'py>(
    py: Python<'py>,
    farm_id: String,
    queue_id: String,
    job_id: String,
    step_id: String,
    task_id: String,
    target_run_status: String,
    config_path: Path,
    target: Given<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    call(py, config_path, target, |service| async move {
        service.update_task(&farm_id, &queue_id, &job_id, &step_id, &task_id, &target_run_status).await
    })
}

#[pyfunction]
#[pyo3(signature = (farm_id, queue_id, job_id, config_path=None, *, target=None))]
fn list_sessions<'py>(
    py: Python<'py>,
    farm_id: String,
    queue_id: String,
    job_id: String,
    config_path: Path,
    target: Given<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    call(py, config_path, target, |service| async move { service.list_sessions(&farm_id, &queue_id, &job_id).await })
}

#[pyfunction]
#[pyo3(signature = (farm_id, queue_id, job_id, *, session_id=None, task_id=None, config_path=None, target=None))]
#[allow(clippy::too_many_arguments)] // the path of the resource and its filters
fn list_session_actions<'py>(
    py: Python<'py>,
    farm_id: String,
    queue_id: String,
    job_id: String,
    session_id: Option<String>,
    task_id: Option<String>,
    config_path: Path,
    target: Given<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let filter = SessionActionFilter { session_id, task_id };
    call(py, config_path, target, move |service| async move {
        service.list_session_actions(&farm_id, &queue_id, &job_id, &filter).await
    })
}

#[pyfunction]
#[pyo3(signature = (
    farm_id, queue_id, session_id, *, start_from_head=true, next_token=None, limit=10000, config_path=None, target=None
))]
#[allow(clippy::too_many_arguments)] // the path of the resource and the query
fn get_session_log<'py>(
    py: Python<'py>,
    farm_id: String,
    queue_id: String,
    session_id: String,
    start_from_head: bool,
    next_token: Option<String>,
    limit: u32,
    config_path: Path,
    target: Given<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let query = LogQuery { start_from_head, next_token, limit };
    call(py, config_path, target, move |service| async move {
        service.get_session_log(&farm_id, &queue_id, &session_id, &query).await
    })
}
