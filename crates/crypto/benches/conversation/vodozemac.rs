//! The other side: vodozemac's Olm, as Matrix uses it.

use std::hint::black_box;

use vodozemac::{
    Curve25519PublicKey,
    olm::{Account, OlmMessage, PreKeyMessage, Session, SessionConfig},
};

use crate::{
    Outcome,
    measuring::{Measure, timed, timed_over},
};

const PLAINTEXT: [u8; 1_024] = [0x5a; 1_024];

struct Pair {
    alice: Account,
    bob: Account,
}

impl Pair {
    fn new() -> Self {
        Self { alice: Account::new(), bob: Account::new() }
    }

    fn one_time_key(&mut self) -> Outcome<Curve25519PublicKey> {
        self.bob.generate_one_time_keys(1);
        let key = self.bob.one_time_keys().into_values().next().ok_or("no one-time key")?;
        self.bob.mark_keys_as_published();
        Ok(key)
    }

    fn outbound(&self, one_time_key: Curve25519PublicKey) -> Outcome<(Session, OlmMessage)> {
        let bob = self.bob.curve25519_key();
        let mut session = self.alice.create_outbound_session(SessionConfig::version_1(), bob, one_time_key)?;
        let message = session.encrypt(PLAINTEXT)?;
        Ok((session, message))
    }

    fn inbound(&mut self, message: &PreKeyMessage) -> Outcome<Session> {
        let alice = self.alice.curve25519_key();
        Ok(self.bob.create_inbound_session(SessionConfig::version_1(), alice, message)?.session)
    }

    /// A session that has been answered, with `skipped` messages missing at Bob; it keeps 40 of their keys.
    fn sessions(&mut self, skipped: usize) -> Outcome<(Session, Session)> {
        let one_time_key = self.one_time_key()?;
        let (mut at_alice, first) = self.outbound(one_time_key)?;
        let mut at_bob = self.inbound(&opening(first)?)?;
        pass(&mut at_bob, &mut at_alice)?;
        for _ in 0..skipped {
            at_alice.encrypt(PLAINTEXT)?;
        }
        pass(&mut at_alice, &mut at_bob)?;
        Ok((at_alice, at_bob))
    }
}

fn opening(message: OlmMessage) -> Outcome<PreKeyMessage> {
    match message {
        OlmMessage::PreKey(message) => Ok(message),
        OlmMessage::Normal(_) => Err("the first message opens no session".into()),
    }
}

fn pass(from: &mut Session, to: &mut Session) -> Outcome<()> {
    let (kind, bytes) = from.encrypt(PLAINTEXT)?.to_parts();
    black_box(to.decrypt(&OlmMessage::from_parts(kind, &bytes)?)?);
    Ok(())
}

pub(crate) fn chain(skipped: usize) -> Outcome<Measure> {
    let mut pair = Pair::new();
    Ok(Box::new(move |operations| {
        let (mut at_alice, mut at_bob) = pair.sessions(skipped)?;
        timed(operations, || pass(&mut at_alice, &mut at_bob))
    }))
}

pub(crate) fn ping_pong() -> Outcome<Measure> {
    let (mut at_alice, mut at_bob) = Pair::new().sessions(0)?;
    Ok(Box::new(move |operations| {
        timed(operations, || {
            pass(&mut at_bob, &mut at_alice)?;
            pass(&mut at_alice, &mut at_bob)
        })
    }))
}

pub(crate) fn outbound() -> Outcome<Measure> {
    let mut pair = Pair::new();
    let one_time_key = pair.one_time_key()?;
    Ok(Box::new(move |operations| {
        timed(operations, || pair.outbound(one_time_key).map(|opened| drop(black_box(opened))))
    }))
}

pub(crate) fn inbound() -> Outcome<Measure> {
    let mut pair = Pair::new();
    Ok(Box::new(move |operations| {
        let openings = (0..=operations)
            .map(|_| {
                let one_time_key = pair.one_time_key()?;
                opening(pair.outbound(one_time_key)?.1)
            })
            .collect::<Outcome<Vec<_>>>()?;
        timed_over(openings, |message| pair.inbound(&message).map(|session| drop(black_box(session))))
    }))
}
