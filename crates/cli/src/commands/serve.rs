//! `sealpost serve`: a relay, until it is interrupted.

use sealpost_relay::{Config, Relay};
use serde::Serialize;
use tokio::io::AsyncReadExt;

use crate::{
    arguments::Serve,
    failure::{Failure, chain},
    home::Context,
    interrupts::interrupted,
    output,
};

#[derive(Serialize)]
struct Started {
    address: String,
    origin: String,
    /// Where operators are served, if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    admin: Option<String>,
    node_id: String,
    ledger_id: String,
    data_dir: String,
}

pub(crate) async fn run(context: &Context, serve: Serve) -> Result<(), Failure> {
    let until_input_ends = serve.until_input_ends;
    let config = config(serve)?;
    let data_dir = config.data_dir.display().to_string();
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let relay = Relay::start(config).await.map_err(|error| Failure::local_state(chain(&error)))?;
    let started = Started {
        address: relay.address().to_string(),
        admin: relay.admin_address().map(|address| address.to_string()),
        origin: format!("{scheme}://{}", relay.address()),
        node_id: relay.node_id().to_string(),
        ledger_id: relay.ledger_id().to_string(),
        data_dir,
    };
    let printed = output::print(context.json, &started, || {
        format!("serving on {}\nnode      {}\ndata in   {}", started.origin, started.node_id, started.data_dir)
    });
    // Mail does not wait for someone to read where the relay is.
    if printed.is_err() {
        tracing::warn!(origin = started.origin, "nobody reads standard output; the relay serves all the same");
    }
    tokio::select! {
        interrupted = interrupted() => interrupted?,
        () = input_ended(), if until_input_ends => {}
    }
    relay.stop().await;
    Ok(())
}

fn config(serve: Serve) -> Result<Config, Failure> {
    let mut config = match &serve.config {
        Some(path) => Config::read(path).map_err(|error| Failure::usage(chain(&error)))?,
        None => Config::default(),
    };
    if let Some(data_dir) = serve.data_dir {
        config.data_dir = data_dir;
    }
    if let Some(listen) = serve.listen {
        config.listen = listen;
    }
    config.admin_listen = serve.admin_listen.or(config.admin_listen);
    config.origins.extend(serve.origin);
    config.allow_plaintext |= serve.allow_plaintext;
    config.restored = serve.restored;
    config.check().map_err(|error| Failure::usage(chain(&error)))?;
    Ok(config)
}

/// Waits until nobody holds the other end of standard input. What comes that way means nothing.
async fn input_ended() {
    let mut ignored = [0; 64];
    while tokio::io::stdin().read(&mut ignored).await.is_ok_and(|read| read > 0) {}
}
