//! Contents in memory that know what was not given back, and break when told to.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use sealpost_core::{
    memory::MemoryContents,
    ports::{BackendError, ContentForm, ContentHandle, ContentPolicy, Contents, StoredContents},
};

#[derive(Debug, Default)]
pub(crate) struct ContentsOnLoan {
    contents: MemoryContents,
    lent: Mutex<BTreeSet<Vec<u8>>>,
    is_broken: AtomicBool,
    is_full: AtomicBool,
    damage: Mutex<Option<Damage>>,
    policies: Mutex<Vec<ContentPolicy>>,
}

/// What happens to contents of one length.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Damage {
    Gone(usize),
    Altered(usize),
}

impl ContentsOnLoan {
    /// How many contents were stored and not let go of.
    pub(crate) fn count(&self) -> usize {
        self.lent.lock().unwrap().len()
    }

    /// What contents were stored under, call by call.
    pub(crate) fn policies(&self) -> Vec<ContentPolicy> {
        self.policies.lock().unwrap().clone()
    }

    /// Damages contents from now on.
    pub(crate) fn damage(&self, damage: Damage) {
        *self.damage.lock().unwrap() = Some(damage);
    }

    /// Fails whatever it is asked from now on, or no longer.
    pub(crate) fn set_broken(&self, is_broken: bool) {
        self.is_broken.store(is_broken, Ordering::Relaxed);
    }

    /// Has no room from now on, or again.
    pub(crate) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    fn check(&self) -> Result<(), BackendError> {
        if self.is_broken.load(Ordering::Relaxed) { Err(BackendError::new("broken by the test")) } else { Ok(()) }
    }
}

#[async_trait]
impl Contents for ContentsOnLoan {
    async fn has_room(&self) -> Result<bool, BackendError> {
        Ok(!self.is_full.load(Ordering::Relaxed))
    }

    async fn append(&self, policy: ContentPolicy, contents: Vec<Vec<u8>>) -> Result<StoredContents, BackendError> {
        self.check()?;
        let stored = self.contents.append(policy, contents).await?;
        self.lent.lock().unwrap().extend(stored.handles.iter().map(|handle| handle.0.clone()));
        self.policies.lock().unwrap().push(policy);
        Ok(stored)
    }

    async fn read(&self, handles: Vec<ContentHandle>) -> Result<Vec<Option<Vec<u8>>>, BackendError> {
        self.check()?;
        let mut contents = self.contents.read(handles).await?;
        for content in &mut contents {
            match *self.damage.lock().unwrap() {
                Some(Damage::Gone(length)) if content.as_ref().is_some_and(|it| it.len() == length) => *content = None,
                Some(Damage::Altered(length)) => {
                    content.iter_mut().filter(|it| it.len() == length).for_each(|it| it.reverse());
                }
                _ => {}
            }
        }
        Ok(contents)
    }

    fn describe(&self, handle: &ContentHandle) -> Option<ContentForm> {
        self.contents.describe(handle)
    }

    async fn discard(&self, handles: Vec<ContentHandle>) -> Result<(), BackendError> {
        self.check()?;
        for handle in &handles {
            assert!(self.lent.lock().unwrap().remove(&handle.0), "given back twice: {handle:?}");
        }
        self.contents.discard(handles).await
    }

    async fn compact(&self) -> Result<bool, BackendError> {
        self.contents.compact().await
    }
}
