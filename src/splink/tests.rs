//! Promises of the whole: a model and records in, scores out.

use super::{Frame, FrameBuilder, Linker, Scores, Settings};
use crate::diagnose::SourceFile;
use std::sync::Arc;

pub(super) fn model(json: &str) -> Settings {
    let file = Arc::new(SourceFile { name: "model.json".into(), text: json.into() });
    let checked = Settings::read(&file);
    assert!(checked.value.is_some(), "{:?}", checked.problems);
    checked.value.unwrap()
}
