//! A small S3 server for the tests: it counts requests and fails on demand, which a real store does not.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use shotput_core::attachments::s3::S3Access;

/// The one bucket.
pub const BUCKET: &str = "assets";

#[derive(Clone, Default)]
pub struct Object {
    pub body: Bytes,
    pub metadata: BTreeMap<String, String>,
}

#[derive(Default)]
pub struct State {
    pub objects: BTreeMap<String, Object>,
    /// Upload id → key and parts.
    pub uploads: BTreeMap<String, (String, BTreeMap<i32, Bytes>)>,
    /// `PUT key`, `HEAD key`, `LIST prefix`, `PART key number` … in the order of arrival.
    pub requests: Vec<String>,
    /// Every put is answered with this status and code.
    pub refuse_puts: Option<(u16, &'static str, &'static str)>,
    /// Somebody else ends the upload of the next part before it comes: completes it to this object, or aborts it.
    pub intruder: Option<Option<Object>>,
    /// Each put and part waits for this long.
    pub delay: Duration,
    /// Keys in one page of a listing.
    pub page: usize,
    /// So many requests are answered with "slow down".
    pub busy: usize,
    /// The account that the bucket must belong to, as each request names it.
    pub owners: Vec<Option<String>>,
    /// Requests under way, and the most that ever were.
    pub under_way: (usize, usize),
}

impl State {
    pub fn count(&self, kind: &str) -> usize {
        self.requests.iter().filter(|request| request.starts_with(kind)).count()
    }
}

pub struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Server {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let state = Arc::new(Mutex::new(State { page: 1000, ..State::default() }));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::clone(&state);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                let service = service_fn(move |request| {
                    let shared = Arc::clone(&shared);
                    async move {
                        match answer(&shared, request).await {
                            Some(response) => Ok::<_, Infallible>(response),
                            // The client went away.
                            None => std::future::pending().await,
                        }
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { address, state, runtime: Some(runtime) }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn access(&self) -> S3Access {
        S3Access::with_keys("us-west-2", Some(&self.endpoint()), "AKIDEXAMPLE", "secret", Some("token"))
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn reply(status: u16, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::new(body.into())).unwrap()
}

fn refusal(status: u16, code: &str, message: &str) -> Response<Full<Bytes>> {
    reply(status, format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"))
}

fn tag(body: &[u8]) -> String {
    format!("\"{}\"", shotput_core::attachments::hash::hash_bytes(body))
}

async fn answer(state: &Mutex<State>, request: Request<Incoming>) -> Option<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let signed =
        parts.headers.get("authorization").is_some_and(|value| value.as_bytes().starts_with(b"AWS4-HMAC-SHA256"));
    if !signed {
        return Some(refusal(403, "AccessDenied", "Access Denied."));
    }
    let path = percent_decode(parts.uri.path().trim_start_matches('/'));
    let (bucket, key) = path.split_once('/').map_or((path.as_str(), ""), |(bucket, key)| (bucket, key));
    if bucket != BUCKET {
        return Some(refusal(404, "NoSuchBucket", "The specified bucket does not exist."));
    }
    let query: HashMap<String, String> = parts
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), percent_decode(value)))
        .collect();
    let owner = parts.headers.get("x-amz-expected-bucket-owner").map(|owner| owner.to_str().unwrap().to_owned());
    {
        let mut state = state.lock().unwrap();
        state.owners.push(owner);
        let now = state.under_way.0 + 1;
        state.under_way = (now, state.under_way.1.max(now));
    }
    let body = body.collect().await.ok()?.to_bytes();
    let delay = state.lock().unwrap().delay;
    if parts.method == Method::PUT && !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let mut state = state.lock().unwrap();
    state.under_way.0 -= 1;
    if state.busy > 0 {
        state.busy -= 1;
        return Some(refusal(503, "SlowDown", "Please reduce your request rate."));
    }
    Some(route(&mut state, &parts.method, key, &query, &parts.headers, body))
}

fn route(
    state: &mut State,
    method: &Method,
    key: &str,
    query: &HashMap<String, String>,
    headers: &HeaderMap,
    body: Bytes,
) -> Response<Full<Bytes>> {
    let upload = query.get("uploadId").cloned();
    let note = |state: &mut State, text: String| state.requests.push(text);
    match (method, upload) {
        (&Method::PUT, Some(id)) => {
            let number: i32 = query["partNumber"].parse().unwrap();
            note(state, format!("PART {key} {number}"));
            if let Some((status, code, message)) = state.refuse_puts {
                return refusal(status, code, message);
            }
            if let Some(completed) = state.intruder.take() {
                state.uploads.remove(&id);
                state.objects.extend(completed.map(|object| (key.to_owned(), object)));
            }
            let tag = tag(&body);
            let Some((_, parts)) = state.uploads.get_mut(&id) else { return refusal(404, "NoSuchUpload", "Gone.") };
            parts.insert(number, body);
            with_tag(&tag)
        }
        (&Method::PUT, None) => {
            note(state, format!("PUT {key}"));
            if let Some((status, code, message)) = state.refuse_puts {
                return refusal(status, code, message);
            }
            if headers.contains_key("if-none-match") && state.objects.contains_key(key) {
                return refusal(
                    412,
                    "PreconditionFailed",
                    "At least one of the pre-conditions you specified did not hold.",
                );
            }
            let metadata = headers
                .iter()
                .filter_map(|(name, value)| {
                    let name = name.as_str().strip_prefix("x-amz-meta-")?;
                    Some((name.to_owned(), value.to_str().unwrap().to_owned()))
                })
                .collect();
            let tag = tag(&body);
            state.objects.insert(key.into(), Object { body, metadata });
            with_tag(&tag)
        }
        (&Method::HEAD, _) => {
            note(state, format!("HEAD {key}"));
            reply(if state.objects.contains_key(key) { 200 } else { 404 }, "")
        }
        (&Method::GET, Some(id)) => {
            note(state, format!("PARTS {key}"));
            let Some((_, parts)) = state.uploads.get(&id) else { return refusal(404, "NoSuchUpload", "Gone.") };
            let items: String = parts
                .iter()
                .map(|(number, body)| {
                    format!(
                        "<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag><Size>{}</Size></Part>",
                        tag(body),
                        body.len()
                    )
                })
                .collect();
            reply(200, format!("<ListPartsResult><IsTruncated>false</IsTruncated>{items}</ListPartsResult>"))
        }
        (&Method::GET, None) if key.is_empty() && query.contains_key("uploads") => {
            note(state, format!("UPLOADS {}", query["prefix"]));
            let items: String = state
                .uploads
                .iter()
                .filter(|(_, (key, _))| key.starts_with(&query["prefix"]))
                .map(|(id, (key, _))| {
                    format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId><Initiated>2026-01-01T00:00:00Z</Initiated></Upload>")
                })
                .collect();
            reply(200, format!("<ListMultipartUploadsResult>{items}</ListMultipartUploadsResult>"))
        }
        (&Method::GET, None) if key.is_empty() => list(state, query),
        (&Method::GET, None) => {
            note(state, format!("GET {key}"));
            let Some(object) = state.objects.get(key) else {
                return refusal(404, "NoSuchKey", "The specified key does not exist.");
            };
            let start = headers.get("range").and_then(|range| {
                range.to_str().ok()?.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok()
            });
            let status = if start.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
            let mut builder = Response::builder().status(status);
            for (name, value) in &object.metadata {
                builder = builder.header(format!("x-amz-meta-{name}"), value);
            }
            builder.body(Full::new(object.body.slice(start.unwrap_or(0).min(object.body.len())..))).unwrap()
        }
        (&Method::POST, None) => {
            note(state, format!("CREATE {key}"));
            let id = format!("upload-{}", state.requests.len());
            state.uploads.insert(id.clone(), (key.into(), BTreeMap::new()));
            let result = "InitiateMultipartUploadResult";
            reply(200, format!("<{result}><UploadId>{id}</UploadId></{result}>"))
        }
        (&Method::POST, Some(id)) => {
            note(state, format!("COMPLETE {key}"));
            let Some((key, parts)) = state.uploads.remove(&id) else { return refusal(404, "NoSuchUpload", "Gone.") };
            let body: Vec<u8> = parts.into_values().flat_map(|part| part.to_vec()).collect();
            state.objects.insert(key, Object { body: body.into(), ..Object::default() });
            reply(200, "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")
        }
        (&Method::DELETE, Some(id)) => {
            note(state, format!("ABORT {key}"));
            state.uploads.remove(&id);
            reply(204, "")
        }
        _ => refusal(501, "NotImplemented", "Not here."),
    }
}

fn with_tag(tag: &str) -> Response<Full<Bytes>> {
    Response::builder().header("etag", tag).body(Full::default()).unwrap()
}

fn list(state: &mut State, query: &HashMap<String, String>) -> Response<Full<Bytes>> {
    let prefix = query.get("prefix").cloned().unwrap_or_default();
    state.requests.push(format!("LIST {prefix}"));
    let after = query.get("continuation-token").cloned().unwrap_or_default();
    let mut keys = state.objects.keys().filter(|key| key.starts_with(&prefix) && **key > after);
    let page: Vec<&String> = keys.by_ref().take(state.page).collect();
    let mut text = String::from("<ListBucketResult>");
    for key in &page {
        text.push_str(&format!("<Contents><Key>{key}</Key></Contents>"));
    }
    if let (Some(last), true) = (page.last(), keys.next().is_some()) {
        text.push_str(&format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{last}</NextContinuationToken>"));
    }
    text.push_str("</ListBucketResult>");
    reply(200, text)
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}
