//! Two agents talk over a carrier that does what the input says: three bytes are one event. A byte that is left over asks for
//! the hybrid handshake.

use sealpost_crypto::{OpenError, Plaintext, SealError, Session, limits};
use sealpost_protocol::{
    Envelope, Header, Suite,
    encoding::{Decode, Encode},
};

use super::world::{NOW, World, text};

struct Sent {
    to_bob: bool,
    header: Header,
    envelope: Envelope,
    number: usize,
    opened: bool,
}

/// Sealing, delivering in any order and repeatedly, altering, restarting: every message opens once at most, as what it was
/// sealed as, and what does not open changes nothing.
pub(super) fn conversation(input: &[u8]) {
    let (events, rest) = input.as_chunks::<3>();
    let mut world = World::new(if rest.is_empty() { Suite::X3dh25519 } else { Suite::Pqxdh25519MlKem768 });
    let mut sent: Vec<Sent> = Vec::new();
    for &[event, which, how] in events.iter().take(400) {
        match event % 6 {
            0 => (0..=usize::from(which)).for_each(|_| seal(&mut world, &mut sent, true)),
            1 => (0..=usize::from(which % 8)).for_each(|_| seal(&mut world, &mut sent, false)),
            2 | 3 => {
                let index = place(&sent, which, how);
                if index < sent.len() {
                    deliver(&mut world, &mut sent, index);
                }
            }
            4 => {
                if let Some(message) = sent.get(place(&sent, which, 0)) {
                    deliver_altered(&mut world, message, how);
                }
            }
            _ => restart(&mut world),
        }
    }
}

/// Two bytes name one of the messages, counted from the newest.
fn place(sent: &[Sent], which: u8, how: u8) -> usize {
    let back = usize::from(u16::from_be_bytes([how, which]));
    sent.len().saturating_sub(1).saturating_sub(back % sent.len().max(1))
}

fn seal(world: &mut World, sent: &mut Vec<Sent>, to_bob: bool) {
    let header = if to_bob { world.header_to_bob() } else { world.header_to_alice() };
    let number = sent.len();
    let primitives = super::Seeded::new(number as u64);
    let session = if to_bob { Some(&mut world.at_alice) } else { world.at_bob.as_mut() };
    let Some(session) = session else { return };
    match session.seal(&primitives, &header, &text(number), NOW) {
        Ok(envelope) => sent.push(Sent { to_bob, header, envelope, number, opened: false }),
        Err(SealError::SessionExhausted) => assert!(!session.may_seal()),
        Err(error) => panic!("{error}"),
    }
}

fn deliver(world: &mut World, sent: &mut [Sent], index: usize) {
    let Sent { to_bob, header, envelope, number, opened } = &sent[index];
    let later = sent[index..].iter().filter(|later| later.to_bob == *to_bob).count() - 1;
    let result = open(world, *to_bob, header, envelope).expect("what was sealed has a session, or opens one");
    match result {
        Ok(text) => {
            assert!(!opened, "a message opened twice");
            assert_eq!(text, number.to_string(), "as what it was sealed as");
            sent[index].opened = true;
        }
        Err(OpenError::Replay) => assert!(opened, "it was never opened"),
        Err(OpenError::Lost) | Err(OpenError::DecryptionFailed) => {
            assert!(*opened || later >= limits::SKIPPED_KEYS, "its key went too early");
        }
        Err(error) => panic!("{error}"),
    }
}

fn deliver_altered(world: &mut World, message: &Sent, how: u8) {
    let mut bytes = message.envelope.to_bytes();
    let place = usize::from(how) * bytes.len() / 256;
    bytes[place] ^= 1 << (how % 8);
    if let Ok(envelope) = Envelope::from_bytes(&bytes) {
        let opened = open(world, message.to_bob, &message.header, &envelope);
        assert!(!matches!(opened, Some(Ok(_))), "an altered envelope opens");
    }
}

/// Opens an envelope, in a new session if Bob has none; a failure leaves the state as it was. `None` where there is no
/// session to be had.
fn open(world: &mut World, to_bob: bool, header: &Header, envelope: &Envelope) -> Option<Result<String, OpenError>> {
    if to_bob && world.at_bob.is_none() {
        let (session, plaintext) = world.respond(header, envelope)?;
        world.at_bob = Some(session);
        return Some(Ok(read(&plaintext)));
    }
    let session = if to_bob { world.at_bob.as_mut()? } else { &mut world.at_alice };
    let before = session.encode().to_vec();
    let opened = session.open(header, envelope, NOW);
    if opened.is_err() {
        assert_eq!(*session.encode(), *before, "a failure changes nothing");
    }
    Some(opened.map(|plaintext| read(&plaintext)))
}

fn read(plaintext: &Plaintext) -> String {
    let payload = plaintext.to_payload().expect("what was sealed");
    payload.content.as_text().expect("a text").to_owned()
}

fn restart(world: &mut World) {
    world.at_alice = reread(&world.at_alice);
    world.at_bob = world.at_bob.as_ref().map(reread);
}

fn reread(session: &Session) -> Session {
    Session::decode(&session.encode()).expect("what was stored")
}
