//! The form of a spool's files, and of what is drained: frames one behind the other. A frame is its content's length (4 bytes, big-endian), the first 8 bytes
//! of the SHA-256 of the content, and the content: its version (1), how the body is kept (0 plain, 1 in the age format), when it came (8 bytes, microseconds
//! since 1970, big-endian), and the body.

use crate::model::Personal;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

const VERSION: u8 = 1;
/// Length and check.
const HEAD: usize = 12;
/// Version, kind and time.
const BEFORE_BODY: usize = 10;
/// The longest content: 16 MiB of a body and what age adds, some 0.1 %.
pub const LONGEST: usize = 17 << 20;

/// A delivery as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// When it came, in microseconds since 1970.
    pub at: i64,
    /// Whether the body is encrypted.
    pub sealed: bool,
    /// The body.
    pub body: Personal<Vec<u8>>,
}

impl Frame {
    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let body = self.body.reveal();
        let mut content = Vec::with_capacity(BEFORE_BODY + body.len());
        content.extend([VERSION, u8::from(self.sealed)]);
        content.extend(self.at.to_be_bytes());
        content.extend_from_slice(body);
        let mut bytes = Vec::with_capacity(HEAD + content.len());
        bytes.extend(u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend(check(&content));
        bytes.extend(content);
        bytes
    }
}

fn check(content: &[u8]) -> [u8; 8] {
    let mut check = [0; 8];
    check.iter_mut().zip(Sha256::digest(content)).for_each(|(to, from)| *to = from);
    check
}

/// The whole frames at the beginning of some bytes, each with where it ends, and how many bytes they are together. What is behind them is torn.
pub fn frames(bytes: &[u8]) -> (Vec<(usize, Frame)>, usize) {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some((frame, length)) = bytes.get(at..).and_then(first) {
        at += length;
        found.push((at, frame));
    }
    (found, at)
}

/// A frame's head, and what stands before its body.
pub const WITH_TIME: usize = HEAD + BEFORE_BODY;

/// When a delivery came, by the first bytes of its frame, unchecked.
pub fn came(head: &[u8; WITH_TIME]) -> Option<i64> {
    Some(i64::from_be_bytes(*head.get(HEAD + 2..)?.first_chunk()?))
}

/// How long the first frame is, by its head alone.
pub fn length(head: &[u8]) -> Option<usize> {
    let length = usize::try_from(u32::from_be_bytes(*head.first_chunk()?)).ok()?;
    (BEFORE_BODY..=LONGEST).contains(&length).then_some(HEAD + length)
}

fn first(bytes: &[u8]) -> Option<(Frame, usize)> {
    let whole = bytes.get(..length(bytes)?)?;
    let (head, content) = whole.split_at_checked(HEAD)?;
    if head.get(4..)? != check(content) {
        return None;
    }
    let (before, body) = content.split_at_checked(BEFORE_BODY)?;
    let (version, sealed) = (*before.first()?, *before.get(1)?);
    if version != VERSION || sealed > 1 {
        return None;
    }
    let at = i64::from_be_bytes(*before.get(2..)?.first_chunk()?);
    Some((Frame { at, sealed: sealed == 1, body: Personal::new(body.to_vec()) }, whole.len()))
}

/// How far a spool was read: a file of it, and a place in that file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Position {
    /// The file's number: the microsecond in which it was begun, so that no number comes twice, also not after all files went.
    pub file: u64,
    /// Bytes from its beginning.
    pub end: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.file, self.end)
    }
}

/// A text that is no position.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no position in a spool")]
pub struct NoPosition;

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let (file, end) = text.split_once('/').ok_or(NoPosition)?;
        let number = |text: &str| {
            let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| plain).ok_or(NoPosition)
        };
        Ok(Self { file: number(file)?, end: number(end)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(at: i64, sealed: bool, body: Vec<u8>) -> Frame {
        Frame { at, sealed, body: Personal::new(body) }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_what_is_torn_ends_it(
            bodies in proptest::collection::vec((any::<i64>(), any::<bool>(), proptest::collection::vec(any::<u8>(), 0..60)), 0..6),
            cut in any::<proptest::sample::Index>(),
        ) {
            let written: Vec<Frame> = bodies.into_iter().map(|(at, sealed, body)| frame(at, sealed, body)).collect();
            let bytes: Vec<u8> = written.iter().flat_map(Frame::to_bytes).collect();
            let (read, whole) = frames(&bytes);
            prop_assert_eq!(whole, bytes.len());
            prop_assert_eq!(read.iter().map(|(_, frame)| frame).collect::<Vec<_>>(), written.iter().collect::<Vec<_>>());
            let cut = cut.index(bytes.len() + 1);
            let (torn, whole) = frames(&bytes[..cut]);
            prop_assert!(whole <= cut && read.starts_with(&torn));
            prop_assert_eq!(torn.last().map_or(0, |(end, _)| *end), whole);
        }

        #[test]
        fn a_changed_byte_ends_it_there(body in proptest::collection::vec(any::<u8>(), 1..60), at in any::<proptest::sample::Index>(), bit in 0..8_u32) {
            let one = frame(7, false, body);
            let mut bytes = [one.to_bytes(), one.to_bytes()].concat();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let (read, _) = frames(&bytes);
            prop_assert_eq!(read.len(), usize::from(at >= bytes.len() / 2));
        }

        #[test]
        fn a_position_is_read_as_it_was_written(file in any::<u64>(), end in any::<u64>(), text in ".{0,20}") {
            let position = Position { file, end };
            prop_assert_eq!(position.to_string().parse::<Position>(), Ok(position));
            if let Ok(read) = text.parse::<Position>() {
                prop_assert!(!text.contains('+') && read.to_string().len() <= text.len());
            }
        }
    }
}
