//! Messages that several of Istio's groups share: selectors and status.

mod analysis;
mod selector;
mod status;

pub use analysis::{AnalysisLevel, AnalysisMessage, AnalysisMessageType};
pub use selector::{PolicyTargetReference, PortSelector, WorkloadMode, WorkloadSelector};
pub use status::{IstioCondition, IstioStatus};
