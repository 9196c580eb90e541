//! How a relay stores what an agent may read of a message (decision 031): the relay's word, which nobody can check. The JSON
//! form is what `sealpost status --json` shows.

use sealpost_api::v1;
use serde::{Serialize, Serializer};

use crate::{RelayError, limits, printable::printable};

/// How a relay stores a message.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct StoredMessage {
    /// Its body; none if there is none, or no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<StoredBody>,
    /// The part of its only recipient, while it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<StoredContent>,
}

/// How a body is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredBody {
    /// Bytes of the sealed body.
    pub length: u64,
    /// Contents that it is stored as: one for each of its pieces.
    pub pieces: u64,
    /// The first of them, at most 16.
    pub contents: Vec<StoredContent>,
}

/// How a content lies in the block store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredContent {
    /// Bytes of the content.
    pub length: u64,
    /// Bytes of its data blocks, padding included.
    pub padded_length: u64,
    /// Bytes of each of its data blocks but the last, which may be smaller.
    pub block_size: u32,
    /// How many stored blocks give one block of data.
    pub tuple_size: u32,
    /// `pooled` or `fresh`: whose the random blocks are.
    pub policy: String,
    /// Whether the ids name lists of blocks (CBLs), not the data blocks themselves.
    pub is_cbl: bool,
    /// BLAKE3 of each stored block at the top; hexadecimal in JSON.
    #[serde(serialize_with = "hexadecimal")]
    pub block_ids: Vec<[u8; 32]>,
}

fn hexadecimal<S: Serializer>(ids: &[[u8; 32]], serializer: S) -> Result<S::Ok, S::Error> {
    let digits = |id: &[u8; 32]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    serializer.collect_seq(ids.iter().map(digits))
}

impl TryFrom<v1::MessageContent> for StoredMessage {
    type Error = RelayError;

    fn try_from(content: v1::MessageContent) -> Result<Self, RelayError> {
        Ok(Self {
            body: content.body.map(StoredBody::try_from).transpose()?,
            part: content.part.map(StoredContent::try_from).transpose()?,
        })
    }
}

impl TryFrom<v1::StoredBody> for StoredBody {
    type Error = RelayError;

    fn try_from(body: v1::StoredBody) -> Result<Self, RelayError> {
        let contents = body.contents.into_iter().map(StoredContent::try_from).collect::<Result<_, _>>()?;
        Ok(Self { length: body.length, pieces: body.pieces, contents })
    }
}

impl TryFrom<v1::StoredContent> for StoredContent {
    type Error = RelayError;

    fn try_from(content: v1::StoredContent) -> Result<Self, RelayError> {
        let ids = content.block_ids.into_iter().map(<[u8; 32]>::try_from).collect::<Result<_, _>>();
        Ok(Self {
            length: content.length,
            padded_length: content.padded_length,
            block_size: content.block_size,
            tuple_size: content.tuple_size,
            policy: printable(&content.policy).chars().take(limits::CODE).collect(),
            is_cbl: content.is_cbl,
            block_ids: ids.map_err(|_| RelayError::Answer("a block's id has 32 bytes"))?,
        })
    }
}
