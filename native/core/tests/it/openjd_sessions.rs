//! Sessions without Python: events in order, the queue bounded, processes gone.

use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};
use shotput_core::openjd::job::{self, Job, PathOptions};
use shotput_core::openjd::sessions::{
    ActionState, CancelRequest, Event, Session, SessionOptions, Sink, TaskRun, find_orphans,
};
use shotput_core::openjd::template::JobTemplate;
use shotput_core::{CoreError, Result};

fn job(on_run: Value, environments: Value) -> Job {
    let document = json!({
        "specificationVersion": "jobtemplate-2023-09",
        "name": "job",
        "jobEnvironments": environments,
        "steps": [{"name": "step", "script": {"actions": {"onRun": on_run}}}],
    });
    let template = JobTemplate::decode(document).unwrap();
    job::create_job(&template, &Map::new(), &[], &PathOptions::default()).unwrap()
}

fn shell(script: &str) -> Value {
    json!({"command": "/bin/sh", "args": ["-c", script]})
}

fn open(id: &str, root: &tempfile::TempDir, sink: Option<Sink>) -> Result<Session> {
    Session::new(SessionOptions {
        session_id: id.into(),
        parameters: Default::default(),
        path_mapping_rules: Vec::new(),
        session_root: Some(root.path().into()),
        environment: Vec::new(),
        retain_working_dir: false,
        low_priority: false,
        marker: None,
        sink,
    })
}

fn recording() -> (Arc<Mutex<Vec<Event>>>, Sink) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&events);
    (events, Box::new(move |batch| theirs.lock().unwrap().extend(batch)))
}

#[test]
fn statuses_come_in_order_with_the_log() {
    let root = tempfile::tempdir().unwrap();
    let (events, sink) = recording();
    let session = open("core-order", &root, Some(sink)).unwrap();
    let job =
        job(shell("echo one; echo openjd_progress: 5; echo two"), json!([{"name": "e", "variables": {"A": "1"}}]));
    let statuses = session.run_tasks(job.steps()[0].script(), &[TaskRun::default(), TaskRun::default()]).unwrap();
    assert_eq!(statuses.iter().map(|status| status.state).collect::<Vec<_>>(), [ActionState::Success; 2]);
    session.flush();
    let told: Vec<String> = events
        .lock()
        .unwrap()
        .iter()
        .filter_map(|event| match event {
            Event::Status(status) => Some(format!("{:?} {:?}", status.state, status.progress)),
            Event::Log(line) if line.action > 0 && line.message.len() == 3 => Some(line.message.clone()),
            Event::Log(_) => None,
        })
        .collect();
    let task = ["Running None", "one", "Running Some(5.0)", "two", "Success Some(5.0)"];
    assert_eq!(told, [task, task].concat());
    session.close().unwrap();
}

#[test]
fn a_sink_that_panics_does_not_hold_the_session() {
    let root = tempfile::tempdir().unwrap();
    let session = open("core-panic", &root, Some(Box::new(|_| panic!("no")))).unwrap();
    let job = job(shell("seq 1 20000"), json!([{"name": "e", "variables": {"A": "1"}}]));
    let status = session.run_task(job.steps()[0].script(), TaskRun::default()).unwrap();
    assert_eq!(status.state, ActionState::Success);
    session.close().unwrap();
}

#[test]
fn a_dropped_session_leaves_no_folder_and_no_process() {
    let root = tempfile::tempdir().unwrap();
    let session = open("core-dropped", &root, None).unwrap();
    // What is still in the group when the action ends is killed with it, so the child says when it has left.
    let leaves = "setsid sh -c ': > left; sleep 300; :' >/dev/null 2>&1 & \
                  n=0; until [ -e left ] || [ $((n += 1)) -gt 500 ]; do sleep 0.01; done";
    let job = job(shell(leaves), json!([{"name": "e", "variables": {"A": "1"}}]));
    session.run_task(job.steps()[0].script(), TaskRun::default()).unwrap();
    if cfg!(target_os = "linux") {
        assert_ne!(find_orphans("core-dropped"), Vec::<u32>::new());
    }
    drop(session);
    assert_eq!(find_orphans("core-dropped"), Vec::<u32>::new());
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn closing_kills_what_runs() {
    let root = tempfile::tempdir().unwrap();
    let (events, sink) = recording();
    let session = Arc::new(open("core-closing", &root, Some(sink)).unwrap());
    let job = job(shell("trap '' TERM; echo going; sleep 300"), json!([{"name": "e", "variables": {"A": "1"}}]));
    let theirs = Arc::clone(&session);
    let script = job.steps()[0].script().clone();
    let runner = std::thread::spawn(move || theirs.run_task(&script, TaskRun::default()));
    let going = |event: &Event| matches!(event, Event::Log(line) if line.message == "going");
    while !events.lock().unwrap().iter().any(going) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    session.close().unwrap();
    assert_eq!(runner.join().unwrap().unwrap().state, ActionState::Canceled);
    assert!(!session.cancel(CancelRequest::default()));
    let again = session.run_task(job.steps()[0].script(), TaskRun::default());
    assert!(
        matches!(again, Err(CoreError::Session(text)) if text == "The session 'core-closing' is closed. Make another one.")
    );
}
