//! What the log's key says besides checkpoints: a signed note (C2SP signed-note) whose first line says what it is, and whose second says it.

use super::checkpoint::{LogKey, Note, NoteError, VerifierKey};

/// A statement of one line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Statement<'a> {
    /// What it is, with a blank in it: no log's origin has one.
    pub what: &'a str,
    /// What it says: one line.
    pub says: &'a str,
}

impl Statement<'_> {
    /// The signed note.
    ///
    /// # Errors
    /// [`NoteError::Note`] where it is empty, or more than one line.
    pub fn sign(&self, key: &LogKey) -> Result<String, NoteError> {
        if self.says.is_empty() || self.says.contains('\n') {
            return Err(NoteError::Note("a statement is one line"));
        }
        key.sign_text(&format!("{}\n{}\n", self.what, self.says))
    }

    /// What a note of this kind says that the key signed.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn open(note: &[u8], what: &str, key: &VerifierKey) -> Result<String, NoteError> {
        let note = Note::parse(note)?;
        key.verify(&note)?;
        let says = note.text.strip_prefix(what).and_then(|rest| rest.strip_prefix('\n')).and_then(|rest| rest.strip_suffix('\n'));
        let says = says.filter(|says| !says.contains('\n'));
        says.map(str::to_owned).ok_or(NoteError::Note("it says something else"))
    }
}
