//! The scheme `recipient-keys` for the most recipients that a message has, beside as many HPKE seals of the same crate.

use std::{convert::Infallible, hint::black_box, time::Duration};

use hpke::{Deserializable, Kem, OpModeS, aead::ChaCha20Poly1305, kdf::HkdfSha256, kem::X25519HkdfSha256};
use rand_core::{TryCryptoRng, TryRng};
use sealpost_crypto::{
    BodySeal, BodySealer, ContentKey, ContentKind, IdentityPrivateKey, Prelude, Primitives, PrivatePrekey,
    SealingPrekey, SystemPrimitives, Validity, wrap_key,
};
use sealpost_protocol::{
    AgentId, BodyAccess, BodyDescription, CurveKey, Header, HeaderFields, KeyId, MessageClass, MessageId, MessageRef,
    Prekey, Priority, Recipients, Scheme, SenderSeal, SignedPart, encoding::Encode, limits,
};

use crate::{
    Outcome,
    measuring::{Column, Columns, timed},
    sealpost::NOW,
};

/// How long the two columns share: a fifth of a second each round.
const BUDGET: Duration = Duration::from_secs(6);

/// Bytes of content.
const CONTENT: usize = 1_024;

/// What one message to all recipients costs, and what the bare seals of its key do.
pub(crate) struct Cost {
    columns: Columns,
    message: Column,
    seals: Column,
}

pub(crate) fn cost() -> Outcome<Cost> {
    let mut columns = Columns::default();
    let recipients = recipients()?;
    let sender = IdentityPrivateKey::generate(&SystemPrimitives)?;
    let keys: Vec<_> = recipients.iter().map(|(_, key)| key.clone()).collect();
    let message = columns.add(
        1,
        Box::new(move |operations| {
            timed(operations, || seal_message(&sender, &recipients).map(|parts| drop(black_box(parts))))
        }),
    );
    let seals = columns.add(1, Box::new(move |operations| timed(operations, || seal_keys(&keys))));
    columns.run(BUDGET)?;
    Ok(Cost { columns, message, seals })
}

impl Cost {
    /// How many times longer the message takes than the bare seals.
    pub(crate) fn ratio(&self) -> f64 {
        self.columns.ratio(self.message, self.seals)
    }

    pub(crate) fn print(&self) {
        let (best, median) = (self.columns.best(self.message), self.columns.median(self.message));
        let (seals, ratio) = (self.columns.median(self.seals), self.ratio());
        println!("{:<44}{best:>10.0}{median:>10.0}{seals:>12.0}{ratio:>8.2} x", "  body, signature and parts");
    }
}

fn recipients() -> Outcome<Vec<(AgentId, Prekey<CurveKey>)>> {
    let validity = Validity::lasting(NOW, limits::MANIFEST_LIFE);
    (0..limits::RECIPIENTS)
        .map(|_| {
            let agent = IdentityPrivateKey::generate(&SystemPrimitives)?.agent_id();
            let key: SealingPrekey = PrivatePrekey::generate(&SystemPrimitives, KeyId(1), validity)?;
            Ok((agent, key.public()))
        })
        .collect()
}

/// All that a runtime does once it has the recipients' keys: body, header, signature, and a part for each.
fn seal_message(sender: &IdentityPrivateKey, recipients: &[(AgentId, Prekey<CurveKey>)]) -> Outcome<Vec<Vec<u8>>> {
    let key = ContentKey::generate(&SystemPrimitives)?;
    let prelude = Prelude {
        message_type: None,
        thread: None,
        reply_to: None,
        file_name: None,
        kind: ContentKind::Bytes,
        content_length: CONTENT as u64,
        compressed_length: None,
    };
    let mut sealer = BodySealer::new(&BodySeal::Sealed(&key), &prelude)?;
    let mut body = Vec::new();
    while let Some(room) = sealer.room() {
        room.fill(0x5a);
        body.extend_from_slice(sealer.seal()?);
    }
    let header = Header::new(HeaderFields {
        message: MessageRef { sender: sender.agent_id(), id: MessageId::new(NOW, [7; 10]) },
        recipients: Recipients::new(recipients.iter().map(|(agent, _)| *agent).collect())?,
        scheme: Scheme::RecipientKeys,
        class: MessageClass::Ordinary,
        priority: Priority::Normal,
        message_type: None,
        thread: None,
        reply_to: None,
        created: NOW,
        expires: NOW.saturating_add(limits::MESSAGE_LIFE),
        body: Some(BodyDescription::of(&body)),
    })?;
    let seal = SenderSeal::sign(sender, header.hash());
    recipients
        .iter()
        .map(|(agent, to)| {
            let access = BodyAccess::Wrapped(wrap_key(&SystemPrimitives, &key, header.hash(), agent, to)?);
            Ok(SignedPart { seal, access }.to_bytes())
        })
        .collect()
}

/// The seals alone, with an info as long as ours.
fn seal_keys(keys: &[Prekey<CurveKey>]) -> Outcome<()> {
    for key in keys {
        let to =
            <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(key.key.as_bytes()).map_err(|error| error.to_string())?;
        let sealed = hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &to,
            &[7; 98],
            &[9; 32],
            &[],
            &mut System,
        );
        black_box(sealed.map_err(|error| error.to_string())?);
    }
    Ok(())
}

/// The randomness that our own seals draw from.
struct System;

impl TryRng for System {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    #[expect(clippy::expect_used, reason = "a bench without randomness measures nothing")]
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        SystemPrimitives.fill_random(bytes).expect("randomness");
        Ok(())
    }
}

impl TryCryptoRng for System {}
