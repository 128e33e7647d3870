//! The codes of mapping problems beyond the structure of the file.

use crate::diagnose::Code;

/// An expression reads a name that does not exist.
pub(super) const UNKNOWN_NAME: Code = Code("KITH-M010");
/// An expression can't be used: syntax, types, a pattern without a placeholder.
pub(super) const BAD_EXPRESSION: Code = Code("KITH-M011");
/// A comparison with a word that the name never holds.
pub(super) const IMPOSSIBLE_WORD: Code = Code("KITH-M012");
/// A network outside the closed list.
pub(super) const UNKNOWN_NETWORK: Code = Code("KITH-M013");
/// A handle compared without its network.
pub(super) const HANDLE_WITHOUT_NETWORK: Code = Code("KITH-M014");
/// A declared field that nothing reads.
pub(super) const UNUSED_FIELD: Code = Code("KITH-M015");
/// A rule or a model names a field that one side lacks.
pub(super) const FIELD_LACKING: Code = Code("KITH-M016");
/// Two things of one kind have the same id.
pub(super) const DUPLICATE_ID: Code = Code("KITH-M017");
/// Thresholds out of range or in the wrong order.
pub(super) const THRESHOLDS: Code = Code("KITH-M018");
/// A rule, choice or setting that can never take effect.
pub(super) const UNREACHABLE: Code = Code("KITH-M019");
/// A section, target or operation that the configuration does not have.
pub(super) const UNKNOWN_SECTION: Code = Code("KITH-M020");
/// A delivery lacks a field that the operation needs.
pub(super) const TARGET_FIELD_LACKING: Code = Code("KITH-M021");
/// A delivery gives a field that the operation does not know.
pub(super) const UNKNOWN_TARGET_FIELD: Code = Code("KITH-M022");
/// A text that is longer than the target's field.
pub(super) const TOO_LONG: Code = Code("KITH-M023");
/// A trait of a special category (GDPR Art. 9).
pub(super) const SENSITIVE: Code = Code("KITH-M024");
/// A private audience that `policy.audience` does not list.
pub(super) const PRIVATE_AUDIENCE: Code = Code("KITH-M025");
/// A test names something that the mapping does not have.
pub(super) const TEST_UNKNOWN: Code = Code("KITH-M026");
/// Two things that expressions read have one name.
pub(super) const NAME_CLASH: Code = Code("KITH-M027");
/// The linkage model can't be read.
pub(super) const MODEL_UNREADABLE: Code = Code("KITH-M028");
/// A field that is declared in a way that makes no value.
pub(super) const BAD_FIELD: Code = Code("KITH-M029");
/// A test's activity that is no activity.
pub(super) const TEST_ACTIVITY: Code = Code("KITH-M030");
/// The duties of a network can't be read.
pub(super) const DUTIES_UNREADABLE: Code = Code("KITH-M081");
/// Something is kept longer than the network allows.
pub(super) const KEPT_TOO_LONG: Code = Code("KITH-M082");
/// A network denies it.
pub(super) const DENIED: Code = Code("KITH-M083");
/// A network does not let it be shown.
pub(super) const NOT_SHOWN: Code = Code("KITH-M084");

pub(super) const NO_COMPARE: Code = Code("KITH-M070");
