//! The manifests of those who are sealed for without a session: fetched without using anything up, and checked as for
//! sessions.

use futures::{StreamExt, TryStreamExt, stream};
use sealpost_api::v1;
use sealpost_crypto::VerifiedManifest;
use sealpost_protocol::{AgentId, CurveKey, Prekey, SignedManifest, encoding::Decode};

use crate::{
    Agent, SendError, limits,
    records::{PeerRecord, SeenManifestRecord},
    store::{Changes, StoreAccessError, Versioned},
};

impl Agent {
    /// The sealing keys of `agents`, in their order. What is remembered of their manifests is noted among `changes`.
    pub(super) async fn sealing_keys(
        &self,
        agents: &[AgentId],
        changes: &mut Changes,
    ) -> Result<Vec<Prekey<CurveKey>>, SendError> {
        let mut keys = Vec::with_capacity(agents.len());
        for (known, manifest) in self.manifests(agents.to_vec()).await? {
            note_manifest(changes, known.as_ref(), &manifest);
            keys.push(manifest.sealing_key);
        }
        Ok(keys)
    }

    /// Learns the identities of those among `agents` whose are not known: their receipts are checked with them.
    pub(super) async fn learn_identities(&self, agents: &[AgentId], changes: &mut Changes) -> Result<(), SendError> {
        let mut unknown = Vec::new();
        for agent in agents {
            if self.peer(*agent).await?.is_none() {
                unknown.push(*agent);
            }
        }
        for (known, manifest) in self.manifests(unknown).await? {
            note_manifest(changes, known.as_ref(), &manifest);
        }
        Ok(())
    }

    /// A few at a time.
    async fn manifests(
        &self,
        agents: Vec<AgentId>,
    ) -> Result<Vec<(Option<Versioned<PeerRecord>>, VerifiedManifest)>, SendError> {
        let fetched = stream::iter(agents).map(|agent| self.manifest_of(agent));
        fetched.buffered(limits::MANIFESTS_AT_A_TIME).try_collect().await
    }

    async fn manifest_of(
        &self,
        agent: AgentId,
    ) -> Result<(Option<Versioned<PeerRecord>>, VerifiedManifest), SendError> {
        let request = v1::GetManifestRequest { agent_id: agent.to_string() };
        let answer = self.relay().await?.manifest(request).await?;
        let unusable = |source| SendError::Bundle { agent, source };
        let manifest = SignedManifest::from_bytes(&answer.manifest).map_err(|error| unusable(error.into()))?;
        let known = self.peer(agent).await?;
        let seen = known.as_ref().and_then(|known| known.value.manifest).map(|SeenManifestRecord(seen)| seen);
        let verified = VerifiedManifest::check(&manifest, agent, seen, self.clock.now());
        Ok((known, verified.map_err(unusable)?))
    }

    async fn peer(&self, agent: AgentId) -> Result<Option<Versioned<PeerRecord>>, StoreAccessError> {
        self.store.find(agent.as_bytes()).await
    }
}

fn note_manifest(changes: &mut Changes, known: Option<&Versioned<PeerRecord>>, manifest: &VerifiedManifest) {
    let is_known = known.and_then(|known| known.value.manifest).is_some_and(|known| known.0 == manifest.seen);
    if !is_known {
        let record = PeerRecord { identity: manifest.identity, manifest: Some(SeenManifestRecord(manifest.seen)) };
        changes.upsert(manifest.identity.agent_id().as_bytes(), known, &record);
    }
}
