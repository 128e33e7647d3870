//! Hears when something is put where sources read: the system's word (inotify) in place of the next look. Where there is none (a network share that
//! others write to, a system without it), the next look finds the same.

use crate::declare::config::{SourceKind, SourceSpec};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What one place is watched for.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Place {
    folder: PathBuf,
    /// The one file that matters; `None`: any.
    file: Option<OsString>,
}

/// The places of sources that are files and folders.
fn places(sources: &[SourceSpec]) -> Vec<Place> {
    let folder_of = |path: &Path| path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    sources
        .iter()
        .filter_map(|source| match &source.kind {
            SourceKind::File { path } => Some(Place { folder: folder_of(path), file: path.file_name().map(ToOwned::to_owned) }),
            SourceKind::Folder { inbox, .. } => Some(Place { folder: inbox.clone(), file: None }),
            SourceKind::Network(_) | SourceKind::Webhook(_) | SourceKind::Singer(_) => None,
        })
        .collect()
}

/// Watches the places of sources.
#[derive(Debug)]
pub struct Watch {
    #[cfg(target_os = "linux")]
    inner: linux::Inner,
}

impl Watch {
    /// Of every file and folder among the sources; `None` where nothing can be heard.
    pub fn of(sources: &[SourceSpec]) -> Option<Self> {
        let places = places(sources);
        if places.is_empty() {
            return None;
        }
        #[cfg(target_os = "linux")]
        return linux::Inner::of(&places).map(|inner| Self { inner });
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// Returns when something was written, or put there, that a source reads.
    ///
    /// # Errors
    /// Nothing is heard any more.
    #[cfg_attr(not(target_os = "linux"), expect(clippy::unused_async, reason = "there is nothing to hear"))]
    pub async fn heard(&mut self) -> std::io::Result<()> {
        #[cfg(target_os = "linux")]
        return self.inner.heard().await;
        #[cfg(not(target_os = "linux"))]
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use super::Place;
    use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init};
    use rustix::io::Errno;
    use std::ffi::OsStr;
    use std::io;
    use std::mem::MaybeUninit;
    use std::os::fd::OwnedFd;
    use std::os::unix::ffi::OsStrExt;
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// An event is 16 bytes and a name of at most 256: some 250 short ones fit.
    const BUFFER: usize = 8 * 1024;

    #[derive(Debug)]
    pub(super) struct Inner {
        queue: AsyncFd<OwnedFd>,
        places: Vec<(i32, Place)>,
    }

    impl Inner {
        pub(super) fn of(places: &[Place]) -> Option<Self> {
            let queue = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
            let for_what = WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO | WatchFlags::MODIFY;
            // A folder that is not there yet is found by the next look.
            let watched = |place: &Place| add_watch(&queue, &place.folder, for_what).ok().map(|number| (number, place.clone()));
            let places: Vec<_> = places.iter().filter_map(watched).collect();
            if places.is_empty() {
                return None;
            }
            // Its successor wants an unsafe block; what it is unsound for are types that do not own their descriptor, and this one does.
            #[expect(deprecated, reason = "the safe constructor; `OwnedFd` owns what it shows")]
            let queue = AsyncFd::with_interest(queue, Interest::READABLE).ok()?;
            Some(Self { queue, places })
        }

        pub(super) async fn heard(&mut self) -> io::Result<()> {
            loop {
                let mut ready = self.queue.readable_mut().await?;
                let places = &self.places;
                let heard = ready.try_io(|queue| drain(queue.get_ref(), places));
                match heard {
                    Ok(Ok(true)) => return Ok(()),
                    Ok(Ok(false)) | Err(_) => {}
                    Ok(Err(error)) => return Err(error),
                }
            }
        }
    }

    /// Takes what is there; whether any of it matters. Where nothing is left, the next word is waited for.
    fn drain(queue: &OwnedFd, places: &[(i32, Place)]) -> io::Result<bool> {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut events = Reader::new(queue, &mut buffer);
        let mut matters = false;
        loop {
            match events.next() {
                Ok(event) => {
                    // Words that were lost may have mattered.
                    matters |= event.events().contains(ReadFlags::QUEUE_OVERFLOW);
                    let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                    matters |= places
                        .iter()
                        .filter(|(number, _)| *number == event.wd())
                        .any(|(_, place)| place.file.as_ref().is_none_or(|file| name.is_some_and(|name| name == file.as_os_str())));
                }
                Err(Errno::WOULDBLOCK) if matters => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;

    fn source(kind: SourceKind) -> SourceSpec {
        SourceSpec { name: "s".into(), kind, network: None }
    }

    async fn is_heard(watch: &mut Watch) -> bool {
        tokio::time::timeout(Duration::from_millis(300), watch.heard()).await.is_ok_and(|heard| heard.is_ok())
    }

    #[tokio::test]
    async fn what_a_source_reads_is_heard_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (file, inbox) = (dir.path().join("a.ndjson"), dir.path().join("in"));
        fs::create_dir(&inbox).unwrap();
        let folder = SourceKind::Folder { inbox: inbox.clone(), done: dir.path().join("done"), rows: None };
        let mut watch = Watch::of(&[source(SourceKind::File { path: file.clone() }), source(folder)]).unwrap();
        assert!(!is_heard(&mut watch).await);
        fs::write(dir.path().join("customers.csv"), "x").unwrap();
        assert!(!is_heard(&mut watch).await, "another file of the folder");
        fs::write(&file, "{}\n").unwrap();
        assert!(is_heard(&mut watch).await);
        fs::rename(dir.path().join("customers.csv"), inbox.join("b.ndjson")).unwrap();
        assert!(is_heard(&mut watch).await, "moved in whole");
        assert!(!is_heard(&mut watch).await, "told once");
        for n in 0..2_000 {
            fs::write(inbox.join(n.to_string()), "{}").unwrap();
        }
        assert!(is_heard(&mut watch).await);
    }

    #[tokio::test]
    async fn without_a_place_there_is_nothing_to_hear() {
        let nowhere = SourceKind::Folder { inbox: "/does/not/exist".into(), done: "/does/not/exist".into(), rows: None };
        assert!(Watch::of(&[]).is_none() && Watch::of(&[source(nowhere)]).is_none());
    }
}
