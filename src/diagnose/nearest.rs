//! The nearest known word to an unknown one.
