//! What a network says is gone: a file of a JSON object a line, taken piece by piece.

use super::error::ComplianceError;
use crate::wire::http::{Opened, SendError};
use std::time::Duration;

/// A line names an id, two times and two words: 300 bytes. What is longer is none.
const LONGEST_LINE: usize = 16 * 1024;

/// A line of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line {
    /// Without its end.
    Whole(Vec<u8>),
    /// Longer than any is: it was passed over.
    TooLong,
}

/// Lines out of pieces.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
    /// The present line is longer than any: it is passed over to its end.
    over: bool,
}

impl Lines {
    /// The lines that a piece completes.
    pub fn take(&mut self, piece: &[u8]) -> Vec<Line> {
        let mut found = Vec::new();
        let mut rest = piece;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at_checked(at).unwrap_or((rest, &[]));
            self.extend(line);
            found.extend(self.line());
            rest = after.get(1..).unwrap_or_default();
        }
        self.extend(rest);
        found
    }

    /// The last line, where it has no end.
    pub fn end(&mut self) -> Option<Line> {
        self.line()
    }

    fn extend(&mut self, bytes: &[u8]) {
        if self.rest.len() + bytes.len() > LONGEST_LINE {
            (self.over, self.rest) = (true, Vec::new());
        } else if !self.over {
            self.rest.extend_from_slice(bytes);
        }
    }

    fn line(&mut self) -> Option<Line> {
        let line = std::mem::take(&mut self.rest);
        if std::mem::take(&mut self.over) {
            return Some(Line::TooLong);
        }
        (!line.trim_ascii().is_empty()).then_some(Line::Whole(line))
    }
}

/// The file of a job that is complete, as it comes.
#[derive(Debug)]
pub struct Answer {
    opened: Opened,
    lines: Lines,
    patience: Duration,
    ended: bool,
}

impl Answer {
    pub(super) fn new(opened: Opened, patience: Duration) -> Self {
        Self { opened, lines: Lines::default(), patience, ended: false }
    }

    /// The next lines, as they came; `None` at the end.
    ///
    /// # Errors
    /// Where the connection breaks, or nothing comes for too long.
    pub async fn next(&mut self) -> Result<Option<Vec<Line>>, ComplianceError> {
        if self.ended {
            return Ok(None);
        }
        let piece = tokio::time::timeout(self.patience, self.opened.piece()).await;
        let piece = piece.unwrap_or_else(|_late| Err(SendError::Unanswered("the time was up".to_owned())))?;
        if let Some(piece) = piece {
            return Ok(Some(self.lines.take(&piece)));
        }
        self.ended = true;
        Ok(Some(self.lines.end().into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_without_end_is_passed_over_and_the_next_one_taken() {
        let mut lines = Lines::default();
        for _ in 0..1_000 {
            assert!(lines.take(&[b'x'; 1_000]).is_empty());
            assert!(lines.rest.len() <= LONGEST_LINE);
        }
        assert_eq!(lines.take(b"x\n{}\n\n \r\nlast"), [Line::TooLong, Line::Whole(b"{}".to_vec())]);
        assert_eq!(lines.end(), Some(Line::Whole(b"last".to_vec())));
        assert_eq!(lines.end(), None);
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_lines_are_the_same(text in "[a-c\n ]{0,200}", cuts in proptest::collection::vec(1_usize..20, 0..40)) {
            let mut lines = Lines::default();
            let (mut found, mut rest) = (Vec::new(), text.as_bytes());
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                found.extend(lines.take(piece));
                rest = after;
            }
            found.extend(lines.take(rest));
            found.extend(lines.end());
            let meant: Vec<_> = text.split('\n').filter(|line| !line.trim().is_empty()).map(|line| Line::Whole(line.as_bytes().to_vec())).collect();
            prop_assert_eq!(found, meant);
        }
    }
}
