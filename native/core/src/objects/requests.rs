//! A request and its body, read to its end before the answer goes out.
//!
//! What is refused by its headers is answered before its body was read. A connection on which bytes are left cannot carry
//! a further request, so it is closed, and bytes that arrive at a closed connection reset it: a client that was still
//! writing may lose the answer and see a broken connection in place of the reason.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use s3s::service::S3Service;
use s3s::{HttpError, HttpRequest, HttpResponse};

/// Of a body that nobody wants, so much is read; a larger one costs more than the connection.
const READ_ON: u64 = 8 * 1024 * 1024;
const READ_ON_FOR: Duration = Duration::from_secs(5);

/// The service's answer to a request.
pub(super) async fn answer(service: S3Service, request: http::Request<Incoming>) -> Result<HttpResponse, HttpError> {
    if request.body().is_end_stream() {
        return service.call(request.map(s3s::Body::from)).await;
    }
    let expects = request.headers().contains_key(EXPECT);
    let (parts, body) = request.into_parts();
    let mut rest = Rest(Arc::new(Mutex::new(State { body, asked_for: false })));
    let request = HttpRequest::from_parts(parts, s3s::Body::http_body(rest.clone()));
    let answer = service.call(request).await;
    // A client that waits for "100 Continue" has sent nothing yet, and a look at the body would send for it.
    if !expects || rest.state().asked_for {
        let _ = tokio::time::timeout(READ_ON_FOR, rest.read_on()).await;
    }
    answer
}

/// A body that can still be read when the service has dropped it.
#[derive(Clone)]
struct Rest(Arc<Mutex<State>>);

struct State {
    body: Incoming,
    asked_for: bool,
}

impl Rest {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    async fn read_on(&mut self) {
        let mut unwanted = 0;
        while let Some(Ok(frame)) = self.frame().await {
            unwanted += frame.data_ref().map_or(0, |data| data.len() as u64);
            if unwanted > READ_ON {
                return;
            }
        }
    }
}

impl Body for Rest {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut state = self.state();
        state.asked_for = true;
        Pin::new(&mut state.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.state().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.state().body.size_hint()
    }
}
