//! Proof by type: a state change can be committed only with the key of its message used, and used well.

use crate::{
    aead::{self, NONCE, OpenFailure, TAG},
    primitives::PrimitivesError,
    secret::{MessageKey, SecretBytes},
};

/// A key for one message, and the change that comes with using it.
pub(crate) struct Pending<C> {
    pub(crate) key: MessageKey,
    pub(crate) change: C,
}

/// A change whose message was sealed, or whose message's tag has verified.
#[must_use]
pub(crate) struct Commit<C>(C);

/// What a message looks like under its key.
pub(crate) struct Sealed {
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) tag: [u8; TAG],
}

impl<C> Pending<C> {
    /// Seals `plaintext`, and with that uses up the key.
    ///
    /// # Errors
    /// [`PrimitivesError::Library`].
    pub(crate) fn seal(
        self,
        nonce: [u8; NONCE],
        associated_data: &[u8],
        plaintext: &[u8],
    ) -> Result<(Sealed, Commit<C>), PrimitivesError> {
        #[cfg(test)]
        crate::testing::note_sealed(&self.key, nonce);
        let mut ciphertext = vec![0; plaintext.len()];
        let tag = aead::seal(self.key.expose(), nonce, associated_data, plaintext, &mut ciphertext)?;
        Ok((Sealed { ciphertext, tag }, Commit(self.change)))
    }

    /// Opens `ciphertext` if its tag verifies, and with that uses up the key.
    ///
    /// # Errors
    /// [`OpenFailure`]; key and change are gone then, and the state has not moved.
    pub(crate) fn open(
        self,
        nonce: [u8; NONCE],
        associated_data: &[u8],
        ciphertext: &[u8],
        tag: &[u8; TAG],
    ) -> Result<(SecretBytes, Commit<C>), OpenFailure> {
        let plaintext = aead::open(self.key.expose(), nonce, associated_data, ciphertext, tag)?;
        Ok((plaintext, Commit(self.change)))
    }
}

impl<C> Commit<C> {
    /// The change.
    pub(crate) fn into_change(self) -> C {
        self.0
    }

    /// The change, to look at.
    pub(crate) fn change(&self) -> &C {
        &self.0
    }
}
