//! How long rows are kept, and their end: a little of it in each round, so that none takes long. Their time must have come by
//! the relay's clock too (see [`crate::clocks`]).
//!
//! | row | kept | afterwards |
//! | --- | --- | --- |
//! | received or refused message, once taken | 35 days after it was composed | its name is unknown, and it is refused unread |
//! | received message that was not taken | for good; one whose body never came, 35 days | |
//! | sealed body in the spool | as long as a row needs it; what a crash has left, until the next round | |
//! | sent and unsent message, what the relay said of it | 35 days after it was composed | its status is unknown |
//! | event that was not taken | 35 days | it is not told |
//! | how far was read, here and by a peer | for good: one row for each peer | |
//! | session that only receives | 31 days after its last use | its messages are `unknown-session`, and sealed anew |
//! | delegation that was made | 35 days after its end | it is not listed |
//! | revocation | 125 days: as long as what it ends could be good, and listed | |
//! | key of a group that has a successor | 31 days after that | messages under it are `unknown-prekey` |
//! | key of a skipped message | 31 days | the message is `undecryptable`, and sealed anew |

use sealpost_crypto::Session;
use sealpost_protocol::{
    MessageId, MessageRef, Timestamp,
    encoding::{Decode, DecodeError, Encode},
    limits as wire,
};

use crate::{
    Agent, SyncError,
    agent::ignore_conflict,
    limits,
    records::{
        EventRecord, GrantRecord, GroupKeyRecord, HeldRecord, InboxRecord, RevocationRecord, SentRecord, SessionRecord,
        StatusRecord, SweepRecord, UnreadRecord, UnsentRecord,
    },
    store::{Changes, Record, StoreAccessError, Versioned},
};

/// Whether a message that was composed at `created` may have been forgotten by `now`.
pub(crate) fn is_forgotten(created: Timestamp, now: Timestamp) -> bool {
    created.saturating_add(wire::REMEMBERED) < now
}

/// What is done with a row.
enum Swept<T> {
    Kept,
    Gone,
    Changed(T),
}

/// A record that is kept for a time.
trait Kept: Record + Sized {
    /// When what it is about began.
    fn began(row: &Versioned<Self>) -> Result<Timestamp, DecodeError>;

    /// What is done with it now.
    fn swept(row: &Versioned<Self>, now: Timestamp) -> Result<Swept<Self>, DecodeError> {
        Ok(if is_forgotten(Self::began(row)?, now) { Swept::Gone } else { Swept::Kept })
    }

    /// The message that it has arrived with, if it must be kept until that is taken.
    fn arrival(_row: &Versioned<Self>) -> Option<&[u8]> {
        None
    }
}

impl Kept for InboxRecord {
    fn began(row: &Versioned<Self>) -> Result<Timestamp, DecodeError> {
        Ok(MessageRef::from_bytes(&row.key)?.id.timestamp())
    }

    fn arrival(row: &Versioned<Self>) -> Option<&[u8]> {
        Some(&row.value.arrival)
    }
}

impl Kept for SentRecord {
    fn began(row: &Versioned<Self>) -> Result<Timestamp, DecodeError> {
        Ok(MessageId::from_bytes(&row.key)?.timestamp())
    }
}

impl Kept for UnsentRecord {
    fn began(row: &Versioned<Self>) -> Result<Timestamp, DecodeError> {
        Ok(MessageId::from_bytes(&row.key)?.timestamp())
    }
}

impl Kept for StatusRecord {
    fn began(row: &Versioned<Self>) -> Result<Timestamp, DecodeError> {
        Ok(MessageId::from_bytes(&row.key)?.timestamp())
    }
}

impl Kept for EventRecord {
    fn began(row: &Versioned<Self>) -> Result<Timestamp, DecodeError> {
        Ok(row.value.at)
    }
}

impl Kept for GrantRecord {
    fn began(row: &Versioned<Self>) -> Result<Timestamp, DecodeError> {
        Ok(row.value.until)
    }
}

impl Kept for RevocationRecord {
    fn began(row: &Versioned<Self>) -> Result<Timestamp, DecodeError> {
        Ok(row.value.at)
    }

    fn swept(row: &Versioned<Self>, now: Timestamp) -> Result<Swept<Self>, DecodeError> {
        let is_over = row.value.at.saturating_add(wire::DELEGATION_KEY_LIFE + wire::REMEMBERED) < now;
        Ok(if is_over { Swept::Gone } else { Swept::Kept })
    }
}

impl Kept for GroupKeyRecord {
    fn began(row: &Versioned<Self>) -> Result<Timestamp, DecodeError> {
        Ok(row.value.retired.unwrap_or(Timestamp::from_millis(u64::MAX)))
    }

    fn swept(row: &Versioned<Self>, now: Timestamp) -> Result<Swept<Self>, DecodeError> {
        let is_over = row.value.retired.is_some_and(|retired| now.since(retired) > limits::RETIRED_KEPT);
        Ok(if is_over { Swept::Gone } else { Swept::Kept })
    }
}

impl Kept for SessionRecord {
    fn began(row: &Versioned<Self>) -> Result<Timestamp, DecodeError> {
        Ok(row.value.used)
    }

    fn swept(row: &Versioned<Self>, now: Timestamp) -> Result<Swept<Self>, DecodeError> {
        if !row.value.sends && now.since(Self::began(row)?) >= sealpost_crypto::limits::RECEIVING_SESSION_LIFE {
            return Ok(Swept::Gone);
        }
        let mut session = Session::decode(&row.value.session)?;
        Ok(match session.age(now) {
            true => Swept::Changed(Self { session: session.encode(), ..row.value.clone() }),
            false => Swept::Kept,
        })
    }
}

impl Agent {
    /// Looks at some more rows, at each once a day.
    pub(crate) async fn sweep(&self) -> Result<(), SyncError> {
        self.sweep_area::<InboxRecord>().await?;
        self.sweep_area::<SentRecord>().await?;
        self.sweep_area::<UnsentRecord>().await?;
        self.sweep_area::<StatusRecord>().await?;
        self.sweep_area::<SessionRecord>().await?;
        self.sweep_area::<GroupKeyRecord>().await?;
        self.sweep_area::<EventRecord>().await?;
        self.sweep_area::<GrantRecord>().await?;
        self.sweep_area::<RevocationRecord>().await?;
        self.tidy_spool().await
    }

    async fn sweep_area<T: Kept>(&self) -> Result<(), SyncError> {
        let now = self.agreed_time().await?;
        let name = T::AREA.name().as_bytes();
        let known = self.store.find::<SweepRecord>(name).await?;
        let (after, finished) = match &known {
            Some(known) => (known.value.after.as_slice(), known.value.finished),
            None => (&[][..], Timestamp::from_millis(0)),
        };
        if after.is_empty() && now.since(finished) < limits::SWEEP && !self.is_ahead_of_now(finished) {
            return Ok(());
        }
        // What is damaged is left where it is, for whoever wants to save something of it.
        let page = self.store.page::<T>(&[], after, limits::SWEPT_ROWS).await?;
        let last = page.last;
        let finished = if last.is_none() { now } else { finished };
        let mut changes = Changes::default();
        for row in &page.rows {
            match T::swept(row, now)? {
                Swept::Gone if !self.is_unread(row).await? => {
                    changes.delete(row);
                }
                Swept::Changed(value) => {
                    changes.replace(row, &value);
                }
                Swept::Gone | Swept::Kept => {}
            }
        }
        changes.upsert(name, known.as_ref(), &SweepRecord { after: last.unwrap_or_default(), finished });
        // Another process sweeps too, or something has just been taken: a later round looks again.
        Ok(ignore_conflict(self.store.commit(changes).await)?)
    }

    /// Whether a row is a message that the agent has not taken.
    async fn is_unread<T: Kept>(&self, row: &Versioned<T>) -> Result<bool, StoreAccessError> {
        let Some(arrival) = T::arrival(row) else { return Ok(false) };
        let unread = self.store.find::<UnreadRecord>(arrival).await?;
        // What is held up behind a body is stored, and has no place among the unread yet.
        let sender = row.key.get(..32).unwrap_or_default();
        let held = self.store.find::<HeldRecord>(&[sender, arrival].concat()).await?;
        let is_it = |message: MessageRef| message.to_bytes() == row.key;
        Ok(unread.is_some_and(|row| is_it(row.value.message)) || held.is_some_and(|row| is_it(row.value.message)))
    }
}
