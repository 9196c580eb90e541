//! Contents in memory.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;

use crate::ports::{BackendError, ContentForm, ContentHandle, ContentPolicy, Contents, ContentsMark, StoredContents};

/// Contents by handle. Each is one block, of its own length and of nothing else.
#[derive(Debug, Default)]
pub struct MemoryContents {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    contents: HashMap<Vec<u8>, Vec<u8>>,
}

const POOLED: u8 = 1;
const FRESH: u8 = 2;

/// A number of its own, and what there is to say of the content.
fn handle(number: u64, length: u64, policy: ContentPolicy) -> ContentHandle {
    let policy = match policy {
        ContentPolicy::Pooled => POOLED,
        ContentPolicy::Fresh => FRESH,
    };
    ContentHandle([&number.to_be_bytes()[..], &length.to_be_bytes(), &[policy]].concat())
}

#[async_trait]
impl Contents for MemoryContents {
    async fn has_room(&self) -> Result<bool, BackendError> {
        Ok(true)
    }

    async fn append(&self, policy: ContentPolicy, contents: Vec<Vec<u8>>) -> Result<StoredContents, BackendError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let store = |content: Vec<u8>| {
            state.next += 1;
            let handle = handle(state.next, content.len() as u64, policy);
            state.contents.insert(handle.0.clone(), content);
            handle
        };
        Ok(StoredContents { handles: contents.into_iter().map(store).collect(), mark: ContentsMark::default() })
    }

    async fn read(&self, handles: Vec<ContentHandle>) -> Result<Vec<Option<Vec<u8>>>, BackendError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(handles.iter().map(|handle| state.contents.get(&handle.0).cloned()).collect())
    }

    fn describe(&self, handle: &ContentHandle) -> Option<ContentForm> {
        let (number, rest) = handle.0.split_first_chunk::<8>()?;
        let (length, policy) = rest.split_first_chunk()?;
        let policy = match policy {
            [POOLED] => ContentPolicy::Pooled,
            [FRESH] => ContentPolicy::Fresh,
            _ => return None,
        };
        let length = u64::from_be_bytes(*length);
        let mut id = [0; 32];
        id[24..].copy_from_slice(number);
        Some(ContentForm {
            length,
            padded_length: length,
            policy,
            block_size: u32::try_from(length).unwrap_or(u32::MAX),
            tuple_size: 1,
            is_cbl: false,
            block_ids: if length == 0 { Vec::new() } else { vec![id] },
        })
    }

    async fn discard(&self, handles: Vec<ContentHandle>) -> Result<(), BackendError> {
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
