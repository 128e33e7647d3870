//! Promises of the reader and the writer.
