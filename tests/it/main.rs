//! Integration tests: one binary, one module a promise (design §11).

mod cli;
