//! A small HTTP server for the tests of the service client: it answers by path and keeps what it was asked.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use shotput_core::credentials::Target;

/// What came in: method, path with query, headers, body.
#[derive(Debug, Clone)]
pub struct Asked {
    pub line: String,
    pub headers: BTreeMap<String, String>,
}

/// An answer: status, body, and how long it takes.
#[derive(Debug, Clone)]
pub struct Answer(pub u16, pub &'static str, pub Duration);

/// A running server. It ends with its runtime, on drop.
pub struct Server {
    pub port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    /// Answers requests whose line (`GET /path?query`) holds a key of `answers`; others get 404.
    pub fn start(answers: &[(&'static str, Answer)]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(answers.to_vec());
        let log = asked.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answers, log) = (answers.clone(), log.clone());
                let handler = service_fn(move |request| answer(request, answers.clone(), log.clone()));
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), handler);
                tokio::spawn(async move {
                    // A client that goes away in the middle is part of the tests.
                    let _ = connection.await;
                });
            }
        });
        Self { port, asked, _runtime: runtime }
    }

    /// A target that leads here.
    pub fn target(&self) -> Target {
        Target {
            farm_id: "farm-1".into(),
            queue_id: "queue-1".into(),
            region: "us-west-2".into(),
            endpoint_url: Some(format!("http://localhost:{}", self.port)),
            access_key_id: Some("AKIATEST".into()),
            secret_access_key: Some("secret".into()),
            ..Target::default()
        }
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The lines of all requests so far.
    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

async fn answer(
    request: Request<Incoming>,
    answers: Arc<Vec<(&'static str, Answer)>>,
    log: Arc<Mutex<Vec<Asked>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let line = format!("{} {}", request.method(), request.uri());
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = request.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let _ = request.into_body().collect().await;
    log.lock().unwrap().push(Asked { line: line.clone(), headers });
    let missing = Answer(404, r#"{"__type":"ResourceNotFoundException","message":"nothing"}"#, Duration::ZERO);
    let found = answers.iter().find(|(key, _)| line.contains(key)).map_or(missing, |(_, answer)| answer.clone());
    tokio::time::sleep(found.2).await;
    let response = Response::builder().status(found.0).header("content-type", "application/json");
    Ok(response.body(Full::new(Bytes::from_static(found.1.as_bytes()))).unwrap())
}
