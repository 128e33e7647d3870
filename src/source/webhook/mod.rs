//! Webhooks: networks deliver by themselves. A delivery whose signature is right stands on disk before it is answered (`spool`), and leaves it only after
//! what it says is stored. The same listener may stand alone in a DMZ and be drained from inside (`drain`, `fetch`): nothing opens a port inwards.

mod drain;
mod fetch;
mod frame;
mod hub;
mod listen;
mod receive;
mod seal;
mod seen;
mod spool;
mod subscribe;
mod take;
mod tally;

pub use drain::{Draining, shortest_drain_secret};
pub use fetch::{FetchError, Fetcher};
pub use frame::{Frame, Position, frames};
pub use hub::{Leaving, Said, Subscribing};
pub use listen::{Bounds, listen, serve};
pub use receive::{Door, Receiving};
pub use seal::{Opener, SealKeyError, Sealer};
pub use spool::{Batch, Depth, Spool, SpoolError};
pub use subscribe::{At, HubError, chance, secret_mark, subscribe, unsubscribe};
pub use take::{Body, take};
pub use tally::{Reason, Tally};
