//! Rank 3, what operators write: YAML read as a tree with places, checked against shapes, lowered into the rulebooks of the stages.

pub mod config;
pub mod connector;
pub mod manifest;
pub mod mapping;
pub mod model;
pub mod network;
pub mod shape;
pub mod yaml;
