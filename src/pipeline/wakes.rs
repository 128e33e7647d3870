//! A pass begins when something is put where a source reads, and not at the next look alone.

use super::intake::QUIET_FOR;
use crate::source::Watch;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Passes that are woken so begin at most four times a second, however often a file is written to.
const AT_MOST: Duration = Duration::from_millis(250);

/// What is younger than this counts as growing, and is looked at again when it is older.
const GROWN: Duration = QUIET_FOR.saturating_add(Duration::from_millis(50));

/// Wakes passes until nothing is heard any more; then the service looks at its own pace, as it does beside this.
pub(super) async fn wake(mut watch: Watch, passes: Arc<Notify>) {
    let mut growing = false;
    loop {
        let heard = if growing { tokio::time::timeout(GROWN, watch.heard()).await.ok() } else { Some(watch.heard().await) };
        match heard {
            Some(Ok(())) => growing = true,
            None => growing = false,
            Some(Err(error)) => {
                tracing::warn!(%error, "sources are not heard any more: they are looked at every [service] poll_seconds");
                return;
            }
        }
        passes.notify_one();
        tokio::time::sleep(AT_MOST).await;
    }
}
