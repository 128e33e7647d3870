//! The retail benchmark.

fn main() {}
