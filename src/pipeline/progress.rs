//! How far long work is, for a terminal that wants to know.

/// A stage of a pass.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Stage {
    /// Reading the CRM's customers.
    Customers,
    /// Reading sources into the store.
    Intake,
    /// Deciding and planning.
    Decide,
    /// Writing to targets.
    Deliver,
    /// Writing the log's tiles.
    Integrate,
}

impl Stage {
    /// Every stage, in the order of the flow.
    pub const ALL: [Self; 5] = [Self::Customers, Self::Intake, Self::Decide, Self::Deliver, Self::Integrate];

    /// The name in summaries.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Customers => "customers",
            Self::Intake => "intake",
            Self::Decide => "decide",
            Self::Deliver => "deliver",
            Self::Integrate => "integrate",
        }
    }
}

/// Told about progress; must return at once.
pub trait Progress: Send + Sync {
    /// This many more are done. `total` is known for stages that know their work beforehand.
    fn advance(&self, stage: Stage, done: u64, total: Option<u64>);

    /// The stage has nothing more to do for now.
    fn finished(&self, stage: Stage);
}

/// Nobody looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unseen;

impl Progress for Unseen {
    fn advance(&self, _stage: Stage, _done: u64, _total: Option<u64>) {}
    fn finished(&self, _stage: Stage) {}
}
