//! The live traffic graph. In: metrics that proxies send to the control plane. Out: the traffic of the last hour,
//! the graph of any part of it, and the page that draws it.

pub mod api;
pub mod collect;
pub mod connection;
pub mod failure;
pub mod graph;
pub mod key;
pub mod kiali;
mod mesh;
mod missed;
pub mod point;
pub mod prometheus;
pub mod recent;
pub mod relay;
mod report;
#[cfg(test)]
#[path = "../../telemetry/src/sample.rs"]
mod sample;
pub mod series;
pub mod serve;
pub mod store;
pub mod tally;
pub mod text;
mod texts;
pub mod view;
mod words;
