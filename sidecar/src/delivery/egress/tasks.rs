//! The tasks that connections live in. They end with the way out that they belong to.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Spawns what drives a connection; clones share one end. As many at once as there are connections.
#[derive(Debug, Clone, Default)]
pub(super) struct Tasks {
    tracker: TaskTracker,
    end: CancellationToken,
}

impl Tasks {
    pub(super) fn spawn<F: Future<Output: Send> + Send + 'static>(&self, task: F) {
        let end = self.end.clone();
        self.tracker.spawn(async move { end.run_until_cancelled(task).await.map(drop) });
    }

    /// Cuts every task off: the connections they drive are closed.
    pub(super) fn end(&self) {
        self.end.cancel();
    }
}

/// HTTP/2 spawns by itself.
impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}
