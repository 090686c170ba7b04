//! Derived indexes. In: [`crate::tables::Tables`]. Out: lookups by host, address, label and gateway,
//! so that one translation by name costs the same in a small and in a large mesh.

pub mod endpoints;
pub mod routes;
pub mod services;
pub mod vip;
