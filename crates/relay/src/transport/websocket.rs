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
    let mut events = match streams::events(&app, caller, after) {
        Ok(events) => Box::pin(events),
        Err(refusal) => return close(socket, &refusal).await,
    };
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
                Some(Err(error)) => match breach(&error) {
                    Some(frame) => return close_after_a_breach(socket, frame).await,
                    None => return,
                },
                // The answer to it leaves as the socket is read to its end.
                Some(Ok(Message::Close(_))) => return read_to_the_end(socket).await,
                None => return,
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

/// What a client is told that does not keep to the protocol; nothing if the connection itself has failed.
fn breach(error: &axum::Error) -> Option<CloseFrame> {
    let error = std::error::Error::source(error).and_then(|error| error.downcast_ref());
    let (code, reason) = match error? {
        tungstenite::Error::Capacity(_) => (close_code::SIZE, ErrorCode::TooLarge),
        tungstenite::Error::Protocol(_) => (close_code::PROTOCOL, ErrorCode::Malformed),
        tungstenite::Error::Utf8(_) => (close_code::INVALID, ErrorCode::Malformed),
        _ => return None,
    };
    Some(CloseFrame { code, reason: reason.as_str().into() })
}

/// Says why, and leaves the client time to hear it: on a connection that is closed with unread bytes in it, what was sent last
/// may be lost.
async fn close_after_a_breach(mut socket: WebSocket, frame: CloseFrame) {
    if send(&mut socket, Message::Close(Some(frame))).await {
        tokio::time::sleep(limits::WEBSOCKET_LINGER).await;
    }
}

async fn read_to_the_end(mut socket: WebSocket) {
    let reading = async { while let Some(Ok(_)) = socket.recv().await {} };
    _ = timeout(limits::WEBSOCKET_LINGER, reading).await;
}

/// Sends a message, unless the client does not take it in time: whether it is there is asked by what is sent to it.
async fn send(socket: &mut WebSocket, message: Message) -> bool {
    matches!(timeout(limits::KEEP_ALIVE_TIMEOUT, socket.send(message)).await, Ok(Ok(())))
}
