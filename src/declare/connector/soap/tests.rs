//! Promises of target files of kind soap.
