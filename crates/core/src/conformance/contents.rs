//! What every adapter of [`Contents`] must do.

use std::{collections::BTreeSet, sync::Arc};

use crate::ports::{ContentHandle, ContentPolicy, Contents};

/// Makes every check of the suite a test: `contents_conformance!(make)`, where `make` is an async function that returns
/// an empty adapter and something to keep until the check is over.
#[macro_export]
macro_rules! contents_conformance {
    ($make:path) => {
        $crate::conformance_tests! { $make, contents:
            contents_come_back_in_the_order_asked_for
            nothing_and_a_mebibyte_are_contents_too
            equal_contents_are_stored_for_each_who_stored_them
            letting_go_of_one_leaves_the_others
            letting_go_twice_is_no_error
            contents_stored_at_once_stay_apart
            what_was_let_go_of_is_gone
            marks_never_go_back
            a_handle_alone_tells_how_its_content_lies
            what_is_no_handle_tells_nothing
        }
    };
}

pub async fn contents_come_back_in_the_order_asked_for(contents: Arc<dyn Contents>) {
    let stored = [b"first".to_vec(), b"second".to_vec(), b"third".to_vec()];
    let handles = append(&*contents, stored.to_vec()).await;
    assert_eq!(read(&*contents, handles.clone()).await, stored);
    let backwards: Vec<ContentHandle> = handles.into_iter().rev().collect();
    assert_eq!(read(&*contents, backwards).await, [b"third".to_vec(), b"second".to_vec(), b"first".to_vec()]);
    assert_eq!(read(&*contents, Vec::new()).await, Vec::<Vec<u8>>::new());
}

pub async fn nothing_and_a_mebibyte_are_contents_too(contents: Arc<dyn Contents>) {
    let large = (0..1 << 20).map(|index: u32| index.to_le_bytes()[1]).collect();
    let stored = [Vec::new(), large];
    let handles = append(&*contents, stored.to_vec()).await;
    assert!(read(&*contents, handles).await == stored);
}

pub async fn equal_contents_are_stored_for_each_who_stored_them(contents: Arc<dyn Contents>) {
    let mine = append(&*contents, vec![b"same".to_vec()]).await;
    let yours = append(&*contents, vec![b"same".to_vec()]).await;
    contents.discard(mine).await.unwrap();
    assert_eq!(read(&*contents, yours).await, [b"same".to_vec()]);
}

pub async fn letting_go_of_one_leaves_the_others(contents: Arc<dyn Contents>) {
    let mut handles = append(&*contents, vec![b"gone".to_vec(), b"kept".to_vec()]).await;
    let kept = handles.split_off(1);
    contents.discard(handles).await.unwrap();
    assert_eq!(read(&*contents, kept).await, [b"kept".to_vec()]);
}

pub async fn letting_go_twice_is_no_error(contents: Arc<dyn Contents>) {
    let handles = append(&*contents, vec![b"gone".to_vec()]).await;
    contents.discard(handles.clone()).await.unwrap();
    contents.discard(handles).await.unwrap();
    contents.discard(Vec::new()).await.unwrap();
}

pub async fn contents_stored_at_once_stay_apart(contents: Arc<dyn Contents>) {
    let store = |number: u8| {
        let contents = Arc::clone(&contents);
        tokio::spawn(async move { (number, append(&*contents, vec![vec![number; 100]]).await) })
    };
    let storing: Vec<_> = (0..16).map(store).collect();
    for stored in storing {
        let (number, handles) = stored.await.unwrap();
        assert_eq!(read(&*contents, handles).await, [vec![number; 100]]);
    }
}

/// Contents that are all there.
async fn read(contents: &dyn Contents, handles: Vec<ContentHandle>) -> Vec<Vec<u8>> {
    contents.read(handles).await.unwrap().into_iter().map(Option::unwrap).collect()
}

pub async fn what_was_let_go_of_is_gone(contents: Arc<dyn Contents>) {
    for policy in [ContentPolicy::Pooled, ContentPolicy::Fresh] {
        let stored = contents.append(policy, vec![b"gone".to_vec(), vec![7; 20_000]]).await.unwrap();
        contents.discard(stored.handles.clone()).await.unwrap();
        assert_eq!(contents.read(stored.handles).await.unwrap(), [None, None], "{policy:?}");
    }
}

pub async fn marks_never_go_back(contents: Arc<dyn Contents>) {
    let mut last = 0;
    for number in 0..10 {
        let policy = if number % 2 == 0 { ContentPolicy::Pooled } else { ContentPolicy::Fresh };
        let mark = contents.append(policy, vec![vec![number; 3_000]]).await.unwrap().mark;
        assert!(mark.position() >= last);
        last = mark.position();
    }
}

pub async fn a_handle_alone_tells_how_its_content_lies(contents: Arc<dyn Contents>) {
    let lengths = [0, 1, 1_000, 20_000, 300_000, 1 << 20];
    let mut ids = BTreeSet::new();
    for policy in [ContentPolicy::Pooled, ContentPolicy::Fresh] {
        let stored = contents.append(policy, lengths.map(|length| vec![7; length]).to_vec()).await.unwrap();
        let described = || stored.handles.iter().map(|handle| contents.describe(handle).unwrap()).collect::<Vec<_>>();
        let forms = described();
        for (form, length) in forms.iter().zip(lengths) {
            assert_eq!((form.length, form.policy), (length as u64, policy));
            let blocks = form.padded_length.div_ceil(u64::from(form.block_size).max(1));
            let fits = form.padded_length >= form.length && (form.is_cbl || blocks == form.block_ids.len() as u64);
            assert!(fits && form.tuple_size > 0, "{form:?}");
            assert_eq!(form.block_ids.is_empty(), length == 0, "{form:?}");
            assert!(form.block_ids.iter().all(|id| ids.insert(*id)), "blocks are nobody else's: {form:?}");
        }
        contents.discard(stored.handles.clone()).await.unwrap();
        assert_eq!(described(), forms, "it need not be there");
    }
}

pub async fn what_is_no_handle_tells_nothing(contents: Arc<dyn Contents>) {
    let handle = append(&*contents, vec![b"content".to_vec()]).await.remove(0);
    for length in 0..handle.0.len() {
        assert_eq!(contents.describe(&ContentHandle(handle.0[..length].to_vec())), None);
    }
    assert_eq!(contents.describe(&ContentHandle([&handle.0[..], &[0]].concat())), None);
}

/// Stored under the policy whose blocks are nobody else's.
async fn append(contents: &dyn Contents, all: Vec<Vec<u8>>) -> Vec<ContentHandle> {
    contents.append(ContentPolicy::Fresh, all).await.unwrap().handles
}
