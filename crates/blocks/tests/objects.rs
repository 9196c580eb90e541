//! The store in an object store, under the suites that every file layer passes: in a bucket of an S3-speaking server on
//! loopback, and in memory.

#![expect(clippy::unwrap_used, reason = "these are tests: the first surprise ends them")]

use std::{net::SocketAddr, path::Path, sync::Arc};

use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use object_store::{aws::AmazonS3Builder, memory::InMemory};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use sealpost_blocks::{
    BlockSize, Files, ObjectFiles, Recovery, WhiteningPolicy,
    conformance::{Opener, content, options, store as open_store},
    limits,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime};

const BUCKET: &str = "blocks";

/// Serves the folders in `root` as buckets.
async fn serve(root: &Path) -> SocketAddr {
    let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root).unwrap());
    service.set_auth(SimpleAuth::from_single("name", "secret"));
    let service = service.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let server = Builder::new(TokioExecutor::new());
            let connection = server.serve_connection(TokioIo::new(socket), service.clone()).into_owned();
            tokio::spawn(connection);
        }
    });
    address
}

fn make() -> (Opener, (TempDir, Runtime)) {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join(BUCKET)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let address = runtime.block_on(serve(root.path()));
    let open = move || -> Arc<dyn Files> {
        let bucket = AmazonS3Builder::new()
            .with_endpoint(format!("http://{address}"))
            .with_allow_http(true)
            .with_region("us-east-1")
            .with_bucket_name(BUCKET)
            .with_access_key_id("name")
            .with_secret_access_key("secret")
            .build()
            .unwrap();
        Arc::new(ObjectFiles::open(Arc::new(bucket), "relay/blocks").unwrap())
    };
    (Box::new(open), (root, runtime))
}

fn make_in_memory() -> (Opener, ()) {
    let bucket = Arc::new(InMemory::new());
    (Box::new(move || Arc::new(ObjectFiles::open(bucket.clone(), "relay/blocks").unwrap())), ())
}

mod files {
    sealpost_blocks::files_conformance!(super::make);
}

mod files_in_memory {
    sealpost_blocks::files_conformance!(super::make_in_memory);
}

mod store_in_memory {
    sealpost_blocks::store_conformance!(super::make_in_memory);
}

/// All checks of the suite but two, which write hundreds of megabytes anew: over this server they take minutes. What those do
/// with full segments is done here with small ones, and as it is in memory.
mod store {
    sealpost_blocks::block_conformance_tests! { super::make, store:
        contents_of_many_lengths_come_back_under_every_option
        a_content_may_come_in_any_parts_and_be_read_in_any
        a_range_is_read_alone
        equal_contents_share_no_block
        what_was_synced_survives_and_what_no_ledger_knows_is_let_go_of
        a_closed_store_is_opened_without_reading_segments
        nothing_of_a_content_is_found_in_the_files
        a_content_let_go_of_is_gone_and_the_others_stay
        a_shredded_content_cannot_be_put_together
        an_unfinished_content_leaves_nothing
        orphans_are_collected_and_what_is_needed_stays
        pools_end_with_what_borrowed_from_them
        a_length_that_was_not_announced_is_refused
        another_node_s_cbl_is_refused
        a_ledger_that_is_ahead_is_refused
        a_small_segment_is_compacted_and_every_handle_is_kept
        damage_in_a_small_segment_is_found_and_mended_from_a_copy
    }
}

#[test]
fn a_content_of_several_objects_comes_back_whole_and_in_ranges() {
    let (open, _kept) = make();
    let content = content(1, (16 << 20) + 1);
    let (store, _) = open_store(open(), Recovery::Everything);
    let handle = store.append(&content, options(WhiteningPolicy::Pooled)).unwrap();
    assert!(handle.is_cbl() && handle.block_size() == BlockSize::Large);
    let mark = store.sync().unwrap();
    drop(store);
    let files = open().list().unwrap();
    assert!(files.iter().any(|(_, length)| *length > limits::OBJECT_PART as u64), "{files:?}");
    let (store, _) = open_store(open(), Recovery::Committed(mark));
    assert!(store.read(&handle).unwrap() == content);
    let (start, end) = ((16 << 20) - 5, (16 << 20) + 1);
    let range = store.range(&handle, start..end).unwrap().to_end().unwrap();
    assert!(range == content[start as usize..]);
}
