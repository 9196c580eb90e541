//! What every request needs, built once.

use std::sync::Arc;

use sealpost_core::Services;
use sealpost_protocol::{Clock, ErrorCode};
use tokio::sync::{Semaphore, watch};

use crate::{
    authentication::{AuthenticationError, Authenticator, Caller},
    limits,
    memory::{Bounds, Memory, Share},
    tasks::Tasks,
    transport::Refusal,
};

/// The use cases, who calls them, and what they run on.
pub(crate) struct App {
    pub(crate) services: Services,
    pub(crate) authenticator: Authenticator,
    pub(crate) clock: Arc<dyn Clock>,
    /// For requests of members.
    pub(crate) memory: Memory,
    /// For requests that anyone may send.
    pub(crate) open_memory: Memory,
    pub(crate) tasks: Tasks,
    /// Whether the store did the last background write.
    pub(crate) store_works: watch::Sender<bool>,
    /// Whether the relay was ready when it last looked, for those who watch.
    pub(crate) is_ready: watch::Sender<bool>,
    /// Whether it serves the benchmark's echo.
    pub(crate) echoes: bool,
    writes: Arc<Semaphore>,
}

impl App {
    pub(crate) fn new(services: Services, authenticator: Authenticator, clock: Arc<dyn Clock>, tasks: Tasks) -> Self {
        let memory = Memory::new(Bounds {
            requests: limits::MEMORY,
            bodies: limits::BODY_MEMORY,
            of_one_agent: limits::AGENT_MEMORY,
        });
        let open_memory = Memory::new(Bounds { requests: limits::OPEN_MEMORY, bodies: 0, of_one_agent: 0 });
        let writes = Arc::new(Semaphore::new(limits::WRITES));
        Self {
            services,
            authenticator,
            clock,
            memory,
            open_memory,
            tasks,
            store_works: watch::Sender::new(true),
            is_ready: watch::Sender::new(true),
            echoes: false,
            writes,
        }
    }

    /// Whether the relay can do its whole work, and did the last background write: what every form of the question is
    /// answered with.
    pub(crate) async fn ready(&self) -> Result<(), Refusal> {
        if !*self.store_works.borrow() {
            return Err(Refusal::new(ErrorCode::Unavailable, "the store failed"));
        }
        Ok(self.services.readiness.check().await?)
    }

    /// Waits until a caller's token is over, by its time or because it is revoked.
    pub(crate) async fn over(&self, caller: Caller) -> Refusal {
        let left = caller.until.since(self.clock.now());
        tokio::select! {
            revoked = self.authenticator.revoked(caller) => revoked.into(),
            () = tokio::time::sleep(left) => AuthenticationError::TokenExpired.into(),
        }
    }

    /// Does `work` to its end, even if the client that asked for it goes away meanwhile: half of it would leave what was
    /// stored without those whom it concerns being told. What the request takes of memory counts until then. `None` if it
    /// ended in a panic.
    pub(crate) async fn write<F>(&self, share: Arc<Share>, work: F) -> Option<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let place = Arc::clone(&self.writes).acquire_owned().await.ok()?;
        let work = self.tasks.spawn_whole(async move {
            let done = work.await;
            drop((place, share));
            done
        });
        work.await.ok()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{
        collections::BTreeSet,
        sync::atomic::{AtomicBool, Ordering},
        time::Duration,
    };

    use futures::FutureExt;
    use sealpost_core::{
        Ports,
        conformance::HandClock,
        memory::{MemoryContents, MemoryLedger, MemoryPrekeys, MemoryRevocations},
        ports::{BackendError, ContentForm, ContentHandle, ContentPolicy, Contents, StoredContents},
    };
    use sealpost_protocol::LedgerId;
    use tokio::sync::oneshot;
    use tonic::async_trait;

    use super::*;
    use crate::node_keys::NodeKeys;

    /// Contents in memory, on a disk that may be full.
    #[derive(Clone)]
    pub(crate) struct Disk(Arc<(MemoryContents, AtomicBool)>);

    impl Default for Disk {
        fn default() -> Self {
            Self(Arc::new((MemoryContents::default(), AtomicBool::new(true))))
        }
    }

    impl Disk {
        pub(crate) fn set_room(&self, has_room: bool) {
            self.0.1.store(has_room, Ordering::SeqCst);
        }
    }

    #[async_trait]
    impl Contents for Disk {
        async fn has_room(&self) -> Result<bool, BackendError> {
            Ok(self.0.1.load(Ordering::SeqCst))
        }

        async fn append(&self, policy: ContentPolicy, contents: Vec<Vec<u8>>) -> Result<StoredContents, BackendError> {
            self.0.0.append(policy, contents).await
        }

        async fn read(&self, handles: Vec<ContentHandle>) -> Result<Vec<Option<Vec<u8>>>, BackendError> {
            self.0.0.read(handles).await
        }

        fn describe(&self, handle: &ContentHandle) -> Option<ContentForm> {
            self.0.0.describe(handle)
        }

        async fn discard(&self, handles: Vec<ContentHandle>) -> Result<(), BackendError> {
            self.0.0.discard(handles).await
        }

        async fn compact(&self) -> Result<bool, BackendError> {
            self.0.0.compact().await
        }
    }

    /// An app over memory, under a clock that stands still.
    pub(crate) fn app() -> App {
        app_on(Disk::default())
    }

    /// The same, with contents on this disk.
    pub(crate) fn app_on(disk: Disk) -> App {
        let folder = tempfile::tempdir().unwrap();
        let keys = Arc::new(NodeKeys::create(folder.path()).unwrap());
        let clock = Arc::<HandClock>::default();
        let authenticator = Authenticator::new(Arc::clone(&keys), LedgerId([7; 16]), clock.clone(), BTreeSet::new());
        let services = Services::new(Ports {
            ledger: Arc::<MemoryLedger>::default(),
            contents: Arc::new(disk),
            prekeys: Arc::<MemoryPrekeys>::default(),
            revocations: Arc::<MemoryRevocations>::default(),
            clock: clock.clone(),
            monotonic: clock.clone(),
            node: keys,
        });
        App::new(services, authenticator, clock, Tasks::default())
    }

    impl App {
        fn share(&self) -> Arc<Share> {
            Arc::new(self.memory.share())
        }
    }

    #[tokio::test]
    async fn a_write_that_nobody_waits_for_any_more_keeps_its_share_to_its_end() {
        let app = app();
        let (go_on, may_go_on) = oneshot::channel::<()>();
        let share = app.share();
        share.grow(1).unwrap();
        let write = app.write(share, async move { may_go_on.await.unwrap() });
        assert!(write.now_or_never().is_none(), "it is given up");
        assert!(!app.memory.has_free(limits::MEMORY));
        go_on.send(()).unwrap();
        app.tasks.stop().await;
        assert!(app.memory.has_free(limits::MEMORY));
    }

    #[tokio::test]
    async fn a_write_comes_to_its_end_when_nobody_waits_for_it_any_more() {
        let app = app();
        let (begun, has_begun) = oneshot::channel();
        let (go_on, may_go_on) = oneshot::channel();
        let (done, is_done) = oneshot::channel();
        let write = app.write(app.share(), async move {
            begun.send(()).unwrap();
            may_go_on.await.unwrap();
            done.send(()).unwrap();
        });
        tokio::select! {
            _ = write => panic!("it waits"),
            begun = has_begun => begun.unwrap(),
        }
        go_on.send(()).unwrap();
        assert!(is_done.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_writes_run_at_a_time_than_the_limit() {
        let app = app();
        let begin = async |work| tokio::time::timeout(Duration::from_secs(1), app.write(app.share(), work)).await;
        for _ in 0..limits::WRITES {
            assert!(begin(std::future::pending().boxed()).await.is_err(), "it runs on");
        }
        assert_eq!(app.writes.available_permits(), 0);
        assert!(begin(async { panic!("one too many") }.boxed()).await.is_err(), "it has not begun");
    }

    #[tokio::test]
    async fn a_write_that_panics_is_reported_and_makes_room() {
        let app = app();
        for _ in 0..=limits::WRITES {
            assert_eq!(app.write(app.share(), async { assert!(std::hint::black_box(false)) }).await, None);
        }
    }
}
