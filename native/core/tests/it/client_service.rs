//! The service client against a real server on this machine.

use std::time::{Duration, Instant};

use serde_json::json;
use shotput_core::CoreError;
use shotput_core::credentials::Target;
use shotput_core::service::{QueueRole, Service, block_on};
use tokio_util::sync::CancellationToken;

use crate::client_server::{Answer, Server};

const AT_ONCE: Duration = Duration::ZERO;

fn call<T>(target: &Target, work: impl AsyncFnOnce(Service) -> shotput_core::Result<T>) -> shotput_core::Result<T> {
    block_on(&CancellationToken::new(), async { work(Service::connect(target).await?).await })
}

#[test]
fn the_wire_comes_back_with_nothing_lost() {
    // A union with two members, an unknown enumeration and a number where text belongs: the typed client refuses or
    // drops them.
    let body =
        r#"{"jobId":"job-1","parameters":{"A":{"int":"1","later":"2"}},"taskRunStatus":"DANCING","new":[1,null]}"#;
    let server = Server::start(&[("/jobs/job-1", Answer(200, body, AT_ONCE))]);
    let job = call(&server.target(), async |service| service.get_job("farm-1", "queue-1", "job-1").await).unwrap();
    assert_eq!(job, serde_json::from_str::<serde_json::Value>(body).unwrap());
}

#[test]
fn an_empty_answer_is_an_empty_object() {
    let server = Server::start(&[("PATCH", Answer(200, "", AT_ONCE))]);
    let answer = call(&server.target(), async |service| {
        service.update_task("farm-1", "queue-1", "job-1", "step-1", "task-1", "READY").await
    });
    assert_eq!(answer.unwrap(), json!({}));
}

#[test]
fn pages_are_drained() {
    let server = Server::start(&[
        ("nextToken=second", Answer(200, r#"{"steps":[{"stepId":"b"}],"nextToken":""}"#, AT_ONCE)),
        ("/steps", Answer(200, r#"{"steps":[{"stepId":"a"}],"nextToken":"second"}"#, AT_ONCE)),
    ]);
    let steps = call(&server.target(), async |service| service.list_steps("farm-1", "queue-1", "job-1").await);
    assert_eq!(steps.unwrap(), json!({"steps": [{"stepId": "a"}, {"stepId": "b"}]}));
    assert_eq!(server.lines().len(), 2);
}

#[test]
fn a_canceled_call_ends_at_once() {
    let server = Server::start(&[("/farms", Answer(200, "{}", Duration::from_secs(20)))]);
    let token = CancellationToken::new();
    let canceler = token.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        canceler.cancel();
    });
    let started = Instant::now();
    let target = server.target();
    let err = block_on(&token, async { Service::connect(&target).await?.list_farms().await }).unwrap_err();
    assert!(matches!(err, CoreError::Canceled(_)), "{err:?}");
    assert_eq!(err.to_string(), "The call was canceled.");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn names_below_localhost_are_this_machine() {
    let server = Server::start(&[("/farms", Answer(200, r#"{"farms":[]}"#, AT_ONCE))]);
    for host in ["localhost", "farm.localhost", "a.b.localhost", "LOCALHOST", "localhost."] {
        let target = Target { endpoint_url: Some(format!("http://{host}:{}", server.port)), ..server.target() };
        call(&target, async |service| service.list_farms().await).unwrap_or_else(|err| panic!("{host}: {err}"));
    }
    let hosts: Vec<String> = server.asked().iter().map(|asked| asked.headers["host"].clone()).collect();
    assert_eq!(hosts[0], format!("management.localhost:{}", server.port));
    assert_eq!(hosts[1], format!("management.farm.localhost:{}", server.port));
}

#[test]
fn the_host_is_kept_when_the_target_says_so() {
    let server = Server::start(&[("/farms", Answer(200, "{}", AT_ONCE))]);
    let target = Target { keep_host: true, ..server.target() };
    call(&target, async |service| service.list_farms().await).unwrap();
    assert_eq!(server.asked()[0].headers["host"], format!("localhost:{}", server.port));
}

#[test]
fn a_role_is_asked_for_again_from_another_runtime() {
    let credentials = r#"{"credentials":{"accessKeyId":"ASIA","secretAccessKey":"s","sessionToken":"t",
        "expiration":"2020-01-01T00:00:00Z"}}"#;
    let server = Server::start(&[("/user-roles", Answer(200, credentials, AT_ONCE))]);
    let target = server.target();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let role = runtime.block_on(async {
        let service = Service::connect(&target).await.unwrap();
        let role = QueueRole::new(&service, "farm-1", "queue-1", "Queue", false);
        role.credentials().await.unwrap();
        role
    });
    // The first runtime still holds its connection, and nobody drives it.
    let started = Instant::now();
    block_on(&CancellationToken::new(), role.credentials()).unwrap();
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(server.lines().len(), 2);
    drop(runtime);
}

#[test]
fn keys_do_not_show_in_debug_output() {
    let target = Target {
        access_key_id: Some("AKIA".into()),
        secret_access_key: Some("hidden-secret".into()),
        session_token: Some("hidden-token".into()),
        ..Target::default()
    };
    let text = format!("{target:?}");
    assert!(text.contains("AKIA"));
    assert!(!text.contains("hidden"), "{text}");
}
