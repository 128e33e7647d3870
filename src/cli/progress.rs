//! Progress on stderr while a person looks: a line a step of the flow.

use crate::pipeline::{Progress, Stage};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Spinners with counts, or nothing.
#[derive(Debug)]
pub struct Bars {
    drawn: Option<MultiProgress>,
    bars: Mutex<BTreeMap<Stage, ProgressBar>>,
}

impl Bars {
    /// Draws only where asked to.
    pub fn new(draw: bool) -> Self {
        Self { drawn: draw.then(MultiProgress::new), bars: Mutex::new(BTreeMap::new()) }
    }

    /// Takes everything off the screen.
    pub fn clear(&self) {
        for bar in self.bars.lock().unwrap_or_else(PoisonError::into_inner).values() {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Bars {
    fn advance(&self, stage: Stage, done: u64, total: Option<u64>) {
        let Some(drawn) = &self.drawn else { return };
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = bars.entry(stage).or_insert_with(|| {
            let template = "  {prefix:<10} {human_pos:>10} {spinner} {per_sec:>14} {elapsed:>4}";
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = drawn.add(ProgressBar::no_length().with_prefix(stage.name()).with_style(style));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if let Some(total) = total {
            bar.set_length(total);
        }
        bar.inc(done);
    }

    fn finished(&self, stage: Stage) {
        if let Some(bar) = self.bars.lock().unwrap_or_else(PoisonError::into_inner).get(&stage) {
            bar.finish();
        }
    }
}
