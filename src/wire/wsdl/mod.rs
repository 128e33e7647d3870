//! Service contracts: WSDL 1.1 with XML Schema 1.0, read from local files into a checked [`Contract`]. Nothing is ever fetched.

mod contract;
mod definitions;
mod documents;
mod load;
mod outline;
pub mod schema;

#[cfg(test)]
mod tests;

pub use contract::{Contract, FaultMessage, FindError, Header, Message, Operation, OperationRef, Port, Service, Style, Version};
pub use definitions::read;
pub use documents::{ENCODING_11, ENCODING_12};
pub use load::load;
pub use outline::describe;
