//! Upload against a server that counts: what is sent, what is not, and what is said when it goes wrong.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use shotput_core::CoreError;
use shotput_core::attachments::grouping::{Location, LocationKind, References, prepare};
use shotput_core::attachments::hash::hash_bytes;
use shotput_core::attachments::manifest::Manifest;
use shotput_core::attachments::progress::Progress;
use shotput_core::attachments::s3::S3Access;
use shotput_core::attachments::upload::{self, Destination, UploadOptions};
use tokio_util::sync::CancellationToken;

use crate::attachments_server::{BUCKET, Object, Server};

fn token() -> CancellationToken {
    CancellationToken::new()
}

fn files(folder: &Path, count: usize) {
    for index in 0..count {
        std::fs::write(folder.join(format!("f{index:04}.bin")), format!("content {index}")).unwrap();
    }
}

fn manifest(folder: &Path) -> Manifest {
    upload::snapshot(folder, None, None, None, &token()).unwrap().0.unwrap()
}

fn destination(access: S3Access) -> Destination {
    Destination {
        access,
        bucket: BUCKET.into(),
        root_prefix: "Root".into(),
        data_prefix: None,
        farm_id: "farm-1".into(),
        queue_id: "queue-1".into(),
    }
}

fn send(server: &Server, folder: &Path, options: &UploadOptions<'_>) -> Result<(u64, u64), CoreError> {
    let statistics =
        upload::upload_snapshot(folder, &manifest(folder), &destination(server.access()), options, None, &token())?;
    Ok((statistics.processed_files, statistics.skipped_files))
}

#[test]
fn sends_once_and_finds_by_listing() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    files(folder.path(), 40);
    assert_eq!(send(&server, folder.path(), &UploadOptions::default()).unwrap(), (40, 0));
    {
        let state = server.state();
        assert_eq!((state.count("PUT"), state.count("HEAD"), state.count("LIST")), (40, 0, 1));
        let key = format!("Root/Data/{}.xxh128", hash_bytes(b"content 7"));
        assert_eq!(state.objects[&key].body, "content 7");
    }
    std::fs::write(folder.path().join("new"), "new").unwrap();
    assert_eq!(send(&server, folder.path(), &UploadOptions::default()).unwrap(), (1, 40));
    let state = server.state();
    assert_eq!((state.count("PUT"), state.count("LIST")), (41, 2));
}

#[test]
fn a_large_store_is_not_listed_for_few_files() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    files(folder.path(), 20);
    send(&server, folder.path(), &UploadOptions::default()).unwrap();
    // Pages of two keys: the first one shows that reading all of them is not worth it for 20 files.
    server.state().page = 2;
    server.state().requests.clear();
    assert_eq!(send(&server, folder.path(), &UploadOptions::default()).unwrap(), (0, 20));
    let state = server.state();
    assert_eq!((state.count("LIST"), state.count("HEAD")), (1, 0));
    assert!(state.count("PUT") >= 18, "conditional puts found the rest: {:?}", state.requests);
}

#[test]
fn a_store_that_is_worth_it_is_listed_whole() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    files(folder.path(), 500);
    send(&server, folder.path(), &UploadOptions::default()).unwrap();
    server.state().page = 150;
    server.state().requests.clear();
    assert_eq!(send(&server, folder.path(), &UploadOptions::default()).unwrap(), (0, 500));
    let state = server.state();
    assert_eq!((state.count("PUT"), state.count("LIST")), (0, 17));
}

#[test]
fn the_check_cache_spares_requests_and_is_verified() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let cache = tempfile::tempdir().unwrap();
    files(folder.path(), 60);
    let options = UploadOptions { cache_dir: Some(cache.path()), ..UploadOptions::default() };
    send(&server, folder.path(), &options).unwrap();
    server.state().requests.clear();
    assert_eq!(send(&server, folder.path(), &options).unwrap(), (0, 60));
    // A sample of 30 is looked for and nothing else.
    let count = |kind: &str| server.state().count(kind);
    assert_eq!((count(""), count("HEAD")), (30, 30));
    // Forced: the store is asked, and not the cache.
    server.state().requests.clear();
    let forced = UploadOptions { force_s3_check: true, ..options.clone() };
    assert_eq!(send(&server, folder.path(), &forced).unwrap(), (0, 60));
    assert_eq!((count(""), count("LIST")), (1, 1));
    // The store was emptied behind the cache's back: everything is sent again.
    server.state().objects.clear();
    assert_eq!(send(&server, folder.path(), &options).unwrap(), (60, 0));
    assert_eq!(server.state().objects.len(), 60);
}

#[test]
fn equal_contents_are_sent_once() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    for index in 0..12 {
        std::fs::write(folder.path().join(format!("same{index}")), "same").unwrap();
    }
    assert_eq!(send(&server, folder.path(), &UploadOptions::default()).unwrap(), (1, 11));
    assert_eq!(server.state().count("PUT"), 1);
}

#[test]
fn a_large_file_goes_in_parts_and_resumes() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let content: Vec<u8> = (0..40 * 1024 * 1024_u32).map(|index| (index / 1000) as u8).collect();
    std::fs::write(folder.path().join("large"), &content).unwrap();
    let key = format!("Root/Data/{}.xxh128", hash_bytes(&content));
    // What a killed upload leaves behind: two of three parts, one of them damaged on the way.
    let part = 16 * 1024 * 1024;
    let parts = [(1, content[..part].to_vec().into()), (3, vec![0; 5].into())];
    server.state().uploads.insert("old".into(), (key.clone(), parts.into()));
    assert_eq!(send(&server, folder.path(), &UploadOptions::default()).unwrap(), (1, 0));
    let state = server.state();
    assert!(state.objects[&key].body == content);
    assert_eq!(state.count("CREATE"), 0);
    let mut sent: Vec<&String> = state.requests.iter().filter(|request| request.starts_with("PART ")).collect();
    sent.sort();
    assert_eq!(sent, [&format!("PART {key} 2"), &format!("PART {key} 3")]);
}

#[test]
fn an_upload_that_somebody_else_ends_is_no_failure() {
    let content = vec![5; 20 * 1024 * 1024];
    let key = format!("Root/Data/{}.xxh128", hash_bytes(&content));
    let completed = Object { body: content.clone().into(), ..Object::default() };
    for (intruder, creates, done) in [(Some(completed), 1, (0, 1)), (None, 2, (1, 0))] {
        let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("large"), &content).unwrap();
        server.state().intruder = Some(intruder);
        assert_eq!(send(&server, folder.path(), &UploadOptions::default()).unwrap(), done);
        let state = server.state();
        assert_eq!(state.count("CREATE"), creates);
        assert!(state.objects[&key].body == content);
    }
}

#[test]
fn a_file_that_changes_is_not_stored_under_its_old_hash() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let small = folder.path().join("small");
    std::fs::write(&small, "before").unwrap();
    let large = folder.path().join("large");
    std::fs::write(&large, vec![1; 17 * 1024 * 1024]).unwrap();
    let run = |manifest: &Manifest| {
        let options = UploadOptions::default();
        let result =
            upload::upload_snapshot(folder.path(), manifest, &destination(server.access()), &options, None, &token());
        result.unwrap_err().to_string()
    };
    let text = |path: &Path| {
        format!(
            "{} was changed after it was hashed, so it was not uploaded. Submit again, or make the \
             manifest anew, when no program writes it.",
            path.display()
        )
    };
    let hashed = manifest(folder.path());
    std::fs::write(&small, "after!").unwrap();
    assert_eq!(run(&hashed), text(&small));
    let hashed = manifest(folder.path());
    std::fs::write(&large, vec![2; 17 * 1024 * 1024]).unwrap();
    assert_eq!(run(&hashed), text(&large));
    let state = server.state();
    assert_eq!(state.count("ABORT"), 1);
    assert!(state.uploads.is_empty());
    assert_eq!(state.objects.len(), 1, "only \"after!\" itself: {:?}", state.objects.keys());
}

#[test]
fn faults_are_one_clear_sentence() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("a"), "a").unwrap();
    let endpoint = server.endpoint();
    let object = format!("s3://assets/Root/Data/{}.xxh128", hash_bytes(b"a"));
    let file = folder.path().join("a");
    let start = format!("Cannot upload {} to {object}", file.display());
    for (refusal, text) in [
        (
            (507, "InsufficientStorage", "No space left on device."),
            format!(
                "{start}: no space is left on the disk of the object store at {endpoint}. Free some and try again; what is already there is not sent twice."
            ),
        ),
        (
            (500, "InternalError", "Read-only file system (os error 30)"),
            format!(
                "{start}: the folder of the object store at {endpoint} is read-only. Make it writable and try again."
            ),
        ),
        (
            (403, "AccessDenied", "Access Denied."),
            format!(
                "{start} at {endpoint}: Access Denied (AccessDenied, HTTP 403). Check the credentials and that their role has s3:PutObject, s3:GetObject and s3:ListBucket for this bucket."
            ),
        ),
        (
            (400, "ExpiredToken", "The provided token has expired."),
            format!(
                "{start} at {endpoint}: The provided token has expired (ExpiredToken, HTTP 400). The credentials have expired: sign in again."
            ),
        ),
    ] {
        server.state().refuse_puts = Some(refusal);
        assert_eq!(send(&server, folder.path(), &UploadOptions::default()).unwrap_err().to_string(), text);
    }
    assert!(server.state().objects.is_empty());
    drop(server);
    let access = S3Access::with_keys("us-west-2", Some(&endpoint), "AKID", "secret", None);
    let manifest = manifest(folder.path());
    let result = upload::upload_snapshot(
        folder.path(),
        &manifest,
        &destination(access),
        &UploadOptions::default(),
        None,
        &token(),
    );
    assert_eq!(
        result.unwrap_err().to_string(),
        format!(
            "{start} at {endpoint}: the connection was refused. Check that the farm runs (`shotput farm status`) or that the network is up, and try again; what is already there is not sent twice."
        )
    );
}

#[test]
fn a_busy_store_is_asked_three_times_more() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("a"), "a").unwrap();
    server.state().busy = 4;
    let text = send(&server, folder.path(), &UploadOptions::default()).unwrap_err().to_string();
    assert!(
        text.ends_with(
            ": Please reduce your request rate (SlowDown, HTTP 503). Try again later; what is already there is not sent \
             twice."
        ),
        "{text}"
    );
    server.state().busy = 3;
    assert_eq!(send(&server, folder.path(), &UploadOptions::default()).unwrap(), (1, 0));
}

#[test]
fn a_callback_or_the_token_cancels() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    files(folder.path(), 30);
    server.state().delay = Duration::from_millis(20);
    let manifest = manifest(folder.path());
    let reports = Mutex::new(0);
    let on_progress = |progress: Progress| {
        *reports.lock().unwrap() += 1;
        progress.processed_files < 3
    };
    let (destination, options) = (destination(server.access()), UploadOptions::default());
    let result =
        upload::upload_snapshot(folder.path(), &manifest, &destination, &options, Some(&on_progress), &token());
    let text = result.unwrap_err().to_string();
    assert!(text.starts_with("The upload was canceled after ") && text.ends_with(" of 30 files."), "{text}");
    assert!(server.state().objects.len() < 30);
    assert_eq!(*reports.lock().unwrap(), 3);
    // A dead server and a token from outside: the answer comes at once.
    server.state().delay = Duration::from_secs(60);
    let outside = token();
    let canceler = outside.clone();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        canceler.cancel();
    });
    let started = Instant::now();
    let result = upload::upload_snapshot(folder.path(), &manifest, &destination, &options, None, &outside);
    assert!(matches!(result, Err(CoreError::Canceled(_))));
    assert!(started.elapsed() < Duration::from_secs(30));
    thread.join().unwrap();
}

#[test]
fn progress_tells_real_figures() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    files(folder.path(), 5);
    let manifest = manifest(folder.path());
    let reports = Mutex::new(Vec::new());
    let on_progress = |progress: Progress| {
        reports.lock().unwrap().push(progress);
        true
    };
    let (destination, options) = (destination(server.access()), UploadOptions::default());
    for processed in [5, 0] {
        reports.lock().unwrap().clear();
        upload::upload_snapshot(folder.path(), &manifest, &destination, &options, Some(&on_progress), &token())
            .unwrap();
        let reports = reports.lock().unwrap();
        let last = reports.last().unwrap();
        assert_eq!((last.progress, last.processed_files, last.total_files), (100.0, processed, 5));
        assert_eq!(serde_json::to_value(last).unwrap()["status"], "UPLOAD_IN_PROGRESS");
        assert_eq!(last.transfer_rate > 0.0, processed > 0);
        assert!(last.progress_message.starts_with("Uploaded 45 B / 45 B of 5 files (Transfer rate: "), "{last:?}");
    }
}

/// Run by the next test in a process of its own, which is killed.
#[test]
fn killed_upload_child() {
    let Ok(text) = std::env::var("SHOTPUT_TEST_KILLED_UPLOAD") else { return };
    let (endpoint, folder) = text.split_once('|').unwrap();
    let access = S3Access::with_keys("us-west-2", Some(endpoint), "AKID", "secret", None);
    let folder = PathBuf::from(folder);
    let options = UploadOptions::default();
    let _ = upload::upload_snapshot(&folder, &manifest(&folder), &destination(access), &options, None, &token());
}

#[test]
fn after_a_kill_only_what_is_missing_is_sent() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    files(folder.path(), 150);
    let large = vec![3_u8; 70 * 1024 * 1024];
    std::fs::write(folder.path().join("large"), &large).unwrap();
    server.state().delay = Duration::from_millis(15);
    let run_until = |enough: &dyn Fn(&crate::attachments_server::State) -> bool| {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "attachments_upload::killed_upload_child"])
            .env("SHOTPUT_TEST_KILLED_UPLOAD", format!("{}|{}", server.endpoint(), folder.path().display()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while !enough(&server.state()) {
            assert!(started.elapsed() < Duration::from_secs(120), "the upload did not get there");
            std::thread::sleep(Duration::from_millis(2));
        }
        // SIGKILL on Unix.
        child.kill().unwrap();
        child.wait().unwrap();
        // What was on its way may still arrive.
        std::thread::sleep(Duration::from_millis(300));
        server.state().requests.clear();
    };
    run_until(&|state| state.objects.len() >= 40);
    let stored = server.state().objects.len();
    assert!((40..150).contains(&stored));
    run_until(&|state| state.uploads.values().any(|(_, parts)| !parts.is_empty()));
    assert_eq!(server.state().objects.len(), 150);
    let parts = server.state().uploads.values().next().unwrap().1.len();
    assert!((1..5).contains(&parts), "{parts}");
    assert_eq!(send(&server, folder.path(), &UploadOptions::default()).unwrap(), (1, 150));
    let state = server.state();
    assert_eq!((state.count("PUT"), state.count("PART "), state.count("CREATE")), (0, 5 - parts, 0));
    assert!(state.objects[&format!("Root/Data/{}.xxh128", hash_bytes(&large))].body == large);
}

#[test]
fn groups_hash_and_go_up_as_the_wire_has_them() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let folder = folder.path().canonicalize().unwrap();
    for path in ["proj/scene/a.blend", "proj/tex/t.png", "local/cache/c.vdb", "shared/s.hdr"] {
        std::fs::create_dir_all(folder.join(path).parent().unwrap()).unwrap();
        std::fs::write(folder.join(path), path).unwrap();
    }
    let locations = [
        Location { name: "Cache".into(), path: folder.join("local"), kind: LocationKind::Local },
        Location { name: "Show".into(), path: folder.join("shared"), kind: LocationKind::Shared },
    ];
    let references = References {
        input_files: ["proj/scene/a.blend", "local/cache/c.vdb", "shared/s.hdr"].map(|path| folder.join(path)).into(),
        input_directories: vec![folder.join("proj/tex")],
        output_directories: vec![folder.join("proj/renders/beauty"), folder.join("shared/out"), PathBuf::new()],
        referenced_paths: vec![folder.join("proj/missing.abc")],
    };
    let prepared = prepare(&references, &locations, true, &token()).unwrap();
    assert_eq!((prepared.total_files, prepared.groups.len()), (3, 2));
    let hashed = upload::hash(&prepared, None, None, &token()).unwrap();
    let history = folder.join("history");
    let options = UploadOptions { manifest_write_dir: Some(&history), ..UploadOptions::default() };
    let uploaded = upload::upload(&hashed, &destination(server.access()), &options, None, &token()).unwrap();
    let wire = &uploaded.attachments;
    assert_eq!(wire["fileSystem"], "COPIED");
    let (local, project) = (&wire["manifests"][0], &wire["manifests"][1]);
    assert_eq!(local["rootPath"], folder.join("local/cache").to_str().unwrap());
    assert_eq!(local["fileSystemLocationName"], "Cache");
    assert_eq!(project["rootPath"], folder.join("proj").to_str().unwrap());
    assert_eq!(project["rootPathFormat"], "posix");
    assert_eq!(project["outputRelativeDirectories"], serde_json::json!(["renders/beauty"]));
    assert_eq!(project.get("fileSystemLocationName"), None);
    let state = server.state();
    let path = project["inputManifestPath"].as_str().unwrap();
    let root = hash_bytes(project["rootPath"].as_str().unwrap().as_bytes());
    assert!(path.starts_with("farm-1/queue-1/Inputs/") && path.ends_with(&format!("/{root}_input")), "{path}");
    let stored = &state.objects[&format!("Root/Manifests/{path}")];
    assert_eq!(project["inputManifestHash"], hash_bytes(&stored.body));
    assert!(stored.metadata.is_empty());
    let manifest = Manifest::decode(&stored.body, path).unwrap();
    let paths: Vec<&str> = manifest.entries().iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["scene/a.blend", "tex/t.png"]);
    // A copy stays beside the bundle, and a list says where each went.
    let kept = history.join("manifests");
    assert_eq!(std::fs::read(kept.join(format!("{root}_input"))).unwrap(), stored.body);
    let list = std::fs::read_to_string(kept.join("manifest_s3_mapping")).unwrap();
    let line = format!("{{'local_file': '{root}_input', 's3_key': 'Root/Manifests/{path}'}}");
    assert_eq!((list.lines().count(), list.lines().last()), (2, Some(line.as_str())));
    // The manifests come after every object.
    let first = state.requests.iter().position(|request| request.contains("/Manifests/")).unwrap();
    assert!(state.requests[first..].iter().all(|request| request.contains("/Manifests/")), "{:?}", state.requests);
}

#[test]
fn missing_inputs_are_an_error_or_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let outside = outside.path().canonicalize().unwrap();
    std::fs::write(outside.join("secret"), "x").unwrap();
    std::fs::create_dir_all(folder.join("tex/sub")).unwrap();
    std::fs::write(folder.join("tex/t.png"), "t").unwrap();
    std::os::unix::fs::symlink("../t.png", folder.join("tex/sub/inside.png")).unwrap();
    std::os::unix::fs::symlink(outside.join("secret"), folder.join("tex/leads-out")).unwrap();
    std::os::unix::fs::symlink(&outside, folder.join("tex/folder")).unwrap();
    let references = References {
        input_files: vec![folder.join("gone.png")],
        input_directories: vec![folder.join("tex"), folder.join("none")],
        ..References::default()
    };
    let err = prepare(&references, &[], true, &token()).unwrap_err();
    let CoreError::MissingInputs { message, paths } = err else { panic!("{err}") };
    let folder_text = folder.display();
    assert_eq!(
        message,
        format!(
            "2 inputs are missing. Restore them, or take them out of the job's inputs:\n  {folder_text}/gone.png\n  \
             {folder_text}/none\nLinks lead out of their input folder. Name what they show as input files, or replace \
             them by copies:\n  {folder_text}/tex/leads-out -> {}/secret",
            outside.display()
        )
    );
    assert_eq!(paths, ["gone.png", "none", "tex/leads-out"].map(|path| folder.join(path)));
    let prepared = prepare(&references, &[], false, &token()).unwrap();
    assert_eq!(
        prepared.warnings,
        [
            format!("The link {folder_text}/tex/folder leads to a folder and is not followed."),
            format!("The input {folder_text}/gone.png does not exist and is not uploaded."),
            format!("The input {folder_text}/none does not exist and is not uploaded."),
            format!(
                "The link {folder_text}/tex/leads-out leads out of its input folder, to {}/secret, and is not uploaded.",
                outside.display()
            ),
        ]
    );
    let inputs: Vec<PathBuf> = prepared.groups[0].inputs.iter().map(|input| input.path.clone()).collect();
    assert_eq!(inputs, ["tex/sub/inside.png", "tex/t.png"].map(|path| folder.join(path)));
    let named = References { input_files: vec![folder.join("tex")], ..References::default() };
    let err = prepare(&named, &[], false, &token()).unwrap_err();
    assert_eq!(
        err.to_string(),
        format!("A folder is named as an input file. Name it as an input directory:\n  {folder_text}/tex")
    );
}

#[cfg(unix)]
#[test]
fn a_pipe_among_the_inputs_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let references = References { input_files: vec![pipe.clone()], ..References::default() };
    let err = prepare(&references, &[], false, &token()).unwrap_err();
    let CoreError::MissingInputs { message, paths } = err else { panic!("{err}") };
    assert_eq!(
        message,
        format!(
            "The input {} is no file but a pipe, socket or device. Take it out of the job's inputs.",
            pipe.display()
        )
    );
    assert_eq!(paths, [pipe]);
}
