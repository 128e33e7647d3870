//! A few reading connections beside the writer's, each read one transaction of one moment.

use super::error::InDatabase;
use super::open;
use crate::store::StoreError;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Reading connections kept open when idle. More are opened while more reads run at once; each blocking thread runs one.
const KEPT: usize = 4;

/// Where reads happen.
#[derive(Clone)]
pub(super) enum Readers {
    /// Connections to a file.
    File {
        /// The database.
        path: PathBuf,
        /// Idle connections.
        idle: Arc<Mutex<Vec<Connection>>>,
    },
    /// The one connection of a database in memory.
    Shared(Arc<Mutex<Connection>>),
}

impl Readers {
    /// Readers of a file.
    pub(super) fn of_file(path: PathBuf) -> Self {
        Self::File { path, idle: Arc::default() }
    }

    /// The database's file; `None` for one in memory.
    pub(super) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::File { path, .. } => Some(path.clone()),
            Self::Shared(_) => None,
        }
    }

    /// Reads in one transaction, on this thread.
    pub(super) fn read_here<R>(&self, query: impl FnOnce(&Connection) -> Result<R, StoreError>) -> Result<R, StoreError> {
        match self {
            // Between the writer's groups nothing is uncommitted.
            Self::Shared(conn) => query(&conn.lock().unwrap_or_else(PoisonError::into_inner)),
            Self::File { path, idle } => {
                let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let conn = match kept {
                    Some(conn) => conn,
                    None => open::reader(path)?,
                };
                let found = in_transaction(&conn, query);
                let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
                if idle.len() < KEPT && conn.is_autocommit() {
                    idle.push(conn);
                }
                found.map_err(|error| error.located(&path.display().to_string()))
            }
        }
    }

    /// Reads on a thread for blocking work, then does the rest (opening what is sealed) there too, off the connection.
    pub(super) async fn read<R, T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<R, StoreError> + Send + 'static,
        then: impl FnOnce(R) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
    {
        let readers = self.clone();
        self.off_thread(move || readers.read_here(query).and_then(then)).await
    }

    /// Runs CPU or file work on a thread for blocking work. Over a database in memory it runs here: nobody waits for a disk, and what happens in
    /// which order depends on the caller alone.
    pub(super) async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self {
            Self::File { .. } => blocking(work).await,
            Self::Shared(_) => work(),
        }
    }
}

/// Runs CPU or file work on a thread for blocking work. A panic there is the store's failure, not the caller's.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, StoreError> + Send + 'static) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|_panicked_or_shut_down| StoreError::Stopped)?
}

/// Reads of one moment.
pub(super) fn in_transaction<R>(conn: &Connection, query: impl FnOnce(&Connection) -> Result<R, StoreError>) -> Result<R, StoreError> {
    conn.execute_batch("BEGIN").said()?;
    let found = query(conn);
    let ended = conn.execute_batch("COMMIT").said();
    found.and_then(|found| ended.map(|()| found))
}
