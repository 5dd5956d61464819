//! A profile: stacks, weights, labels, and the ledger of all that was lost.

pub mod budget;
pub mod builder;
pub mod ledger;
pub mod memory;
pub mod model;
