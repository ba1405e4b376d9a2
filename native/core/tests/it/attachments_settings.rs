//! What settings and accounts change in the requests that are sent.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use shotput_core::attachments::download::Conflict;
use shotput_core::attachments::outputs::{self, OutputRequest, Scope};
use shotput_core::attachments::s3::{Limits, S3Access};
use shotput_core::attachments::upload::{self, Destination, UploadOptions};
use tokio_util::sync::CancellationToken;

use crate::attachments_server::{BUCKET, Server};

const MIB: usize = 1024 * 1024;

fn send(access: S3Access, folder: &Path) {
    let token = CancellationToken::new();
    let manifest = upload::snapshot(folder, None, None, None, &token).unwrap().0.unwrap();
    let destination = Destination {
        access,
        bucket: BUCKET.into(),
        root_prefix: "Root".into(),
        data_prefix: None,
        farm_id: "farm-1".into(),
        queue_id: "queue-1".into(),
    };
    upload::upload_snapshot(folder, &manifest, &destination, &UploadOptions::default(), None, &token).unwrap();
    let root = Some((folder.to_str().unwrap(), ""));
    let path = "farm-1/queue-1/job-1/step-1/task-1/t_sessionaction-1-0/abc_output";
    upload::upload_manifest(&manifest, path, root, &destination, &token).unwrap();
}

fn fetch(access: S3Access, folder: &Path) {
    let scope = Scope {
        farm_id: "farm-1".into(),
        queue_id: "queue-1".into(),
        job_id: "job-1".into(),
        step_id: None,
        task_id: None,
    };
    let request = OutputRequest {
        access,
        bucket: BUCKET.into(),
        root_prefix: "Root".into(),
        scope,
        root_map: BTreeMap::new(),
        rules: None,
        conflict: Conflict::Overwrite,
    };
    let count = folder.read_dir().unwrap().count();
    for file in folder.read_dir().unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    let done = outputs::download(&request, None, &CancellationToken::new()).unwrap();
    assert_eq!(done.files.len(), count);
}

fn small_and_large(folder: &Path) {
    for index in 0..30 {
        std::fs::write(folder.join(format!("f{index}")), format!("content {index}")).unwrap();
    }
    std::fs::write(folder.join("medium"), vec![5; 9 * MIB]).unwrap();
    std::fs::write(folder.join("large"), vec![7; 40 * MIB]).unwrap();
}

#[test]
fn every_request_names_the_account_that_the_bucket_must_belong_to() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    small_and_large(folder.path());
    let access = S3Access { expected_bucket_owner: Some("123456789012".into()), ..server.access() };
    send(access.clone(), folder.path());
    fetch(access, folder.path());
    let state = server.state();
    for kind in ["PUT", "PART", "CREATE", "COMPLETE", "UPLOADS", "LIST", "GET"] {
        assert!(state.count(kind) > 0, "no {kind} was sent");
    }
    let others: Vec<_> = state.owners.iter().filter(|owner| owner.as_deref() != Some("123456789012")).collect();
    assert!(others.is_empty(), "{} of {} requests name no owner", others.len(), state.owners.len());
}

#[test]
fn no_more_connections_than_the_setting_allows() {
    for (connections, allowed) in [(Some(1), 1), (Some(3), 3), (Some(0), 1), (None, 12)] {
        let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
        server.state().delay = Duration::from_millis(5);
        small_and_large(folder.path());
        let access = S3Access { limits: Limits::new(connections, None), ..server.access() };
        send(access.clone(), folder.path());
        fetch(access, folder.path());
        let most = server.state().under_way.1;
        assert!((1..=allowed).contains(&most), "{connections:?} allows {allowed}, and {most} were under way");
        assert!(connections == Some(1) || connections == Some(0) || most > 1);
    }
}

#[test]
fn the_setting_says_which_files_are_small() {
    // Multiples of 8 MiB. Beyond 16 MiB a file goes in parts whatever the setting says: memory is bounded.
    for (multiplier, parts) in [(None, 3), (Some(20), 3), (Some(2), 3), (Some(1), 4), (Some(0), 4)] {
        let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
        small_and_large(folder.path());
        for index in 0..30 {
            std::fs::remove_file(folder.path().join(format!("f{index}"))).unwrap();
        }
        send(S3Access { limits: Limits::new(None, multiplier), ..server.access() }, folder.path());
        assert_eq!(server.state().count("PART "), parts, "{multiplier:?}");
    }
}

#[test]
fn limits_are_those_of_the_official_client_when_nobody_set_them() {
    assert_eq!(Limits::new(None, None), Limits { connections: 50, small_file: 167_772_160 });
}
