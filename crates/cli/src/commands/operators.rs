//! A relay's store, from outside: opened here if no relay runs on it, else asked for through the operators' endpoint.

use std::{error::Error, net::SocketAddr, path::Path};

use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use sealpost_relay::{LockError, OpenDataDirectoryError, Operations, OperatorError};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    arguments::Place,
    failure::{Failure, chain},
};

/// What answers questions about the store.
pub(super) enum Store {
    /// It is open here.
    Open(Box<Operations>),
    /// A relay has it.
    Relay(SocketAddr),
}

/// What the endpoint says of a failure.
#[derive(Deserialize)]
struct Refusal {
    detail: String,
}

impl Store {
    /// To change it.
    pub(super) async fn of(place: &Place) -> Result<Self, Failure> {
        Self::named(place, async |data_dir| Operations::offline(data_dir).await).await
    }

    /// To change it, though its blocks may end before what its ledger has accepted.
    pub(super) async fn left(place: &Place) -> Result<Self, Failure> {
        Self::named(place, async |data_dir| Operations::with_what_is_left(data_dir).await).await
    }

    /// To look at it.
    pub(super) async fn seen(place: &Place) -> Result<Self, Failure> {
        Self::named(place, async |data_dir| Operations::looking(data_dir).await).await
    }

    async fn named(
        place: &Place,
        open: impl AsyncFnOnce(&Path) -> Result<Operations, OperatorError>,
    ) -> Result<Self, Failure> {
        match (&place.data_dir, place.admin) {
            (Some(data_dir), _) => {
                open(data_dir).await.map(|operations| Self::Open(Box::new(operations))).map_err(failed)
            }
            (None, Some(address)) => Ok(Self::Relay(address)),
            (None, None) => Err(Failure::usage("name the store: --data-dir, or --admin for a relay that runs")),
        }
    }
}

/// Asks a running relay.
pub(super) async fn ask<T: DeserializeOwned>(
    relay: SocketAddr,
    method: Method,
    path: &str,
    body: Vec<u8>,
) -> Result<T, Failure> {
    let no_relay =
        |error: &dyn Error| Failure::unreachable(format!("no relay serves operators at {relay}: {}", chain(error)));
    let broken = |error: &dyn Error| {
        Failure::unreachable(format!(
            "the connection to the relay at {relay} broke before its answer came ({}): the relay was stopped, or has died. What \
             was asked for may be half done: ask again when it runs",
            chain(error)
        ))
    };
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{relay}{path}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| Failure::other(error.to_string()))?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await;
    let response = response.map_err(|error| if error.is_connect() { no_relay(&error) } else { broken(&error) })?;
    let status = response.status();
    if response.headers().get(header::CONTENT_TYPE).is_some_and(|of| of == "application/problem+json") {
        return Err(Failure::usage(format!(
            "{relay} is where the relay serves its agents; --admin needs the operators' endpoint: the address that the \
             relay was started with as --admin-listen"
        )));
    }
    let body = response.into_body().collect().await.map_err(|error| broken(&error))?.to_bytes();
    if status != StatusCode::OK {
        let refusal = serde_json::from_slice::<Refusal>(&body).map(|refusal| refusal.detail);
        return Err(Failure::other(refusal.unwrap_or_else(|_| format!("the relay answered {status}"))));
    }
    serde_json::from_slice(&body).map_err(|error| Failure::other(format!("the relay's answer: {error}")))
}

pub(super) fn failed(error: OperatorError) -> Failure {
    let text = chain(&error);
    match error {
        OperatorError::Ledger(OpenDataDirectoryError::Lock(LockError::Locked { .. })) => Failure::local_state(format!(
            "{text}; if that is a relay, give --admin with the address that it was started with as --admin-listen"
        )),
        _ => Failure::local_state(text),
    }
}
