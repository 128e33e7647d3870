//! Rank 6, the spine. [`Service::run`] reads top-down as the flow of the design: customers, intake, decide; deliveries and the log beside it.

mod accounts;
mod accuracy;
mod alarms;
mod asked;
mod backup;
mod called;
mod changes;
mod clock;
mod compliance;
mod conservation;
pub mod control;
mod crew;
mod customers;
mod dead_letters;
mod decide;
mod deliver;
mod doctor;
mod erasures;
mod error;
mod evaluate;
mod exposition;
mod flow;
mod guards;
mod intake;
mod integrate;
mod leaves;
mod line_diff;
mod live;
mod master_key;
mod meter;
mod metrics;
mod network;
mod parts;
mod pass;
mod people;
mod plan;
mod posts;
mod progress;
mod publish;
mod rehearse;
mod relating;
mod releases;
mod reload;
mod requests;
mod restore;
mod rights;
mod roles;
mod rotated;
pub mod scoring;
mod service;
mod siblings;
mod signing_key;
mod stops;
mod summary;
mod supervise;
mod systemd;
mod taps;
pub mod training;
mod wakes;
mod webhooks;

#[cfg(test)]
mod tests;

pub use accounts::account_name;
pub use accuracy::{Accuracy, Truth};
pub use asked::{ExportTold, record_export, record_read};
pub use backup::{BACKED_UP, KEYS_CONFIRMED, fingerprint, make_backup, record_keys};
pub use called::{CallTold, record_call};
pub use changes::{Change, Changes, Otherwise, Verdict, changes};
pub use clock::{Clock, Stopwatch, SystemClock};
pub use crew::endpoint_name;
pub use customers::{read_known, read_permitted};
pub use dead_letters::{Edit, LetterAnswer, drop_letters, readiness, replay_letters};
pub use decide::{KnownSide, decision};
pub use deliver::spent_quota;
pub use doctor::{Findings, examine_store};
pub use error::RunError;
pub use evaluate::{BlockingCost, Evaluated, LevelShare, Mistake, evaluate};
pub use flow::FLOW;
pub use leaves::{Scribe, WhoAsks};
pub use line_diff::{after_of, line_diff};
pub use master_key::{Rotated, rotate_master};
pub use meter::{ARRIVAL_SECONDS, Counts, Durations, Meter, SEND_SECONDS};
pub use metrics::breaker_state;
pub use parts::Parts;
pub use people::{
    AGAIN_AT_ONCE, AgainAsk, CASES_AT_ONCE, CandidateTold, CasePage, CaseTold, ComparisonTold, OpinionTold, PeopleAsk, PeopleHand,
    PeopleTold, SHEET_AT_ONCE, WORDS_AT_ONCE, WhichCases, WordAnswer, WordAsked,
};
pub use plan::{PlannedWrite, Preview, plan};
pub use progress::{Progress, Stage, Unseen};
pub use publish::{PUBLISHED, syslog_of};
pub use rehearse::{Differs, Rehearsed, Replay, Side, WriteDiffers, preview, replay};
pub use releases::{IN_FORCE, MAX_NOTE, ReleaseAsk, ask_release, find_release, is_note, release_here, rulebook_of, text_of};
pub use reload::{Loaded, Loader, Reloading};
pub use restore::{RestoreAsked, RestoreReport, restore};
pub use rights::{SubjectAct, SubjectAnswer, SubjectName, ask_subjects, export_told, finish_removals, notices_told};
pub use roles::role_of;
pub use service::{RunOptions, Service};
pub use signing_key::rotate_signing_key;
pub use summary::{Decisions, Fault, Summary, ThisRun, Told, Wait};
pub use supervise::{
    Arrivals, Board, ComplianceStanding, Down, Published, Reloaded, Standing, StreamStanding, TRIES_WHEN_DRAINING, Watched, survive,
};
pub use systemd::Manager;
pub use webhooks::serve_webhooks;
