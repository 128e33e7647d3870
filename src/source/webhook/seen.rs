//! What has come already: marks of deliveries, so that the same one again is answered and not kept twice. The last 65,536 to 131,072 of them, in two files
//! that take turns. It spares work and is no promise: whoever stores what a delivery says knows what was stored.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// 1 MiB a file, and some 3 MB of memory for both.
const IN_ONE: usize = 65_536;
const NAMES: [&str; 2] = ["seen-1", "seen-2"];

type Mark = [u8; 16];

/// Marks of what has come.
#[derive(Debug)]
pub struct Seen {
    folder: PathBuf,
    /// The file that is written, and which of the two it is.
    file: File,
    at: usize,
    new: HashSet<Mark>,
    old: HashSet<Mark>,
}

impl Seen {
    /// Reads what was remembered.
    ///
    /// # Errors
    /// The files can't be read or written.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let [first, second] = NAMES.map(|name| read(&folder.join(name)));
        let (first, second) = (first?, second?);
        // The one that is not full is the newer one; with neither full the second waits for its turn.
        let at = usize::from(first.len() >= IN_ONE && second.len() < IN_ONE);
        let (new, old) = if at == 0 { (first, second) } else { (second, first) };
        let file = open(folder, at, new.len())?;
        Ok(Self { folder: folder.to_owned(), file, at, new, old })
    }

    /// Whether it came before.
    pub fn knows(&self, mark: &Mark) -> bool {
        self.new.contains(mark) || self.old.contains(mark)
    }

    /// Remembers marks.
    ///
    /// # Errors
    /// They can't be written; they are remembered as long as this process lives.
    pub fn remember(&mut self, marks: &[Mark]) -> io::Result<()> {
        let new: Vec<Mark> = marks.iter().filter(|mark| !self.knows(mark)).copied().collect();
        self.new.extend(&new);
        self.file.write_all(&new.concat())?;
        if self.new.len() >= IN_ONE {
            self.at = 1 - self.at;
            self.old = std::mem::take(&mut self.new);
            self.file = open(&self.folder, self.at, 0)?;
        }
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<HashSet<Mark>> {
    match fs::read(path) {
        Ok(bytes) => Ok(bytes.as_chunks::<16>().0.iter().take(2 * IN_ONE).copied().collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(HashSet::new()),
        Err(error) => Err(error),
    }
}

/// With so many marks in it: what is behind them was torn.
fn open(folder: &Path, at: usize, kept: usize) -> io::Result<File> {
    let path = folder.join(NAMES.get(at).copied().unwrap_or("seen-1"));
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let length = u64::try_from(kept).unwrap_or(0) * 16;
    if file.metadata()?.len() != length {
        file.set_len(length)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(number: usize) -> Mark {
        let mut mark = [7; 16];
        mark[..8].copy_from_slice(&(number as u64).to_be_bytes());
        mark
    }

    #[test]
    fn what_came_is_known_over_restarts_and_the_oldest_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let many = 3 * IN_ONE + 10;
        for chunk in (0..many).collect::<Vec<_>>().chunks(50_000) {
            let mut seen = Seen::open(dir.path()).unwrap();
            let marks: Vec<Mark> = chunk.iter().map(|number| mark(*number)).collect();
            for group in marks.chunks(256) {
                seen.remember(group).unwrap();
            }
        }
        let mut seen = Seen::open(dir.path()).unwrap();
        assert!((many - IN_ONE..many).all(|number| seen.knows(&mark(number))), "the last ones are known");
        assert!(!seen.knows(&mark(0)) && !seen.knows(&mark(many)));
        assert!(seen.new.len() + seen.old.len() <= 2 * IN_ONE);
        let size: u64 = NAMES.iter().map(|name| fs::metadata(dir.path().join(name)).map_or(0, |data| data.len())).sum();
        assert!(size <= 2 * 16 * (IN_ONE as u64 + 256), "{size}");
        // A torn mark at the end does not shift those after it.
        drop(seen);
        for name in NAMES {
            OpenOptions::new().append(true).open(dir.path().join(name)).unwrap().write_all(b"torn").unwrap();
        }
        seen = Seen::open(dir.path()).unwrap();
        seen.remember(&[mark(many)]).unwrap();
        drop(seen);
        assert!(Seen::open(dir.path()).unwrap().knows(&mark(many)));
    }
}
