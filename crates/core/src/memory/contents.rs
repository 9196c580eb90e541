//! Contents in memory.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;

use crate::ports::{BackendError, ContentPolicy, Contents, ContentsMark, Handle, StoredContents};

/// Contents by number.
#[derive(Debug, Default)]
pub struct MemoryContents {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    contents: HashMap<Vec<u8>, Vec<u8>>,
}

#[async_trait]
impl Contents for MemoryContents {
    async fn has_room(&self) -> Result<bool, BackendError> {
        Ok(true)
    }

    async fn append(&self, _policy: ContentPolicy, contents: Vec<Vec<u8>>) -> Result<StoredContents, BackendError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let store = |content: Vec<u8>| {
            state.next += 1;
            let handle = state.next.to_be_bytes().to_vec();
            state.contents.insert(handle.clone(), content);
            Handle(handle)
        };
        Ok(StoredContents { handles: contents.into_iter().map(store).collect(), mark: ContentsMark::default() })
    }

    async fn read(&self, handles: Vec<Handle>) -> Result<Vec<Option<Vec<u8>>>, BackendError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(handles.iter().map(|handle| state.contents.get(&handle.0).cloned()).collect())
    }

    async fn discard(&self, handles: Vec<Handle>) -> Result<(), BackendError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for handle in handles {
            state.contents.remove(&handle.0);
        }
        Ok(())
    }

    async fn compact(&self) -> Result<bool, BackendError> {
        Ok(false)
    }
}
