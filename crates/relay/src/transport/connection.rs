//! Connections: accepted within a bound, closed when silent or stalled, and each with its own memory of proven tokens.

use std::{convert::Infallible, sync::Arc};

use hyper::{
    rt::{Read, Write},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{bodies::Untaken, respond::Transports};
use crate::{app::App, authentication::ConnectionTokens, limits, tasks::Tasks};

/// What the requests of one connection share. It has its place among the connections for as long as anyone holds this.
pub(crate) struct Connection {
    pub(super) tokens: ConnectionTokens,
    pub(super) untaken: Arc<Untaken>,
    pub(super) first_request: Notify,
    _place: OwnedSemaphorePermit,
    _task: TaskTrackerToken,
}

impl Connection {
    fn new(place: OwnedSemaphorePermit, tasks: &Tasks) -> Self {
        Self {
            tokens: ConnectionTokens::default(),
            untaken: Arc::default(),
            first_request: Notify::new(),
            _place: place,
            _task: tasks.token(),
        }
    }

    /// A connection without a client.
    #[cfg(test)]
    pub(super) fn for_test(tasks: &Tasks) -> Self {
        Self::new(Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap(), tasks)
    }
}

/// Accepts connections until the relay stops.
pub(crate) async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, app: Arc<App>) {
    let places = Arc::new(Semaphore::new(limits::CONNECTIONS));
    let tasks = app.tasks.clone();
    let transports = Arc::new(Transports::new(app));
    while let Some(accepted) = tasks.stopping().run_until_cancelled(accept(&listener, &places)).await {
        let Some((stream, place)) = accepted else { continue };
        let connection = Arc::new(Connection::new(place, &tasks));
        tasks.spawn(serve_stream(Arc::clone(&transports), tls.clone(), stream, connection));
    }
}

/// The next connection, once there is a place for it.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!(%error, "connection not accepted");
            tokio::time::sleep(limits::ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn serve_stream(
    transports: Arc<Transports>,
    tls: Option<TlsAcceptor>,
    stream: TcpStream,
    connection: Arc<Connection>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    match tls {
        None => serve_http(transports, TokioIo::new(stream), connection).await,
        Some(acceptor) => match timeout(limits::TLS_TIMEOUT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => serve_http(transports, TokioIo::new(stream), connection).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        },
    }
}

async fn serve_http<IO>(transports: Arc<Transports>, io: IO, connection: Arc<Connection>)
where
    IO: Read + Write + Unpin + Send + 'static,
{
    let tasks = transports.app.tasks.clone();
    let service = service_fn(|request| {
        connection.first_request.notify_one();
        let (transports, connection) = (Arc::clone(&transports), Arc::clone(&connection));
        async move { Ok::<_, Infallible>(transports.respond(&connection, request).await) }
    });
    let builder = builder(&tasks);
    let mut serving = std::pin::pin!(builder.serve_connection_with_upgrades(io, service));
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = tasks.stopping().cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
        () = silent(&connection) => return tracing::debug!("connection closed: no request came"),
        () = connection.untaken.stalled() => return tracing::debug!("connection closed: its client does not read"),
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

fn builder(tasks: &Tasks) -> Builder<Tasks> {
    let mut builder = Builder::new(tasks.clone());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEADER_TIMEOUT)
        .max_buf_size(limits::HEADER_BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits::KEEP_ALIVE)
        .keep_alive_timeout(limits::KEEP_ALIVE_TIMEOUT)
        .max_concurrent_streams(limits::STREAMS_PER_CONNECTION)
        .max_header_list_size(limits::HEADER_BUFFER as u32);
    builder
}

/// Completes when a client has not sent one request in time. The HTTP library's own timeout begins only once it knows
/// which HTTP it is spoken to.
async fn silent(connection: &Connection) {
    if timeout(limits::HEADER_TIMEOUT, connection.first_request.notified()).await.is_ok() {
        std::future::pending().await
    }
}
