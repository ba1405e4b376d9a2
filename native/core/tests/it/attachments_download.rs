//! Downloads and a worker's sync: whole files or none, and nothing outside the root.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use shotput_core::CoreError;
use shotput_core::attachments::download::Conflict;
use shotput_core::attachments::hash::hash_bytes;
use shotput_core::attachments::manifest::{Entry, Manifest};
use shotput_core::attachments::outputs::{Downloaded, OutputRequest, Scope, download};
use shotput_core::attachments::progress::Progress;
use shotput_core::attachments::sync::{
    Attachments, ManifestProperties, PathMappingRule, Run, Session, Snapshot, sync_inputs, sync_outputs,
};
use tokio_util::sync::CancellationToken;

use crate::attachments_server::{BUCKET, Object, Server};

const MTIME: i64 = 1_700_000_000_123_456;
const JOB: &str = "farm-1/queue-1/job-1";

fn token() -> CancellationToken {
    CancellationToken::new()
}

fn entry(path: &str, content: &[u8]) -> Entry {
    Entry { path: path.into(), hash: hash_bytes(content), size: content.len() as u64, mtime: MTIME }
}

/// Puts an output manifest and its objects into the store.
fn put_outputs(server: &Server, folder: &str, root: &Path, files: &[(&str, &[u8])]) -> String {
    let manifest = Manifest::new(files.iter().map(|(path, content)| entry(path, content)).collect());
    let mut state = server.state();
    for (_, content) in files {
        let object = Object { body: content.to_vec().into(), ..Object::default() };
        state.objects.insert(format!("Root/Data/{}.xxh128", hash_bytes(content)), object);
    }
    let metadata = BTreeMap::from([("asset-root".to_owned(), root.to_str().unwrap().to_owned())]);
    let key = format!("Root/Manifests/{JOB}/{folder}/abc_output");
    state.objects.insert(key.clone(), Object { body: manifest.encode().into(), metadata });
    key
}

fn request(server: &Server, conflict: Conflict) -> OutputRequest {
    OutputRequest {
        access: server.access(),
        bucket: BUCKET.into(),
        root_prefix: "Root".into(),
        scope: Scope {
            farm_id: "farm-1".into(),
            queue_id: "queue-1".into(),
            job_id: "job-1".into(),
            ..Scope::default()
        },
        root_map: BTreeMap::new(),
        rules: None,
        conflict,
    }
}

fn get(server: &Server, conflict: Conflict) -> Result<Downloaded, CoreError> {
    download(&request(server, conflict), None, &token())
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_last_run_of_each_task_counts_and_every_chunk() {
    let (server, root) = (Server::start(), tempfile::tempdir().unwrap());
    let root = root.path();
    put_outputs(&server, "step-1/task-1/2026-01-01T00:00:00.000000Z_sessionaction-1", root, &[("a/1.exr", b"old")]);
    put_outputs(&server, "step-1/task-1/2026-01-02T00:00:00.000000Z_sessionaction-2", root, &[("a/1.exr", b"new")]);
    put_outputs(&server, "step-1/task-2/2026-01-01T00:00:00.000000Z_sessionaction-3", root, &[("a/2.exr", b"two")]);
    put_outputs(
        &server,
        "step-2/2026-01-01T00:00:00.000000Z_sessionaction-4",
        root,
        &[("b/1.exr", b"x"), ("b/2.exr", b"y")],
    );
    put_outputs(&server, "step-2/2026-01-03T00:00:00.000000Z_sessionaction-5", root, &[("b/2.exr", b"again")]);
    let downloaded = get(&server, Conflict::Overwrite).unwrap();
    assert_eq!(downloaded.files, ["a/1.exr", "a/2.exr", "b/1.exr", "b/2.exr"].map(|path| root.join(path)));
    assert_eq!(downloaded.file_counts_by_root_directory, BTreeMap::from([(root.display().to_string(), 4)]));
    for (path, content) in [("a/1.exr", "new"), ("a/2.exr", "two"), ("b/1.exr", "x"), ("b/2.exr", "again")] {
        assert_eq!(std::fs::read_to_string(root.join(path)).unwrap(), content);
    }
    let modified = root.join("a/1.exr").metadata().unwrap().modified().unwrap();
    assert_eq!(modified, UNIX_EPOCH + Duration::from_micros(MTIME as u64));
    // A second time: everything is in place, no object is fetched.
    server.state().requests.clear();
    let again = get(&server, Conflict::CreateCopy).unwrap();
    assert_eq!((again.statistics.skipped_files, again.files.len()), (4, 4));
    assert_eq!(server.state().count("GET Root/Data"), 0);
    // One task alone.
    let other = tempfile::tempdir().unwrap();
    let mut request = request(&server, Conflict::Overwrite);
    request.scope.step_id = Some("step-1".into());
    request.scope.task_id = Some("task-2".into());
    request.root_map = BTreeMap::from([(root.display().to_string(), other.path().join("here"))]);
    assert_eq!(download(&request, None, &token()).unwrap().files, [other.path().join("here/a/2.exr")]);
    request.scope.step_id = None;
    assert_eq!(
        download(&request, None, &token()).unwrap_err().to_string(),
        "The task task-2 was named without its step. Name both."
    );
}

#[test]
fn conflicts_are_resolved_as_asked() {
    let (server, root) = (Server::start(), tempfile::tempdir().unwrap());
    let root = root.path();
    put_outputs(&server, "step-1/task-1/t_s", root, &[("f.tar.gz", b"new")]);
    std::fs::write(root.join("f.tar.gz"), "mine").unwrap();
    assert_eq!(get(&server, Conflict::Skip).unwrap().files, Vec::<PathBuf>::new());
    assert_eq!(std::fs::read_to_string(root.join("f.tar.gz")).unwrap(), "mine");
    std::fs::write(root.join("f.tar (1).gz"), "mine too").unwrap();
    assert_eq!(get(&server, Conflict::CreateCopy).unwrap().files, [root.join("f.tar (2).gz")]);
    assert_eq!(std::fs::read_to_string(root.join("f.tar (1).gz")).unwrap(), "mine too");
    assert_eq!(std::fs::read_to_string(root.join("f.tar (2).gz")).unwrap(), "new");
    assert_eq!(get(&server, Conflict::Overwrite).unwrap().files, [root.join("f.tar.gz")]);
    assert_eq!(std::fs::read_to_string(root.join("f.tar.gz")).unwrap(), "new");
    assert_eq!(names(root), ["f.tar (1).gz", "f.tar (2).gz", "f.tar.gz"]);
    assert_eq!(
        Conflict::parse("ASK").unwrap_err().to_string(),
        "The conflict resolution \"ASK\" is not known. Use SKIP, OVERWRITE or CREATE_COPY."
    );
}

#[test]
fn a_tampered_object_is_not_written() {
    for size in [10, 9 * 1024 * 1024] {
        let (server, root) = (Server::start(), tempfile::tempdir().unwrap());
        let content = vec![7; size];
        put_outputs(&server, "step-1/task-1/t_s", root.path(), &[("f", &content)]);
        let key = format!("Root/Data/{}.xxh128", hash_bytes(&content));
        let mut tampered = content.clone();
        tampered[size / 2] = 8;
        server.state().objects.get_mut(&key).unwrap().body = tampered.into();
        assert_eq!(
            get(&server, Conflict::Overwrite).unwrap_err().to_string(),
            format!(
                "The object s3://assets/{key} is damaged: its content is not that of its hash, so {} was not written. \
                 Remove the object and submit or render again.",
                root.path().join("f").display()
            )
        );
        assert_eq!(names(root.path()), Vec::<String>::new());
        // Missing, and under its name without suffix.
        let object = server.state().objects.remove(&key).unwrap();
        let text = get(&server, Conflict::Overwrite).unwrap_err().to_string();
        assert!(
            text.starts_with(&format!("The object s3://assets/{key} of the file f is not in the store.")),
            "{text}"
        );
        let legacy = Object { body: content.clone().into(), ..object };
        server.state().objects.insert(key.strip_suffix(".xxh128").unwrap().into(), legacy);
        get(&server, Conflict::Overwrite).unwrap();
        assert!(std::fs::read(root.path().join("f")).unwrap() == content);
    }
}

#[test]
fn a_large_file_goes_on_where_it_stopped() {
    let (server, root) = (Server::start(), tempfile::tempdir().unwrap());
    let content: Vec<u8> = (0..12 * 1024 * 1024_u32).map(|index| (index / 999) as u8).collect();
    put_outputs(&server, "step-1/task-1/t_s", root.path(), &[("large", &content)]);
    let hash = hash_bytes(&content);
    let part = root.path().join(format!(".shotput-{}.part", &hash_bytes(format!("large{hash}").as_bytes())[..16]));
    for (found, bytes) in [(&content[..5_000_000], 7_582_912), (&[9; 100][..], 12_582_912)] {
        std::fs::write(&part, found).unwrap();
        let sizes = Mutex::new(Vec::new());
        let on_progress = |progress: Progress| {
            sizes.lock().unwrap().push(progress.processed_bytes);
            true
        };
        let downloaded = download(&request(&server, Conflict::Overwrite), Some(&on_progress), &token()).unwrap();
        assert_eq!(downloaded.statistics.processed_files, 1);
        assert_eq!(*sizes.lock().unwrap().last().unwrap(), content.len() as u64, "{bytes}");
        assert!(std::fs::read(root.path().join("large")).unwrap() == content);
        assert_eq!(names(root.path()), ["large"]);
        std::fs::remove_file(root.path().join("large")).unwrap();
    }
}

#[test]
fn nothing_outside_the_root() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let root = folder.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let outside = folder.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, root.join("link")).unwrap();
    let key = put_outputs(&server, "step-1/task-1/t_s", &root, &[("a", b"a"), ("link/x", b"x")]);
    assert_eq!(
        get(&server, Conflict::Overwrite).unwrap_err().to_string(),
        format!(
            "Nothing was written to {}: {} is a link that leads out of it. Remove it and try again.",
            root.display(),
            root.join("link").display()
        )
    );
    for (path, reason) in
        [("../x", "leads out of its root"), ("/tmp/x", "is absolute"), ("a/../../x", "leads out of its root")]
    {
        let document = format!(
            r#"{{"hashAlg":"xxh128","manifestVersion":"2023-03-03","paths":[{{"hash":"{}","mtime":1,"path":"{path}","size":1}}],"totalSize":1}}"#,
            hash_bytes(b"a")
        );
        server.state().objects.get_mut(&key).unwrap().body = document.into();
        assert_eq!(
            get(&server, Conflict::Overwrite).unwrap_err().to_string(),
            format!("The manifest s3://assets/{key} is not usable: the path {path:?} {reason}.")
        );
    }
    assert_eq!((names(&root), names(&outside)), (vec!["link".to_owned()], vec![]));
    // A link in the place of a file is replaced, not written through.
    std::fs::write(outside.join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(outside.join("secret"), root.join("a")).unwrap();
    put_outputs(&server, "step-1/task-1/t_s", &root, &[("a", b"a")]);
    get(&server, Conflict::Overwrite).unwrap();
    assert_eq!(std::fs::read_to_string(outside.join("secret")).unwrap(), "secret");
    assert!(root.join("a").symlink_metadata().unwrap().is_file());
    // A device, a folder or another machine's path is no place for a file.
    std::fs::remove_file(root.join("a")).unwrap();
    std::fs::create_dir(root.join("a")).unwrap();
    assert_eq!(
        get(&server, Conflict::Overwrite).unwrap_err().to_string(),
        format!(
            "Cannot write the file {}: a folder of this name is in its place. Move it away and try again.",
            root.join("a").display()
        )
    );
    put_outputs(&server, "step-1/task-1/t_s", Path::new("C:\\proj"), &[("a", b"a")]);
    assert_eq!(
        get(&server, Conflict::Overwrite).unwrap_err().to_string(),
        "The outputs belong to C:\\proj, which is no folder of this machine. Name a local folder \
         for it (--map-root, root_map)."
    );
}

#[test]
fn a_part_is_never_written_into_what_somebody_else_put_there() {
    for size in [10, 9 * 1024 * 1024] {
        let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
        let root = folder.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let content = vec![7; size];
        put_outputs(&server, "step-1/task-1/t_s", &root, &[("a", &content)]);
        let victim = folder.path().join("victim");
        let part =
            root.join(format!(".shotput-{}.part", &hash_bytes(format!("a{}", hash_bytes(&content)).as_bytes())[..16]));
        type Plant = fn(&Path, &Path) -> std::io::Result<()>;
        let plants: [Plant; 2] =
            [|from, to| std::os::unix::fs::symlink(from, to), |from, to| std::fs::hard_link(from, to)];
        for plant in plants {
            std::fs::write(&victim, "untouched").unwrap();
            plant(&victim, &part).unwrap();
            get(&server, Conflict::Overwrite).unwrap();
            assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
            assert!(std::fs::read(root.join("a")).unwrap() == content);
            assert_eq!(names(&root), ["a"]);
            std::fs::remove_file(root.join("a")).unwrap();
        }
    }
}

#[test]
fn a_part_that_another_download_fills_is_left_to_it() {
    for size in [10, 9 * 1024 * 1024] {
        let (server, root) = (Server::start(), tempfile::tempdir().unwrap());
        let root = root.path();
        let content = vec![7; size];
        put_outputs(&server, "step-1/task-1/t_s", root, &[("a", &content)]);
        let name = format!(".shotput-{}.part", &hash_bytes(format!("a{}", hash_bytes(&content)).as_bytes())[..16]);
        std::fs::write(root.join(&name), "theirs").unwrap();
        let theirs = std::fs::File::open(root.join(&name)).unwrap();
        theirs.lock().unwrap();
        get(&server, Conflict::Overwrite).unwrap();
        assert!(std::fs::read(root.join("a")).unwrap() == content);
        assert_eq!(std::fs::read_to_string(root.join(&name)).unwrap(), "theirs");
        assert_eq!(names(root), [name.as_str(), "a"]);
        // Once nobody fills it, the next one goes on with it.
        drop(theirs);
        std::fs::remove_file(root.join("a")).unwrap();
        get(&server, Conflict::Overwrite).unwrap();
        assert_eq!(names(root), ["a"]);
    }
}

#[test]
fn downloads_of_one_file_at_once_do_not_disturb_each_other() {
    let (server, root) = (Server::start(), tempfile::tempdir().unwrap());
    let large = vec![7; 9 * 1024 * 1024];
    put_outputs(&server, "step-1/task-1/t_s", root.path(), &[("small", b"s"), ("large", &large)]);
    for conflict in [Conflict::Overwrite, Conflict::CreateCopy] {
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..4).map(|_| scope.spawn(|| get(&server, conflict).unwrap())).collect();
            all.into_iter().for_each(|download| drop(download.join().unwrap()));
        });
        assert!(std::fs::read(root.path().join("large")).unwrap() == large);
        assert!(names(root.path()).iter().all(|name| !name.starts_with('.')));
        for name in names(root.path()) {
            std::fs::remove_file(root.path().join(name)).unwrap();
        }
    }
}

#[test]
fn a_canceled_download_goes_on() {
    let (server, root) = (Server::start(), tempfile::tempdir().unwrap());
    let contents: Vec<(String, Vec<u8>)> = (0..60).map(|index| (format!("f{index:02}"), vec![index; 1000])).collect();
    let files: Vec<(&str, &[u8])> = contents.iter().map(|(name, content)| (name.as_str(), &content[..])).collect();
    put_outputs(&server, "step-1/task-1/t_s", root.path(), &files);
    let on_progress = |_: Progress| false;
    let result = download(&request(&server, Conflict::CreateCopy), Some(&on_progress), &token());
    let text = result.unwrap_err().to_string();
    assert!(text.starts_with("The download was canceled after ") && text.ends_with(" of 60 files."), "{text}");
    let whole = names(root.path()).iter().filter(|name| !name.starts_with('.')).count() as u64;
    assert!(whole >= 50, "{whole}");
    let downloaded = get(&server, Conflict::CreateCopy).unwrap();
    assert_eq!(downloaded.statistics.skipped_files, whole);
    assert_eq!(names(root.path()), contents.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
}

fn session(server: &Server, folder: &Path, attachments: Attachments, snapshot: Snapshot) -> Session {
    Session {
        access: server.access(),
        bucket: BUCKET.into(),
        root_prefix: "Root".into(),
        farm_id: "farm-1".into(),
        queue_id: "queue-1".into(),
        job_id: "job-1".into(),
        folder: folder.into(),
        attachments,
        rules: vec![PathMappingRule {
            source_path_format: "POSIX".into(),
            source_path: "/mnt/cache".into(),
            destination_path: folder.join("mapped").display().to_string(),
        }],
        snapshot,
    }
}

#[test]
fn a_worker_syncs_in_and_out() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let folder = folder.path().canonicalize().unwrap();
    let inputs = Manifest::new(vec![entry("scene.blend", b"scene"), entry("out/old.exr", b"old")]);
    {
        let mut state = server.state();
        for content in [&b"scene"[..], b"old"] {
            let object = Object { body: content.to_vec().into(), ..Object::default() };
            state.objects.insert(format!("Root/Data/{}.xxh128", hash_bytes(content)), object);
        }
        let object = Object { body: inputs.encode().into(), ..Object::default() };
        state.objects.insert("Root/Manifests/farm-1/queue-1/Inputs/1/m_input".into(), object);
    }
    let attachments = Attachments {
        manifests: vec![
            ManifestProperties {
                root_path: "/proj/ä".into(),
                root_path_format: "posix".into(),
                input_manifest_path: Some("farm-1/queue-1/Inputs/1/m_input".into()),
                input_manifest_hash: Some(inputs.digest()),
                output_relative_directories: vec!["out".into()],
                ..ManifestProperties::default()
            },
            ManifestProperties {
                root_path: "/mnt/cache/shot".into(),
                root_path_format: "posix".into(),
                file_system_location_name: Some("Cache".into()),
                output_relative_directories: vec![".".into()],
                ..ManifestProperties::default()
            },
        ],
    };
    let first = session(&server, &folder, attachments.clone(), Snapshot::default());
    let synced = sync_inputs(&first, &[], None, &token()).unwrap();
    let root = PathBuf::from(&synced.path_mapping_rules[0].destination_path);
    // The first 20 digits of Python's hashlib.shake_256("/proj/ä".encode()).hexdigest(10).
    assert_eq!(root, folder.join("assetroot-81df4267178f26bc1a5d"));
    assert_eq!(synced.path_mapping_rules[1].destination_path, folder.join("mapped/shot").display().to_string());
    assert_eq!(synced.path_mapping_rules[0].source_path_format, "POSIX");
    assert_eq!(std::fs::read_to_string(root.join("scene.blend")).unwrap(), "scene");
    // A task writes a new file, changes one and touches an input outside of the output folder.
    std::fs::write(root.join("out/new.exr"), "new").unwrap();
    std::fs::write(root.join("out/old.exr"), "changed").unwrap();
    std::fs::write(root.join("scene.blend"), "touched").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", root.join("out/leads-out")).unwrap();
    let run = |task: Option<&str>| Run {
        step_id: "step-1".into(),
        task_id: task.map(str::to_owned),
        session_action_id: "sessionaction-7".into(),
        started_at: 1_767_225_600.5,
    };
    let second = session(&server, &folder, attachments.clone(), synced.snapshot.clone());
    let stored = sync_outputs(&second, &run(Some("task-3")), None, &token()).unwrap();
    let path = stored.manifests[0].output_manifest_path.clone().unwrap();
    let name = hash_bytes("/proj/ä".as_bytes());
    assert_eq!(path, format!("{JOB}/step-1/task-3/2026-01-01T00:00:00.500000Z_sessionaction-7/{name}_output"));
    assert_eq!(serde_json::to_value(&stored.manifests[1]).unwrap(), serde_json::json!({}));
    {
        let state = server.state();
        let object = &state.objects[&format!("Root/Manifests/{path}")];
        assert_eq!(stored.manifests[0].output_manifest_hash, Some(hash_bytes(&object.body)));
        assert_eq!(object.metadata["asset-root-json"], r#""/proj/\u00e4""#);
        let manifest = Manifest::decode(&object.body, "m").unwrap();
        let files: Vec<(&str, &str)> =
            manifest.entries().iter().map(|entry| (entry.path.as_str(), entry.hash.as_str())).collect();
        let (new, changed) = (hash_bytes(b"new"), hash_bytes(b"changed"));
        assert_eq!(files, [("out/new.exr", new.as_str()), ("out/old.exr", changed.as_str())]);
    }
    // Nothing new: no manifest. Then the mapped location, in a chunk without a task.
    let third = session(&server, &folder, attachments.clone(), stored.snapshot.clone());
    let again = sync_outputs(&third, &run(None), None, &token()).unwrap();
    assert_eq!(serde_json::to_value(&again.manifests).unwrap(), serde_json::json!([{}, {}]));
    std::fs::create_dir_all(folder.join("mapped/shot/v1")).unwrap();
    std::fs::write(folder.join("mapped/shot/v1/c.vdb"), "vdb").unwrap();
    let chunk = sync_outputs(&third, &run(None), None, &token()).unwrap();
    let name = hash_bytes(b"Cache/mnt/cache/shot");
    let path = chunk.manifests[1].output_manifest_path.clone().unwrap();
    assert_eq!(path, format!("{JOB}/step-1/2026-01-01T00:00:00.500000Z_sessionaction-7/{name}_output"));
    assert_eq!(
        server.state().objects[&format!("Root/Manifests/{path}")].metadata["file-system-location-name"],
        "Cache"
    );
    // Another session whose step depends on this one sees inputs and outputs, in this session's own folder too.
    let other = tempfile::tempdir().unwrap();
    let dependent = session(&server, other.path(), attachments, Snapshot::default());
    let synced = sync_inputs(&dependent, &["step-1".into()], None, &token()).unwrap();
    let root = PathBuf::from(&synced.path_mapping_rules[0].destination_path);
    for (path, content) in [("scene.blend", "scene"), ("out/new.exr", "new"), ("out/old.exr", "changed")] {
        assert_eq!(std::fs::read_to_string(root.join(path)).unwrap(), content);
    }
    assert_eq!(std::fs::read_to_string(other.path().join("mapped/shot/v1/c.vdb")).unwrap(), "vdb");
    // What a task changed stays changed when the session syncs again.
    std::fs::write(root.join("scene.blend"), "mine").unwrap();
    let again = Session { snapshot: synced.snapshot, ..dependent };
    assert_eq!(sync_inputs(&again, &["step-1".into()], None, &token()).unwrap().statistics.total_files, 0);
    assert_eq!(std::fs::read_to_string(root.join("scene.blend")).unwrap(), "mine");
    // A manifest that was exchanged in the store.
    server.state().objects.get_mut("Root/Manifests/farm-1/queue-1/Inputs/1/m_input").unwrap().body = "{}".into();
    assert_eq!(
        sync_inputs(&again, &[], None, &token()).unwrap_err().to_string(),
        "The manifest s3://assets/Root/Manifests/farm-1/queue-1/Inputs/1/m_input is not the one that was submitted: its \
         hash differs. Submit the job again."
    );
}
