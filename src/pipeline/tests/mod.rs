//! Tests of the spine as a whole.

mod simulation;
