//! Settings of the node agent that are not offered. In: a plan. Out: what is wrong, by path.

use lateen_api::issue::{Code, Issue};

use crate::plan::Plan;

/// A plugin that is alone on its nodes.
pub fn check(plan: &Plan) -> Option<Issue> {
    let path = "spec.values.cni.chained";
    let message = "the plugin is added to the chain of the node's network provider, and is not offered \
                   alone: leave this out";
    let is_alone = plan.get("values.cni.chained") == Some(&false.into());
    is_alone
        .then(|| Issue::error(plan.operator.clone(), path, Code::SCHEMA_VALIDATION_ERROR, message))
}
