//! Rank 2, the log that proves itself (design §8): entries, sealing, Merkle tree, tiles and checkpoints, as arithmetic only.
//!
//! Format v1, final: `ops/audit/format.md`. Time, keys and random bytes are arguments; files are `store::log`'s.

pub mod canonical;
mod changes;
mod checkpoint;
mod cosignature;
mod cursor;
mod entry;
mod epoch;
mod event;
mod evidence;
mod fields;
mod hash;
mod hex;
mod member;
pub mod merkle;
mod proof;
mod schema;
mod seal;
mod statement;
mod tape;
pub mod tile;
mod values;

pub use changes::{Change, ChangeKind, ChangeState, Changes, due_text};
pub use checkpoint::{Checkpoint, LogKey, MAX_NOTE_BYTES, Note, NoteError, NoteSignature, VerifierKey, by_any};
pub use cosignature::{Cosigned, CosignerKey, WitnessKey};
pub use entry::{
    Actor, ActorKind, Correlation, Encoded, Entry, EntryOutcome, LargePart, MAX_ENTRY_BYTES, NotAnEntry, Role, Subject, TooLarge, VERSION,
    Why,
};
pub use epoch::Epoch;
pub use event::{Event, Kind, Text};
pub use evidence::{NotEvidence, OpenedEvidence, SealedEvidence, evidence_digest};
pub use fields::{Fields, NotFields};
pub use hash::{CorrelationId, HashKey, SubjectHash};
pub use member::{LongText, MAX_TEXT_BYTES, Part, PartDigest};
pub use proof::{Bundle, MAX_BUNDLE_PROOFS, MAX_PROOF_FILE_BYTES, Proof, ProofError, Proven, next_key};
pub use schema::{entry_schema, kinds_page};
pub use seal::{Binding, KeyId, KeyIds, MasterKey, PersonKey, RetentionClass, SealError, Sealed, SealingKey, Unpredictable};
pub use statement::Statement;
