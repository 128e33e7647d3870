//! The codes of the configuration's problems; their pages say what they mean.

use crate::diagnose::Code;

pub(super) const NO_TOML: Code = Code("KITH-C001");
pub(super) const UNKNOWN_KEY: Code = Code("KITH-C002");
pub(super) const WRONG_FORM: Code = Code("KITH-C003");
pub(super) const MISSING: Code = Code("KITH-C004");
pub(super) const OUTSIDE_LIMITS: Code = Code("KITH-C005");
pub(super) const BAD_NAME: Code = Code("KITH-C006");
pub(super) const UNKNOWN_WORD: Code = Code("KITH-C007");
pub(super) const PLAIN_SECRET: Code = Code("KITH-C008");
pub(super) const BAD_PATH: Code = Code("KITH-C009");
pub(super) const EXCLUDE_EACH_OTHER: Code = Code("KITH-C010");
pub(super) const SETS_NOTHING: Code = Code("KITH-C011");
pub(super) const BAD_HOURS: Code = Code("KITH-C019");
pub(super) const NOT_LOOPBACK: Code = Code("KITH-C020");
pub(super) const ONE_PLACE: Code = Code("KITH-C014");
