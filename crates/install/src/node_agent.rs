//! Settings of the node agent that no node can have. In: a plan. Out: what is wrong, by path.

use lateen_api::issue::{Code, Issue};
use lateen_api::labels::{
    is_label, is_label_key, is_label_value, no_label, no_label_key, no_label_value,
};

use crate::plan::Plan;

/// A field, whether a word may stand there, and what to say if not.
type Word = (&'static str, fn(&str) -> bool, fn(&str) -> String);

const WORDS: [Word; 3] = [
    ("repair.brokenPodLabelKey", is_label_key, no_label_key),
    ("repair.brokenPodLabelValue", is_label_value, no_label_value),
    ("repair.initContainerName", is_label, no_label),
];

/// Every setting of `values.cni` with which its pods would not start, or would do nothing.
pub fn check(plan: &Plan) -> Vec<Issue> {
    let mut errors = Vec::new();
    let mut error = |field: &str, message: String| {
        let path = format!("spec.values.cni.{field}");
        let code = Code::SCHEMA_VALIDATION_ERROR;
        errors.push(Issue::error(plan.operator.clone(), path, code, message));
    };
    let text = |field: &str| plan.text(&format!("values.cni.{field}"));
    if plan.get("values.cni.chained") == Some(&false.into()) {
        let message = "the plugin is added to the chain of the node's network provider, and is not offered \
                       alone: leave this out";
        error("chained", message.to_owned());
    }
    for field in ["cniBinDir", "cniConfDir"] {
        if let Some(folder) = text(field).filter(|folder| !is_whole_path(folder)) {
            error(
                field,
                format!("{folder:?} is no folder of a node: write its whole path, from /"),
            );
        }
    }
    if let Some(name) = text("cniConfFileName").filter(|name| !is_file_name(name)) {
        error("cniConfFileName", format!("{name:?} is no file's name: its folder is cniConfDir"));
    }
    for (index, namespace) in plan.list("values.cni.excludeNamespaces").iter().enumerate() {
        let name = namespace.as_str().unwrap_or_default();
        if !is_label(name) {
            error(&format!("excludeNamespaces[{index}]"), no_label(name));
        }
    }
    for (field, fits, reason) in WORDS {
        if let Some(word) = text(field).filter(|word| !fits(word)) {
            error(field, reason(word));
        }
    }
    errors
}

fn is_whole_path(folder: &str) -> bool {
    folder.starts_with('/') && !folder.split('/').any(|step| step == "..")
}

fn is_file_name(name: &str) -> bool {
    !name.contains('/') && !matches!(name, "." | "..")
}
