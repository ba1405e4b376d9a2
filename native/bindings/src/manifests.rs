//! Manifests by themselves: read, store, copy what they name, download what they name.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use pythonize::pythonize;
use serde::Deserialize;
use shotput_core::CoreError;
use shotput_core::attachments::by_manifest::{self, ManifestRequest, Source, Wanted};
use shotput_core::attachments::copies;
use shotput_core::attachments::download::Conflict;
use shotput_core::attachments::manifest::Manifest;
use shotput_core::attachments::mapping::PathMappingRule;
use shotput_core::attachments::outputs::{self, Selection};
use shotput_core::attachments::progress::Progress;
use shotput_core::attachments::upload;
use shotput_core::service::block_on;

use crate::attachments::{Callback, Place, PythonCredentials, target_of};
use crate::config;
use crate::plain::argument;
use crate::runtime::{briefly, run, run_with};

#[pyfunction]
#[pyo3(signature = (
    manifest, path, *, asset_root=None, location_name=None, bucket=None, root_prefix=None, farm_id=None, queue_id=None,
    target=None
))]
#[expect(clippy::too_many_arguments, reason = "the names of the Python signature")]
fn upload_manifest(
    py: Python<'_>,
    manifest: Vec<u8>,
    path: String,
    asset_root: Option<String>,
    location_name: Option<String>,
    bucket: Option<String>,
    root_prefix: Option<String>,
    farm_id: Option<String>,
    queue_id: Option<String>,
    target: Option<&Bound<'_, PyAny>>,
) -> PyResult<Py<PyAny>> {
    let target = config::Place::of(None, target)?;
    let place = Place::new(bucket, root_prefix, farm_id, queue_id);
    let stored = run(py, move |token| {
        let manifest = Manifest::decode(&manifest, "given to upload_manifest")?;
        let destination = block_on(&token, async { place.destination(target.resolve().await?, None).await })?;
        let root = asset_root.as_deref().map(|root| (root, location_name.as_deref().unwrap_or_default()));
        let hash = upload::upload_manifest(&manifest, &path, root, &destination, &token)?;
        Ok(serde_json::json!({"path": path, "hash": hash}))
    })?;
    Ok(pythonize(py, &stored)?.unbind())
}

#[pyfunction]
fn merge_manifests(py: Python<'_>, manifests: Vec<Vec<u8>>) -> PyResult<Py<PyBytes>> {
    let merged = briefly(py, || {
        let decode = |bytes: &Vec<u8>| Manifest::decode(bytes, "given to merge_manifests");
        Ok(Manifest::merge(manifests.iter().map(decode).collect::<Result<Vec<_>, CoreError>>()?).encode())
    })?;
    Ok(PyBytes::new(py, &merged).unbind())
}

#[pyfunction]
#[pyo3(signature = (root, manifest, folder, *, on_progress=None))]
fn copy_snapshot(
    py: Python<'_>,
    root: PathBuf,
    manifest: Vec<u8>,
    folder: PathBuf,
    on_progress: Option<Py<PyAny>>,
) -> PyResult<Py<PyAny>> {
    let callback = Callback::new(on_progress);
    let raised = callback.raised.clone();
    let statistics = run_with(py, &raised, move |token| {
        let manifest = Manifest::decode(&manifest, "given to copy_snapshot")?;
        let on_progress = |progress: Progress| callback.call(&progress);
        copies::copy_snapshot(&root, &manifest, &folder, Some(&on_progress), &token)
    })?;
    Ok(pythonize(py, &statistics)?.unbind())
}

#[derive(Deserialize)]
struct ReadParams {
    #[serde(flatten)]
    place: Place,
    step_id: Option<String>,
    task_id: Option<String>,
    paths: Option<Vec<String>>,
}

#[pyfunction]
fn list_output_manifests(py: Python<'_>, params: &Bound<'_, PyDict>) -> PyResult<Vec<String>> {
    let given: ReadParams = argument(params, "params of list_output_manifests")?;
    let target = target_of(params)?;
    run(py, move |token| {
        let (access, bucket, root_prefix) = given.place.open(target, &token)?;
        outputs::list_manifests(
            &access,
            &bucket,
            &root_prefix,
            &given.place.scope(given.step_id, given.task_id),
            &token,
        )
    })
}

#[pyfunction]
fn read_manifests(py: Python<'_>, params: &Bound<'_, PyDict>) -> PyResult<Py<PyList>> {
    let given: ReadParams = argument(params, "params of read_manifests")?;
    let target = target_of(params)?;
    let found = run(py, move |token| {
        let (access, bucket, root_prefix) = given.place.open(target, &token)?;
        let selection = match given.paths {
            Some(paths) => Selection::Paths(paths),
            None => Selection::Outputs(given.place.scope(given.step_id, given.task_id)),
        };
        outputs::read_manifests(&access, &bucket, &root_prefix, &selection, &token)
    })?;
    let list = PyList::empty(py);
    for read in found {
        let item = PyDict::new(py);
        item.set_item("path", read.path)?;
        item.set_item("asset_root", read.root)?;
        item.set_item("location_name", read.location_name)?;
        item.set_item("last_modified", read.last_modified)?;
        item.set_item("manifest", PyBytes::new(py, &read.manifest.encode()))?;
        list.append(item)?;
    }
    Ok(list.unbind())
}

#[derive(Deserialize)]
struct WantedParams {
    #[serde(default)]
    group: String,
    path: Option<String>,
    root_path: String,
    root_path_format: Option<String>,
    path_mapping_rules: Option<Vec<PathMappingRule>>,
}

#[derive(Deserialize)]
struct ManifestParams {
    #[serde(flatten)]
    place: Place,
    conflict_resolution: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

/// The manifests among the params. Their bytes are taken out first: `argument` would make lists of numbers of them.
fn wanted(params: &Bound<'_, PyDict>) -> PyResult<Vec<Wanted>> {
    let Some(items) = params.get_item("manifests")? else { return Ok(Vec::new()) };
    items
        .try_iter()?
        .map(|item| {
            let item = item?;
            let members = item.cast::<PyDict>()?.copy()?;
            let bytes: Option<Vec<u8>> = match members.get_item("manifest")? {
                Some(manifest) => manifest.extract()?,
                None => None,
            };
            let _ = members.del_item("manifest");
            let given: WantedParams = argument(&members, "manifests of download_manifests")?;
            let source = match (bytes, given.path) {
                (Some(bytes), _) => Source::Given(bytes),
                (None, Some(path)) => Source::Stored(path),
                (None, None) => {
                    return Err(pyo3::exceptions::PyValueError::new_err(
                        "Each of the manifests needs \"manifest\" (its bytes) or \"path\" (below Manifests/).",
                    ));
                }
            };
            Ok(Wanted {
                group: given.group,
                source,
                root_path: given.root_path,
                root_path_format: given.root_path_format,
                rules: given.path_mapping_rules,
            })
        })
        .collect()
}

#[pyfunction]
#[pyo3(signature = (params, on_progress=None, *, credentials=None))]
fn download_manifests(
    py: Python<'_>,
    params: &Bound<'_, PyDict>,
    on_progress: Option<Py<PyAny>>,
    credentials: Option<Py<PyAny>>,
) -> PyResult<Py<PyAny>> {
    let manifests = wanted(params)?;
    let rest = params.copy()?;
    let _ = rest.del_item("manifests");
    let given: ManifestParams = argument(&rest, "params of download_manifests")?;
    let target = target_of(params)?;
    let callback = Callback::new(on_progress);
    let raised = callback.raised.clone();
    let keys = credentials.map(|callable| PythonCredentials::provider(callable, raised.clone()));
    let done = run_with(py, &raised, move |token| {
        let data_prefix = given.place.data_prefix.clone();
        let (access, bucket, root_prefix) = block_on(&token, async {
            let target = target.resolve().await?;
            if keys.is_none() {
                return given.place.locate(&target, true).await;
            }
            let from = given.place.destination(target, keys).await?;
            Ok((from.access, from.bucket, from.root_prefix))
        })?;
        let conflict = given.conflict_resolution.as_deref().map_or(Ok(Conflict::default()), Conflict::parse)?;
        let dry_run = given.dry_run;
        let request = ManifestRequest { access, bucket, root_prefix, data_prefix, manifests, conflict, dry_run };
        let on_progress = |progress: Progress| callback.call(&progress);
        by_manifest::download(&request, Some(&on_progress), &token)
    })?;
    Ok(pythonize(py, &done)?.unbind())
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(upload_manifest, module)?)?;
    module.add_function(wrap_pyfunction!(copy_snapshot, module)?)?;
    module.add_function(wrap_pyfunction!(merge_manifests, module)?)?;
    module.add_function(wrap_pyfunction!(list_output_manifests, module)?)?;
    module.add_function(wrap_pyfunction!(read_manifests, module)?)?;
    module.add_function(wrap_pyfunction!(download_manifests, module)?)
}
