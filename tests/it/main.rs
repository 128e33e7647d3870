//! Integration tests: one binary, one module a promise (design §11).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::semicolon_if_nothing_returned,
    clippy::format_collect,
    clippy::items_after_statements,
    clippy::map_unwrap_or,
    clippy::duration_suboptimal_units,
    reason = "a test that can't go on panics and reads clocks and variables; clippy knows tests only by their attribute, not the functions that they share"
)]

mod alarms;
mod audit_attacks;
mod audit_export;
mod audit_log;
mod audit_proofs;
mod audit_story;
mod backup;
mod bad_day;
mod bad_input;
mod bluesky;
mod budgets;
mod cli;
mod compliance;
mod connector;
mod customers;
mod dead_letters;
mod deletions;
mod discourse;
mod doctor;
mod drafts;
mod egress;
mod fuzz;
#[cfg(feature = "ntlm")]
mod handshake;
#[cfg(feature = "kerberos")]
mod http_kerberos;
mod http_target;
mod kills;
mod latency;
mod limits;
mod linkage;
mod looked_up;
mod main_job;
mod manifest_slices;
mod manifests;
mod master_key;
mod matching;
mod network_duties;
mod networks;
mod notify;
mod posts;
mod records;
mod releases;
mod retention;
mod review;
mod rights;
mod scoring;
mod service;
mod soap_connectors;
mod soap_contract;
mod soap_target;
mod sources;
mod splink_peer;
mod sqlserver_by_hand;
mod sqlserver_conflicts;
mod sqlserver_connecting;
mod sqlserver_customers;
mod sqlserver_errors;
mod sqlserver_kerberos;
mod sqlserver_kills;
mod sqlserver_run;
mod sqlserver_statements;
mod sqlserver_target;
mod store;
mod streams;
mod taps;
mod targets;
mod tds_peer;
mod tidy;
mod training;
mod undo;
mod webhooks;
mod websub;

#[path = "../support/mod.rs"]
mod support;
