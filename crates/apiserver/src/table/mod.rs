//! Table output, which is what `kubectl get` prints. In: a kind, objects of it, and the time that ages
//! count from. Out: a `meta.k8s.io` Table with Kubernetes' own columns and cell texts; kinds that a
//! cluster would serve through a CustomResourceDefinition take their columns from the kinds table.

mod batch;
mod column;
mod core;
mod duration;
mod event;
mod extra;
mod network;
mod node;
mod pod;
mod rbac;
mod text;
mod workloads;

use jiff::Timestamp;
use lateen_api::kinds::{ColumnType, Kind, Source};
use serde_json::{Map, Value, json};

use column::{Printer, age};

pub use duration::human;

/// What each row carries besides its cells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IncludeObject {
    None,
    /// The object's metadata as a PartialObjectMetadata; the default.
    #[default]
    Metadata,
    Object,
}

impl IncludeObject {
    /// Reads the `includeObject` query value; `None` when it has no such value.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "None" => Some(IncludeObject::None),
            "" | "Metadata" => Some(IncludeObject::Metadata),
            "Object" => Some(IncludeObject::Object),
            _ => None,
        }
    }
}

/// How to render.
#[derive(Debug, Clone)]
pub struct Options {
    pub include: IncludeObject,
    /// `v1` or `v1beta1` of `meta.k8s.io`.
    pub version: &'static str,
    /// Whether `columnDefinitions` are written; a watch writes them in its first event only.
    pub headers: bool,
    /// The list's metadata (`resourceVersion`, `continue`), for the Table's own.
    pub metadata: Value,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            include: IncludeObject::Metadata,
            version: "v1",
            headers: true,
            metadata: json!({}),
        }
    }
}

/// The Table for `objects`, ages as of `now`.
pub fn render(kind: &Kind, objects: &[Value], now: Timestamp, opts: &Options) -> Value {
    let printer = printer_of(kind);
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells = match printer {
                Some(printer) => (printer.cells)(object, now),
                None => columns_cells(kind, object, now),
            };
            row(cells, object, opts)
        })
        .collect();
    let mut table = Map::new();
    table.insert("kind".to_owned(), Value::from("Table"));
    table.insert("apiVersion".to_owned(), format!("meta.k8s.io/{}", opts.version).into());
    table.insert("metadata".to_owned(), opts.metadata.clone());
    let definitions = match (opts.headers, printer) {
        (false, _) => Value::Null,
        (true, Some(printer)) => printer.columns.iter().map(|c| c.definition()).collect(),
        (true, None) => columns_definitions(kind),
    };
    table.insert("columnDefinitions".to_owned(), definitions);
    table.insert("rows".to_owned(), Value::Array(rows));
    Value::Object(table)
}

fn printer_of(kind: &Kind) -> Option<&'static Printer> {
    let groups: [&'static [Printer]; 8] = [
        core::PRINTERS,
        node::PRINTERS,
        pod::PRINTERS,
        event::PRINTERS,
        workloads::PRINTERS,
        batch::PRINTERS,
        network::PRINTERS,
        rbac::PRINTERS,
    ];
    let all = groups.into_iter().chain([extra::PRINTERS]).flatten();
    match kind.source {
        Source::Kubernetes => {
            let mut all = all;
            all.find(|printer| printer.group == kind.group && printer.kind == kind.kind)
                .or(Some(&extra::FALLBACK))
        }
        Source::GatewayApi | Source::Istio => None,
    }
}

fn columns_definitions(kind: &Kind) -> Value {
    let mut definitions = vec![column::NAME.definition()];
    definitions.extend(kind.columns.iter().map(|column| {
        json!({
            "name": column.name,
            "type": column.column_type.as_str(),
            "format": "",
            "description": column.description,
            "priority": column.priority,
        })
    }));
    Value::Array(definitions)
}

fn columns_cells(kind: &Kind, object: &Value, now: Timestamp) -> Vec<Value> {
    let mut cells = vec![object["metadata"]["name"].clone()];
    cells.extend(kind.columns.iter().map(|column| {
        let cell = column.cell(object);
        match column.column_type {
            ColumnType::Date if !cell.is_null() => Value::from(age(&cell, now)),
            ColumnType::Date | ColumnType::String => cell,
        }
    }));
    cells
}

fn row(cells: Vec<Value>, object: &Value, opts: &Options) -> Value {
    let included = match opts.include {
        IncludeObject::None => Value::Null,
        IncludeObject::Object => object.clone(),
        IncludeObject::Metadata => json!({
            "kind": "PartialObjectMetadata",
            "apiVersion": format!("meta.k8s.io/{}", opts.version),
            "metadata": object["metadata"],
        }),
    };
    json!({"cells": cells, "object": included})
}

#[cfg(test)]
mod tests;
