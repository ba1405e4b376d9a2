//! The HTTP server: its own thread, its own runtime, loopback only.

use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::access::{AccessKey, Keys};
use super::requests;
use super::service::Service;
use super::store::Store;
use super::uploads::Uploads;
use crate::{CoreError, Result};

/// Requests that are under way when the store closes get this long.
const GRACE: Duration = Duration::from_secs(3);
/// Read buffer of a connection: fewer system calls for large bodies than hyper's default.
const READ_BUFFER: usize = 1024 * 1024;

/// An object store: a folder behind the S3 protocol.
///
/// It serves from [`start`](Self::start) to [`close`](Self::close), on threads of its own, all of which have ended when
/// `close` or the drop returns.
pub struct ObjectStore {
    root: PathBuf,
    host: String,
    port: u16,
    keys: Keys,
    buckets: Mutex<Vec<String>>,
    running: Mutex<Option<Running>>,
}

struct Running {
    address: SocketAddr,
    store: Arc<Store>,
    stop: CancellationToken,
    thread: JoinHandle<()>,
}

impl ObjectStore {
    /// A store that is not served yet.
    ///
    /// `host` is a loopback address or `localhost`; `port` 0 takes any free one.
    #[must_use]
    pub fn new(root: &Path, host: &str, port: u16) -> Self {
        Self {
            root: root.to_owned(),
            host: host.to_owned(),
            port,
            keys: Keys::default(),
            buckets: Mutex::default(),
            running: Mutex::default(),
        }
    }

    /// Opens the folder and serves it. Does nothing when it is served already.
    ///
    /// # Errors
    ///
    /// `ObjectStore` when the folder cannot be used, when another process serves it, when the address is not a loopback
    /// address, or when the port is in use.
    pub fn start(&self) -> Result<()> {
        let mut running = self.running();
        if running.is_some() {
            return Ok(());
        }
        let address = loopback(&self.host, self.port)?;
        let listener = TcpListener::bind(address).map_err(|err| match err.kind() {
            std::io::ErrorKind::AddrInUse => CoreError::ObjectStore(format!(
                "The object store cannot listen on {address}: the port is in use. \
                 Stop the program that uses it, or choose another port (0 takes any free one)."
            )),
            _ => CoreError::ObjectStore(format!(
                "The object store cannot listen on {address}: {err}. Choose another port."
            )),
        })?;
        let failed =
            |err: std::io::Error| CoreError::ObjectStore(format!("The object store cannot start: {err}. Try again."));
        let address = listener.local_addr().map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let store = Arc::new(Store::open(&self.root)?);
        for bucket in self.buckets().iter() {
            create_bucket(&store, bucket)?;
        }
        let service = service(&store, &self.keys);
        let runtime = runtime().map_err(failed)?;
        let stop = CancellationToken::new();
        let token = stop.clone();
        let thread = std::thread::Builder::new().name("shotput-objects".into()).spawn(move || {
            runtime.block_on(serve(listener, service, token));
            runtime.shutdown_timeout(GRACE);
        });
        let thread = thread.map_err(failed)?;
        *running = Some(Running { address, store, stop, thread });
        Ok(())
    }

    /// Where the store is served, e.g. `http://127.0.0.1:38127`.
    ///
    /// # Errors
    ///
    /// `ObjectStore` when it is not served.
    pub fn endpoint(&self) -> Result<String> {
        match &*self.running() {
            Some(running) => Ok(format!("http://{}", running.address)),
            None => Err(CoreError::ObjectStore("The object store is not running: call start() first.".into())),
        }
    }

    /// Lets an access key in, from now on, and makes its bucket. Replaces a key of that id.
    ///
    /// # Errors
    ///
    /// `ObjectStore` when the bucket's name is not one of S3, or its folder cannot be made.
    pub fn add_credentials(&self, access_key_id: &str, key: AccessKey) -> Result<()> {
        if !s3s::path::check_bucket_name(&key.bucket) {
            return Err(CoreError::ObjectStore(format!(
                "{:?} is not a bucket name: use 3 to 63 lower-case letters, digits, dots and hyphens.",
                key.bucket
            )));
        }
        {
            let mut buckets = self.buckets();
            if !buckets.contains(&key.bucket) {
                buckets.push(key.bucket.clone());
            }
        }
        if let Some(running) = &*self.running() {
            create_bucket(&running.store, &key.bucket)?;
        }
        self.keys.add(access_key_id.to_owned(), key);
        Ok(())
    }

    /// Shuts an access key out, from now on; false when there is none of that id.
    pub fn remove_credentials(&self, access_key_id: &str) -> bool {
        self.keys.remove(access_key_id)
    }

    /// Ends serving: requests that are under way get three seconds. Does nothing when it is not served.
    pub fn close(&self) {
        let running = self.running().take();
        if let Some(running) = running {
            running.stop.cancel();
            // A panic of the thread has been reported by itself.
            let _ = running.thread.join();
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn buckets(&self) -> MutexGuard<'_, Vec<String>> {
        self.buckets.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for ObjectStore {
    fn drop(&mut self) {
        self.close();
    }
}

fn create_bucket(store: &Store, bucket: &str) -> Result<()> {
    store.create_bucket(bucket).map_err(|err| {
        CoreError::ObjectStore(format!(
            "Cannot create the bucket {bucket} in {}: {err}. Check the folder's permissions and the free space.",
            store.root().display()
        ))
    })
}

fn loopback(host: &str, port: u16) -> Result<SocketAddr> {
    let addresses = (host, port).to_socket_addrs();
    let address = addresses.ok().and_then(|mut addresses| addresses.find(|address| is_loopback(address.ip())));
    address.ok_or_else(|| {
        CoreError::ObjectStore(format!(
            "The object store listens on loopback only, and {host:?} is not: use 127.0.0.1."
        ))
    })
}

fn is_loopback(address: IpAddr) -> bool {
    address.is_loopback()
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    // File calls are made on these threads, so there are more of them than cores: one that waits for the disk does not
    // hold up the others.
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads((cores * 2).clamp(4, 16))
        .thread_name("shotput-objects")
        .thread_stack_size(4 * 1024 * 1024)
        .enable_all()
        .build()
}

fn service(store: &Arc<Store>, keys: &Keys) -> S3Service {
    let uploads = Uploads::open(Arc::clone(store));
    let mut builder = S3ServiceBuilder::new(Service::new(Arc::clone(store), uploads));
    builder.set_auth(keys.clone());
    builder.set_access(keys.clone());
    builder.build()
}

async fn serve(listener: TcpListener, service: S3Service, stop: CancellationToken) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(err) => {
            tracing::error!(%err, "the object store's socket cannot be used");
            return;
        }
    };
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, service.clone(), stop.clone()));
            }
            Err(err) => {
                // Out of file descriptors, most likely: those that are open will end.
                tracing::warn!(%err, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    connections.close();
    let _ = tokio::time::timeout(GRACE, connections.wait()).await;
}

async fn connection(stream: tokio::net::TcpStream, service: S3Service, stop: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let connection = hyper::server::conn::http1::Builder::new()
        .max_buf_size(READ_BUFFER)
        .serve_connection(TokioIo::new(stream), service_fn(move |request| requests::answer(service.clone(), request)));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(err) = ended {
        tracing::debug!(%err, "a connection ended early");
    }
}
