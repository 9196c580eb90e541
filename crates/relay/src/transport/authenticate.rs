//! The one place where requests of every form are authenticated.

use http::{HeaderMap, Request, header};

use super::refusal::Refusal;
use crate::{
    app::App,
    authentication::{Caller, ConnectionTokens, Credentials},
};

/// What may be asked without a token: who the node is, how it is, and for a token.
const OPEN_PATHS: [&str; 7] = [
    "/sealpost.v1.Authentication/",
    "/grpc.health.v1.Health/",
    "/grpc.reflection.",
    "/auth/",
    "/healthz",
    "/readyz",
    "/openapi.json",
];

/// Whether a path is answered to anyone.
pub(super) fn is_open(path: &str) -> bool {
    OPEN_PATHS.iter().any(|open| path.starts_with(open))
}

/// Finds who sends the request, and notes it there.
pub(super) fn authenticate<B>(
    app: &App,
    tokens: &ConnectionTokens,
    request: &mut Request<B>,
) -> Result<Caller, Refusal> {
    let caller: Caller = app.authenticator.authenticate(
        tokens,
        Credentials {
            authorization: text(request.headers(), header::AUTHORIZATION.as_str()),
            proof: text(request.headers(), "dpop"),
            method: request.method().as_str(),
            path: request.uri().path(),
        },
    )?;
    request.extensions_mut().insert(caller);
    Ok(caller)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
