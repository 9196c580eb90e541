//! The store in a bucket of an S3-speaking server on loopback, under the suites that every file layer passes.

#![expect(clippy::unwrap_used, reason = "these are tests: the first surprise ends them")]

use std::{net::SocketAddr, path::Path, sync::Arc};

use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use object_store::aws::AmazonS3Builder;
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use sealpost_blocks::{ObjectFiles, conformance::Opener};
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
    let open = move || -> Arc<dyn sealpost_blocks::Files> {
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

mod files {
    sealpost_blocks::files_conformance!(super::make);
}

/// All checks of the suite but three, which need contents of many megabytes: over this server each of them takes minutes.
/// What those do with full segments is done here with small ones.
mod store {
    sealpost_blocks::block_conformance_tests! { super::make, store:
        contents_of_many_lengths_come_back_under_every_option
        a_content_may_come_in_any_parts_and_be_read_in_any
        a_range_is_read_alone
        equal_contents_share_no_block
        what_was_synced_survives_and_what_no_ledger_knows_is_let_go_of
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
