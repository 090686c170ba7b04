//! Fixtures for tests: an echo server and client, isolated network namespaces, running meshes,
//! kubectl, captured processes, waiting. In: the binaries that Cargo and `scripts/test-deps.sh`
//! built. Out: handles that clean up after themselves and errors that carry the captured logs.

pub mod cluster;
pub mod contract;
pub mod dns;
pub mod echo;
pub mod fuzz;
pub mod isolate;
pub mod journal;
pub mod kubectl;
pub mod limits;
pub mod machine;
pub mod mesh;
pub mod net;
pub mod process;
pub mod prometheus;
pub mod terminal;
pub mod tools;
pub mod wait;
