//! Integration tests: one binary, one module a promise (design §11).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that can't go on panics; clippy knows tests only by their attribute, not the functions that they share"
)]

mod audit_log;
mod bad_input;
mod cli;
mod customers;
mod fuzz;
mod kills;
mod linkage;
mod main_job;
mod sources;
mod targets;
mod store;
mod tidy;

#[path = "../support/mod.rs"]
mod support;
