#![doc = include_str!("README.md")]

/// Memory is taken on one thread and given back on another all along the flow, which the C library's allocator does slowly
/// (`ops/decisions/0050`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod model;

pub mod diagnose;

pub mod expr;

pub mod audit;
pub mod enrich;
pub mod manifest;
pub mod normalize;
pub mod policy;
pub mod resolve;
pub mod splink;

pub mod declare;

pub mod wire;

pub mod customers;
pub mod deliver;
pub mod source;
pub mod store;

pub mod pipeline;

pub mod cli;
