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
use sealpost_protocol::Clock;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{
    bodies::Untaken,
    places::{Place, Places},
    respond::Transports,
};
use crate::{app::App, authentication::ConnectionTokens, limits, peer::Peer, tasks::Tasks};

/// What the requests of one connection share. It has its place among the connections for as long as anyone holds this.
pub(crate) struct Connection {
    pub(super) tokens: ConnectionTokens,
    pub(super) untaken: Arc<Untaken>,
    pub(super) request: Notify,
    _place: Place,
    _task: TaskTrackerToken,
}

impl Connection {
    fn new(peer: Peer, place: Place, tasks: &Tasks) -> Self {
        Self {
            tokens: ConnectionTokens::new(peer),
            untaken: Arc::default(),
            request: Notify::new(),
            _place: place,
            _task: tasks.token(),
        }
    }

    /// A connection without a client.
    #[cfg(test)]
    pub(super) async fn for_test(tasks: &Tasks) -> Self {
        let (places, peer) = (Places::new(), Peer::nearby());
        Self::new(peer, places.give(places.next().await.unwrap(), peer).unwrap(), tasks)
    }
}

/// Accepts connections until the relay stops.
pub(crate) async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, app: Arc<App>) {
    let places = Places::new();
    let tasks = app.tasks.clone();
    let transports = Arc::new(Transports::new(app));
    while let Some(accepted) = tasks.stopping().run_until_cancelled(accept(&listener, &places)).await {
        let Some((stream, peer, place)) = accepted else { continue };
        let connection = Arc::new(Connection::new(peer, place, &tasks));
        tasks.spawn(serve_stream(Arc::clone(&transports), tls.clone(), stream, connection));
    }
}

/// The next connection, once there is a place for it.
async fn accept(listener: &TcpListener, places: &Places) -> Option<(TcpStream, Peer, Place)> {
    let free = places.next().await?;
    match listener.accept().await {
        Ok((stream, address)) => {
            let peer = Peer::from(address.ip());
            let place = places.give(free, peer);
            if place.is_none() {
                tracing::debug!(?peer, "connection closed: its peer has too many");
            }
            Some((stream, peer, place?))
        }
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
        connection.request.notify_one();
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
        () = idle(&connection, transports.app.clock.as_ref()) => {
            return tracing::debug!("connection closed: no request came");
        }
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

/// Completes when a client has not sent one request in time, or later none for a while, and has no good token. The HTTP
/// library's own timeout begins only once it knows which HTTP it is spoken to, and HTTP/2 has none for what follows.
async fn idle(connection: &Connection, clock: &dyn Clock) {
    let mut patience = limits::HEADER_TIMEOUT;
    loop {
        if timeout(patience, connection.request.notified()).await.is_ok() {
            patience = limits::STRANGER_IDLE;
        } else if !connection.tokens.has_good(clock.now()) {
            return;
        }
    }
}
