//! What a chart takes of its users. In: a chart, and every field that an IstioOperator has or had. Out: the
//! values' schema, what is said of those that change nothing, and where those belong that have moved.

use std::collections::{BTreeMap, BTreeSet};

use lateen_install::{Field, Form, Meaning, Type};
use serde_json::{Map, Value, json};

use super::learn::OWNER;
use super::patterns::MESSAGE;
use super::schema::{self, VARIABLES, closed};
use super::spec::{Chart, Setting, VARIABLE, Way};

/// Helm's condition of a chart within another one.
const ENABLED: &str = "enabled";
/// Where defaults are, so that what a user sets is told from them: as in Istio's charts, of today and once.
pub const DEFAULTS: [&str; 2] = ["_internal_defaults_do_not_set", "defaults"];

/// The values of a chart by their paths.
#[derive(Default)]
pub struct Values {
    pub schema: Value,
    /// What is said of a value that is set.
    pub words: BTreeMap<String, String>,
    /// From where to where.
    pub moves: Vec<(String, String)>,
    /// Texts that have a form.
    pub forms: Vec<Value>,
    /// The first steps of values that may be within another one.
    pub nested: BTreeSet<String>,
}

/// What becomes of a value in a chart.
enum Fate {
    Used,
    Said(String),
    Moved(String),
    /// Nobody has decided.
    Missing(String),
}

type Known = BTreeMap<String, (Type, Meaning)>;

pub fn of(chart: &Chart) -> Values {
    let known = known(chart);
    let aliases: BTreeSet<&str> = known.keys().filter_map(|path| unnested(chart, path)).collect();
    let mut values = Values { schema: closed(), ..Values::default() };
    let (mut lost, mut missing) = (Vec::new(), Vec::new());
    for (path, (kind, meaning)) in &known {
        let kind = formless(*kind, *meaning);
        match path.strip_prefix("meshConfig.") {
            Some(_) if kind == Type::Inherited => {}
            Some(below) => lost.push((below, kind)),
            None => insert(&mut values.schema, path, narrowed(path, kind)),
        }
        if let Some(alias) = unnested(chart, path) {
            insert(&mut values.schema, alias, narrowed(path, kind));
            values.nested.extend(alias.split('.').next().map(str::to_owned));
        } else if aliases.contains(&**path) {
            continue;
        }
        match fate(chart, &known, path, *meaning) {
            Fate::Used => {}
            Fate::Said(word) => values.tell(chart, path, word),
            Fate::Moved(to) => {
                values.tell(chart, path, format!("it is {to} today, and is read as that"));
                values.moves.push((path.clone(), to));
            }
            Fate::Missing(path) => missing.push(path),
        }
    }
    assert!(missing.is_empty(), "chart {}: nothing is made of {missing:#?}", chart.name);
    for setting in &chart.settings {
        insert_new(&mut values.schema, setting.path, typed(setting));
        if let Some(alias) = unnested(chart, setting.path) {
            insert_new(&mut values.schema, alias, typed(setting));
            values.nested.extend(alias.split('.').next().map(str::to_owned));
        }
    }
    for taken in &chart.taken {
        insert(&mut values.schema, taken.path, taken.schema.clone());
    }
    insert(&mut values.schema, ENABLED, schema::of_type(Type::Bool));
    values.words.remove(ENABLED);
    values.nested.remove(ENABLED);
    values.whole(&lost);
    values
}

/// The path of a value that is in the chart itself today, and was within another one.
fn unnested<'a>(chart: &Chart, path: &'a str) -> Option<&'a str> {
    if chart.nested.is_empty() {
        return None;
    }
    path.strip_prefix(chart.nested)?.strip_prefix('.')
}

fn known(chart: &Chart) -> Known {
    let mut known = Known::new();
    let mut add = |path: &str, Field(_, kind, meaning): Field| {
        if !path.contains("[]") {
            known.insert(path.to_owned(), (kind, meaning));
        }
    };
    for (path, field) in lateen_install::fields() {
        if let Some(own) = path.strip_prefix("values.") {
            let first = own.split('.').next().unwrap_or_default();
            if chart.parts.contains(&first) && !own.starts_with("gateways.istio-") {
                add(own, field);
            }
        } else if path.starts_with("meshConfig") && chart.parts.contains(&"meshConfig") {
            add(&path, field);
        }
    }
    chart.own.iter().for_each(|field| add(field.0, *field));
    known
}

fn fate(chart: &Chart, known: &Known, path: &str, meaning: Meaning) -> Fate {
    if is_set(chart, path) {
        return Fate::Used;
    }
    let elsewhere = chart.elsewhere.iter().find(|(prefix, _)| path.starts_with(prefix));
    let elsewhere =
        || elsewhere.map(|(_, reason)| Fate::Said(format!("it has no effect here: {reason}")));
    match meaning {
        Meaning::Used if chart.passed.iter().any(|prefix| path.starts_with(prefix)) => Fate::Used,
        Meaning::Used => elsewhere().unwrap_or_else(|| Fate::Missing(path.to_owned())),
        Meaning::Mapped(reason) => Fate::Said(reason.to_owned()),
        Meaning::Gone(reason) | Meaning::Refused(reason) => {
            Fate::Said(format!("it has no effect: {reason}"))
        }
        Meaning::Moved(to) => match target(chart, known, to) {
            Some((to, Meaning::Gone(reason))) => {
                Fate::Said(format!("it is {to} today, which has no effect: {reason}"))
            }
            Some((to, _)) => Fate::Moved(to),
            None => elsewhere().unwrap_or_else(|| Fate::Missing(format!("{path}, which is {to}"))),
        },
    }
}

fn is_set(chart: &Chart, path: &str) -> bool {
    let is = |known: &str| known == path || unnested(chart, path) == Some(known);
    chart.settings.iter().any(|setting| is(setting.path))
        || chart.taken.iter().any(|taken| is(taken.path))
}

/// The chart's own path of a place in an IstioOperator, and what becomes of it.
fn target(chart: &Chart, known: &Known, to: &str) -> Option<(String, Meaning)> {
    let own = chart.settings.iter().find(|setting| setting.operator == Some(to));
    let path = own.map_or_else(|| to.strip_prefix("values.").unwrap_or(to), |setting| setting.path);
    let below = |setting: &Setting| path.starts_with(&format!("{}.", setting.path));
    let is_here = is_set(chart, path)
        || chart.passed.iter().any(|prefix| path.starts_with(prefix))
        || chart.settings.iter().any(below);
    let meaning = known.get(path).map_or(Meaning::Used, |(_, meaning)| *meaning);
    is_here.then(|| (path.to_owned(), meaning))
}

impl Values {
    fn tell(&mut self, chart: &Chart, path: &str, word: String) {
        // What the fields of an IstioOperator are called here.
        let word = word.replace("components.pilot.k8s", "pilot").replace("values.", "");
        if let Some(alias) = unnested(chart, path) {
            self.words.insert(alias.to_owned(), word.clone());
        }
        self.words.insert(path.to_owned(), word);
    }

    /// Names at the top that are other charts', so that one file can be for all of them.
    pub fn take_names_of(&mut self, others: &[(&str, Values)]) {
        let mut charts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (chart, values) in others {
            for name in values.schema["properties"].as_object().into_iter().flatten() {
                charts.entry(name.0).or_default().push(chart);
            }
        }
        for (name, charts) in charts {
            if self.schema["properties"].get(name).is_none() {
                let charts = charts.join(" or ");
                let word = format!("it has no effect here: it is a value of the chart {charts}");
                self.words.insert(name.to_owned(), word);
                self.schema["properties"][name] = json!({});
                self.schema["$defs"]["values"]["properties"][name] = json!({});
            }
        }
    }

    /// Defaults have the schema of what is set, and the definitions come once.
    fn whole(&mut self, lost: &[(&str, Type)]) {
        let mut own = self.schema.take();
        self.forms_within("", &mut own);
        // What is within a message is of the schema, where it has not moved there.
        let moved: Vec<String> = self.moves.iter().map(|(_, to)| to.clone()).collect();
        for to in moved.iter().filter(|to| to.starts_with("meshConfig.")) {
            self.forms_within(to, &mut schema::of_path(to).unwrap_or_default());
        }
        let mut definitions: Map<String, Value> =
            schema::definitions_of(&own).into_iter().collect();
        for (path, kind) in lost {
            add_lost(&mut definitions, path, *kind);
        }
        let names = own["properties"].as_object().expect("a schema has properties").keys();
        let mut outer: Map<String, Value> = names
            .map(|name| {
                (name.clone(), json!({ "$ref": format!("#/$defs/values/properties/{name}") }))
            })
            .collect();
        for name in DEFAULTS {
            outer.insert(name.to_owned(), json!({ "$ref": "#/$defs/values" }));
        }
        own["type"] = json!(["object", "null"]);
        definitions.insert("values".to_owned(), own);
        self.schema = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "additionalProperties": false,
            "properties": outer,
            "$defs": definitions,
        });
        forget_messages(&mut self.schema);
    }

    /// A template tells what a text must be, which a schema cannot: it is left out of the schema.
    fn forms_within(&mut self, path: &str, schema: &mut Value) {
        let inner = schema.get_mut("properties").and_then(Value::as_object_mut);
        for (name, inner) in inner.into_iter().flatten() {
            let dot = if path.is_empty() { "" } else { "." };
            self.forms_within(&format!("{path}{dot}{name}"), inner);
        }
        let is_list = schema["items"].is_object();
        let Some(text) = (if is_list { schema.get_mut("items") } else { Some(schema) }) else {
            return;
        };
        let Some(text) = text.as_object_mut().filter(|text| text.contains_key(MESSAGE)) else {
            return;
        };
        let mut taken = |keyword: &str| text.shift_remove(keyword).unwrap_or_default();
        self.forms.push(json!({
            "path": path, "message": taken(MESSAGE), "pattern": taken("pattern"),
            "not": taken("not")["pattern"], "longest": taken("maxLength"),
        }));
    }
}

fn forget_messages(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.shift_remove(MESSAGE);
            map.values_mut().for_each(forget_messages);
        }
        Value::Array(list) => list.iter_mut().for_each(forget_messages),
        _ => {}
    }
}

/// Fields that MeshConfig had once.
fn add_lost(definitions: &mut Map<String, Value>, path: &str, kind: Type) {
    let mut name = "io.istio.mesh.MeshConfig".to_owned();
    let mut steps = path.split('.').peekable();
    while let Some(step) = steps.next() {
        let inner = &mut definitions[&name]["properties"][step];
        if steps.peek().is_none() {
            *inner = schema::of_type(kind);
            return;
        }
        let reference = inner["$ref"].as_str().and_then(|text| text.strip_prefix("#/$defs/"));
        name = reference.expect("a message is a definition").to_owned();
    }
}

fn insert(schema: &mut Value, path: &str, own: Value) {
    let place = place(schema, path);
    let inner = place["properties"].take();
    *place = own;
    // What is known within an object, whatever else it may have.
    if !inner.is_null() {
        place["properties"] = inner;
    }
}

fn insert_new(schema: &mut Value, path: &str, own: Value) {
    let place = place(schema, path);
    if place.is_null() {
        *place = own;
    }
}

fn place<'a>(schema: &'a mut Value, path: &str) -> &'a mut Value {
    let mut place = schema;
    for step in path.split('.') {
        if place.is_null() {
            *place = closed();
            place["type"] = json!(["object", "null"]);
        }
        place = match step {
            "*" => &mut place["additionalProperties"],
            step => &mut place["properties"][step],
        };
    }
    place
}

/// A text that nobody reads has whatever form.
fn formless(kind: Type, meaning: Meaning) -> Type {
    match (meaning, kind) {
        (Meaning::Gone(_), Type::Word(_)) => Type::Text,
        (Meaning::Gone(_), Type::Words(_)) => Type::Texts,
        (Meaning::Gone(_), Type::Labels | Type::Annotations) => Type::Named,
        _ => kind,
    }
}

/// What a field's name says beside its type.
fn narrowed(path: &str, kind: Type) -> Value {
    let mut schema = schema::of_type(kind);
    match path {
        _ if path.contains("rollingMax") => return schema::share(),
        _ if path.ends_with("targetAverageUtilization") => schema["minimum"] = json!(1),
        "revision" => return revision(),
        "revisionTags" => schema["uniqueItems"] = json!(true),
        "sidecarInjectorWebhook.aliases" => {
            schema["additionalProperties"] = schema::of_type(Type::Texts);
        }
        "global.proxy.env" => {
            // A proxy's variables have names as every version of Kubernetes takes them.
            let values = json!({ "type": ["string", "number", "boolean", "null"] });
            schema["patternProperties"] = json!({ VARIABLES: values });
        }
        "global.podDNSSearchNamespaces" => schema["items"]["pattern"] = json!(SEARCHED),
        _ => {}
    }
    schema
}

/// A domain, in which the namespace of a pod may be.
const SEARCHED: &str = "^([a-z0-9._-]|\\{\\{[^}]*\\.DeploymentMeta\\.Namespace[^}]*\\}\\})+$";

/// Behind the owner it is a label's value, and behind `istiod-`, which is shorter, the name of a Service.
fn revision() -> Value {
    let mut schema = schema::of_type(Type::Word(Form::Label));
    schema["maxLength"] = json!(63 - OWNER.len() - 1);
    schema
}

/// Of a value by the field of an IstioOperator that is the same, or by what it is.
fn typed(setting: &Setting) -> Value {
    if let Some(schema) = &setting.schema {
        return schema.clone();
    }
    let operator = setting.operator.map(|path| match path.strip_prefix("k8s.") {
        Some(own) => format!("components.ingressGateways.[].k8s.{own}"),
        None => path.to_owned(),
    });
    let is_name = matches!(setting.way, Way::Name(_));
    if let Some(path) = operator.filter(|_| !is_name)
        && let Some(mut schema) = schema::of_path(&path)
    {
        if path.ends_with("targetAverageUtilization") {
            schema["minimum"] = json!(1);
        }
        return schema;
    }
    let default = setting.default.as_ref();
    match &setting.way {
        Way::Switch | Way::SwitchOf(_) => schema::of_type(Type::Bool),
        Way::Tags => schema::of_type(Type::Texts),
        Way::Name(_) => revision(),
        Way::Text(_) => json!({ "type": ["string", "number", "null"] }),
        // Who sets one by --set has not always a text.
        Way::Entries(VARIABLE) => schema::of_type(Type::Environment),
        Way::Entries(_) | Way::Texts => schema::of_type(Type::Labels),
        Way::Free => of_value(default),
        Way::Node { probe, .. } => of_value(Some(probe)),
    }
}

fn of_value(value: Option<&Value>) -> Value {
    schema::of_type(match value {
        Some(Value::Bool(_)) => Type::Bool,
        Some(Value::String(_)) => Type::Text,
        Some(Value::Array(_)) => Type::List,
        Some(Value::Null | Value::Number(_)) => Type::Int,
        Some(Value::Object(_)) | None => Type::Object,
    })
}
