//! How a ratchet is stored.

use sealpost_protocol::{
    CurveKey,
    encoding::{Decode, DecodeError, Encode, Reader, Writer},
};

use super::{Ratchet, RetiredKeys, SendingChain};
use crate::{curve::CurvePrivateKey, kdf_chain::KdfChain, message_key_cache::MessageKeyCache, secret::RootKey};

impl Ratchet {
    /// Room enough for the encoding.
    pub(crate) fn encoded_capacity(&self) -> usize {
        const FIXED: usize = 32 + 32 + (1 + 32 + 4) + (1 + 32 + 32 + 4) + 4 + 2;
        FIXED + self.retired.len() * RetiredKeys::ENCODED_KEY + self.skipped.encoded_capacity()
    }
}

impl Encode for Ratchet {
    fn encode(&self, writer: &mut Writer) {
        writer
            .value(&self.root)
            .value(&self.remote)
            .option(self.receiving.as_ref())
            .option(self.sending.as_ref())
            .u32(self.previous_counter)
            .value(&self.retired)
            .value(&self.skipped);
    }
}

impl Decode for Ratchet {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            root: RootKey::decode(reader)?,
            remote: CurveKey::decode(reader)?,
            receiving: reader.option("receiving chain")?,
            sending: reader.option("sending chain")?,
            previous_counter: reader.u32()?,
            retired: RetiredKeys::decode(reader)?,
            skipped: MessageKeyCache::decode(reader)?,
        })
    }
}

impl Encode for SendingChain {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.own).value(&self.chain);
    }
}

impl Decode for SendingChain {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { own: CurvePrivateKey::decode(reader)?, chain: KdfChain::decode(reader)? })
    }
}
