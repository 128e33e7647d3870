//! Streams that are made while reading: what the configuration and the network list, asked for before anything is read.

use super::error::ReadError;
use super::walk::Out;
use super::{Reader, seeded};
use crate::manifest::Stream;
use crate::manifest::dynamic::{Dynamic, Listed, MOST_MADE, of_config};
use std::sync::Arc;

impl Reader {
    /// Finds out which streams the manifest makes of what is listed elsewhere; where the network lists them, it is asked. Where that fails, the streams
    /// that are written out are there as before.
    ///
    /// # Errors
    /// Where the network does not tell, too many are listed, or a stream can't be made.
    pub async fn grow(&mut self) -> Result<(), ReadError> {
        let Some(grow) = &self.source.grow else { return Ok(()) };
        let mut made = Vec::new();
        for dynamic in &self.source.dynamic {
            let things = self.things(dynamic).await?;
            if made.len() + things.len() > MOST_MADE {
                return Err(ReadError::Made(format!("more than {MOST_MADE} are listed")));
            }
            made.extend(things);
        }
        let source = Arc::new(grow.grow(&made).map_err(ReadError::Made)?);
        seeded(&source, (self.clock)());
        // Tokens are kept by where their logins stand in memory, which is elsewhere now.
        (self.source, self.tokens) = (source, tokio::sync::Mutex::default());
        Ok(())
    }

    /// The changes that each thing means which is listed, with the position of their template.
    async fn things(&self, dynamic: &Dynamic) -> Result<Vec<(usize, Vec<crate::manifest::dynamic::Change>)>, ReadError> {
        let config = self.config();
        let engine = &self.source.engine;
        let things = match &dynamic.listed {
            Listed::Here(things) => things.iter().map(|thing| (thing.clone(), None)).collect(),
            Listed::Config(lists) => of_config(lists, engine, &config)?.into_iter().map(|thing| (thing, None)).collect(),
            Listed::Network(stream) => {
                let mut kept = Out::Keep(Vec::new());
                self.walk(stream, None, &mut kept).await?;
                let Out::Keep(records) = kept else { return Ok(Vec::new()) };
                records.into_iter().map(|(record, slice)| (record, Some(slice))).collect::<Vec<_>>()
            }
        };
        let config = self.config();
        let changes = things.iter().take(MOST_MADE + 1).map(|(thing, slice)| {
            let changes = dynamic.changes(thing, slice.as_ref(), engine, &config)?;
            Ok((dynamic.at, changes))
        });
        changes.collect()
    }

    /// A stream: of several of one name the last whose condition holds, as in the reference.
    pub(super) fn stream(&self, name: &str) -> Result<&Arc<Stream>, ReadError> {
        let scope = crate::manifest::Scope::new(&self.config());
        let mut left_out = false;
        for stream in self.source.streams.iter().rev().filter(|stream| stream.name == name) {
            if stream.when.as_ref().map_or(Ok(true), |when| when.holds(&self.source.engine, &scope))? {
                return Ok(stream);
            }
            left_out = true;
        }
        Err(if left_out { ReadError::LeftOut(name.to_owned()) } else { ReadError::NoStream(name.to_owned()) })
    }

    /// The names of the streams that can be read, in order.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for stream in &self.source.streams {
            if !names.contains(&stream.name) && self.stream(&stream.name).is_ok() {
                names.push(stream.name.clone());
            }
        }
        names
    }
}
