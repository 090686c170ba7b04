//! From IstioOperator files to Kubernetes objects, and what an apply of them would change.
//!
//! In: IstioOperator documents and `--set` settings. Out: a checked [`Plan`], from it manifests in the
//! order of their installation, and differences between two sets of objects. Nothing is read or
//! applied here.

mod check;
mod diff;
mod exposure;
mod facts;
mod form;
mod hpa;
mod input;
mod merge;
mod mesh;
mod nearest;
mod node_agent;
mod origins;
mod path;
mod plan;
mod profile;
mod read;
mod render;
mod replicas;
mod rules;
mod setting;
mod shape;
mod table;
mod variables;
mod yaml;

#[cfg(test)]
mod tests;

pub use diff::{Change, ChangeKind, FieldChange, diff};
pub use facts::{ACTIONS, Rule, of as facts};
pub use form::{Form, LEVELS, PROXY_LEVELS};
pub use plan::Plan;
pub use read::read;
pub use render::labels;
pub use render::tags::{default_validator, tag};
pub use render::webhook::DEFAULT_VALIDATOR;
pub use render::{rank, render};
pub use shape::Misfit;
pub use table::{Entry as Field, Meaning, Type, all as fields};
pub use yaml::{documents, text as yaml_text};

use lateen_inject::quantity;
use serde_json::Value;

/// What keeps a Kubernetes API from taking an object: fields that its kind does not have, wrong types,
/// missing ones.
pub fn misfits(object: &Value) -> Vec<Misfit> {
    use lateen_api::kinds::{by_kind, split_api_version};
    use lateen_api::schema::definition_name;

    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let (group, version) = split_api_version(text("apiVersion"));
    match by_kind(group, text("kind")).filter(|kind| kind.serves(version)) {
        Some(kind) => {
            let definition = definition_name(kind, version);
            shape::check(&definition, object, kind.kind, shape::Required::Check)
        }
        None => vec![Misfit::new("kind", "unknown kind")],
    }
}
