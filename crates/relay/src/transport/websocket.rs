//! Events over WebSocket: one JSON text message per event. What a client sends is not looked at, but its silence is.

use std::sync::Arc;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures::StreamExt;
use sealpost_protocol::ErrorCode;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{refusal::Refusal, streams};
use crate::{app::App, authentication::Caller, limits};

/// Sends the caller's events until either side ends it. The close frame's reason is the refusal's stable code.
pub(crate) async fn serve_events(app: Arc<App>, caller: Caller, after: u64, mut socket: WebSocket) {
    let mut events = Box::pin(streams::events(&app, caller, after));
    let mut pings = interval(limits::KEEP_ALIVE);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.reset();
    let mut is_alive = true;
    loop {
        let sent = tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => match serde_json::to_string(&event) {
                    Ok(json) => send(&mut socket, Message::text(json)).await,
                    Err(_) => return,
                },
                Some(Err(refusal)) => return close(socket, &refusal).await,
                None => return,
            },
            heard = socket.recv() => match heard {
                Some(Err(error)) if is_too_big(&error) => return close_as_too_big(socket).await,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {
                    is_alive = true;
                    true
                }
            },
            _ = pings.tick() => {
                if !std::mem::take(&mut is_alive) {
                    return;
                }
                send(&mut socket, Message::Ping(Vec::new().into())).await
            }
        };
        if !sent {
            return;
        }
    }
}

async fn close(mut socket: WebSocket, refusal: &Refusal) {
    let code = if refusal.code.is_retryable() { close_code::AGAIN } else { close_code::POLICY };
    let frame = CloseFrame { code, reason: refusal.code.as_str().into() };
    send(&mut socket, Message::Close(Some(frame))).await;
}

/// Whether a client has begun a message that is longer than it may be.
fn is_too_big(error: &axum::Error) -> bool {
    let error = std::error::Error::source(error).and_then(|error| error.downcast_ref());
    matches!(error, Some(tungstenite::Error::Capacity(_)))
}

/// Says why, and leaves the client time to hear it: on a connection that is closed with unread bytes in it, what was sent last
/// may be lost.
async fn close_as_too_big(mut socket: WebSocket) {
    let reason = ErrorCode::TooLarge.as_str().into();
    if send(&mut socket, Message::Close(Some(CloseFrame { code: close_code::SIZE, reason }))).await {
        tokio::time::sleep(limits::WEBSOCKET_LINGER).await;
    }
}

/// Sends a message, unless the client does not take it in time: whether it is there is asked by what is sent to it.
async fn send(socket: &mut WebSocket, message: Message) -> bool {
    matches!(timeout(limits::KEEP_ALIVE_TIMEOUT, socket.send(message)).await, Ok(Ok(())))
}
