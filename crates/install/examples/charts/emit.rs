//! Templates' text. In: objects with marks. Out: YAML in which marks are expressions, and the branches
//! between an object's variants.

use serde_json::{Map, Value};

use super::learn::{self, Learned};
use super::spec::{Becomes, Chart, Way};

/// Begins a text that is an expression already.
const RAW: char = '\u{1}';

pub fn raw(expression: &str) -> Value {
    Value::String(format!("{RAW}{expression}"))
}

/// A value without marks, as an expression.
pub fn literal(value: &Value) -> String {
    let parse = if value.is_array() { "fromJsonArray" } else { "fromJson" };
    format!("({:?} | {parse})", value.to_string())
}

/// One object in all of its variants.
pub fn learned(chart: &Chart, learned: &Learned) -> String {
    let variants: Vec<Variant<'_>> =
        learned.variants.iter().map(|(bits, object)| (*bits, object.as_ref())).collect();
    let writer = Writer { chart, of_tag: learned.of_tag };
    let text = writer.branches(&variants, &|variants| {
        let mut text = String::from("---\n");
        writer.fields(&mut text, variants, 0);
        text
    });
    if learned.of_tag {
        let each = "{{- range $tag := .Values.revisionTags }}{{ with $ }}\n";
        return format!("{each}{text}{{{{- end }}}}{{{{ end }}}}\n");
    }
    let mut conditions = chart.extras.conditions.iter();
    let own = conditions.find(|(kind, name, _)| {
        *kind == learned.kind && (name.is_empty() || *name == learned.name)
    });
    match own {
        Some((_, _, condition)) => format!("{{{{- if {condition} }}}}\n{text}{{{{- end }}}}\n"),
        None => text,
    }
}

/// What is somewhere in one combination of the switches.
type Variant<'a> = (u32, Option<&'a Value>);

fn are_alike(variants: &[Variant<'_>]) -> bool {
    variants.iter().all(|(_, value)| *value == variants[0].1)
}

fn are_all(variants: &[Variant<'_>], test: impl Fn(&Value) -> bool) -> bool {
    variants.iter().all(|(_, value)| value.is_some_and(&test))
}

struct Writer<'a> {
    chart: &'a Chart,
    of_tag: bool,
}

impl Writer<'_> {
    /// What is always there is written; else a switch decides, and then the next.
    fn branches(
        &self,
        variants: &[Variant<'_>],
        write: &dyn Fn(&[Variant<'_>]) -> String,
    ) -> String {
        if variants.iter().all(|(_, value)| value.is_none()) {
            return String::new();
        }
        if variants.iter().all(|(_, value)| value.is_some()) {
            return write(variants);
        }
        let presence: Vec<(u32, bool)> =
            variants.iter().map(|(bits, value)| (*bits, value.is_some())).collect();
        self.split(variants, difference(&presence), &|part| self.branches(part, write))
    }

    fn split(
        &self,
        variants: &[Variant<'_>],
        bit: u32,
        write: &dyn Fn(&[Variant<'_>]) -> String,
    ) -> String {
        let (on, off): (Vec<_>, Vec<_>) = variants.iter().partition(|(bits, _)| bits & bit != 0);
        let switch = learn::switches(self.chart)[bit.trailing_zeros() as usize];
        let condition = match switch.way {
            _ if switch.condition.is_some() => switch.condition.unwrap_or_default().to_owned(),
            Way::Name(_) => format!("include \"{}.revision\" .", self.chart.name),
            Way::Tags if self.of_tag => "eq $tag \"default\"".to_owned(),
            Way::Tags => format!("has \"default\" (.Values.{} | default list)", switch.path),
            _ => format!(".Values.{}", switch.path),
        };
        let (on, off) = (write(&on), write(&off));
        match (on.as_str(), off.as_str()) {
            ("", off) => format!("{{{{- if not ({condition}) }}}}\n{off}{{{{- end }}}}\n"),
            (on, "") => format!("{{{{- if {condition} }}}}\n{on}{{{{- end }}}}\n"),
            (on, off) => {
                format!("{{{{- if {condition} }}}}\n{on}{{{{- else }}}}\n{off}{{{{- end }}}}\n")
            }
        }
    }

    fn fields(&self, text: &mut String, variants: &[Variant<'_>], indent: usize) {
        let maps = || variants.iter().filter_map(|(_, value)| value.and_then(Value::as_object));
        let longest = maps().max_by_key(|map| map.len());
        let mut names: Vec<&String> = longest.into_iter().flat_map(Map::keys).collect();
        for name in maps().flat_map(Map::keys) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        for name in names {
            let own: Vec<Variant<'_>> = variants
                .iter()
                .map(|(bits, map)| (*bits, map.and_then(|map| map.get(name))))
                .collect();
            text.push_str(&self.branches(&own, &|part| self.field(name, part, indent)));
        }
    }

    /// A field that is there in each of these combinations.
    fn field(&self, name: &str, variants: &[Variant<'_>], indent: usize) -> String {
        let pad = " ".repeat(indent);
        let first = variants[0].1.expect("the field is there");
        let mut text = String::new();
        if are_alike(variants) {
            match self.becomes(first) {
                Some(Becomes { template, condition: Some(condition), .. }) => {
                    let inner = format!("{pad}{}: {template}\n", key(name));
                    return format!("{{{{- if {condition} }}}}\n{inner}{{{{- end }}}}\n");
                }
                Some(one) => return format!("{pad}{}: {}\n", key(name), one.template),
                None if let Some((template, Some(condition))) = self.entry_of(first) => {
                    let inner = format!("{pad}{}: {template}\n", key(name));
                    return format!("{{{{- if {condition} }}}}\n{inner}{{{{- end }}}}\n");
                }
                None => {
                    text.push_str(&format!("{pad}{}:", key(name)));
                    self.value(&mut text, first, indent);
                }
            }
        } else if are_all(variants, |value| self.is_plain_object(value)) {
            text.push_str(&format!("{pad}{}:\n", key(name)));
            self.fields(&mut text, variants, indent + 2);
        } else if are_all(variants, Value::is_array) {
            text.push_str(&format!("{pad}{}:\n", key(name)));
            text.push_str(&self.items(variants, 0, indent));
        } else {
            let values: Vec<_> = variants.iter().map(|(bits, value)| (*bits, *value)).collect();
            let bit = difference(&values);
            return self.split(variants, bit, &|part| self.field(name, part, indent));
        }
        text
    }

    /// From the item at `at` on: what is common, and then branches.
    fn items(&self, variants: &[Variant<'_>], at: usize, indent: usize) -> String {
        let own: Vec<Variant<'_>> = variants
            .iter()
            .map(|(bits, list)| (*bits, list.and_then(|list| list.get(at))))
            .collect();
        if own.iter().all(|(_, item)| item.is_none()) {
            return String::new();
        }
        if !are_alike(&own) {
            let lists: Vec<_> = variants.iter().map(|(bits, list)| (*bits, *list)).collect();
            let objects = are_all(&own, |item| self.is_plain_object(item));
            if !objects
                || own.iter().any(|(_, item)| {
                    item.map(|one| &one["name"]) != own[0].1.map(|one| &one["name"])
                })
            {
                return self
                    .split(variants, difference(&lists), &|part| self.items(part, at, indent));
            }
        }
        let mut text = String::new();
        match own[0].1.filter(|_| are_alike(&own)) {
            Some(item) => {
                let all = variants.iter().filter_map(|(_, list)| list.and_then(Value::as_array));
                let variables = all.flatten().find_map(|item| self.variable_of(item));
                self.named(&mut text, item, indent, variables);
            }
            None => {
                let mut inner = String::new();
                self.fields(&mut inner, &own, indent + 2);
                text.push_str(&format!(
                    "{}- {}",
                    " ".repeat(indent),
                    inner.trim_start_matches(' ')
                ));
            }
        }
        text + &self.items(variants, at + 1, indent)
    }

    fn is_plain_object(&self, value: &Value) -> bool {
        let Value::Object(map) = value else { return false };
        !map.is_empty() && self.entry_of(value).is_none() && self.becomes(value).is_none()
    }

    /// What follows a name or a dash.
    fn value(&self, text: &mut String, value: &Value, indent: usize) {
        match value {
            Value::Object(map) if map.is_empty() => text.push_str(" {}\n"),
            Value::Array(list) if list.is_empty() => text.push_str(" []\n"),
            Value::Object(_) => match self.entry_of(value) {
                Some((template, _)) => text.push_str(&format!(" {template}\n")),
                None => {
                    text.push('\n');
                    self.fields(text, &[(0, Some(value))], indent + 2);
                }
            },
            Value::Array(list) => {
                text.push('\n');
                let variables = list.iter().find_map(|item| self.variable_of(item));
                list.iter().for_each(|item| self.named(text, item, indent, variables));
            }
            scalar => text.push_str(&format!(" {}\n", self.scalar(scalar))),
        }
    }

    /// An item whose name gives way to a variable of the user's, if it is one of those at `variables`.
    fn named(&self, text: &mut String, item: &Value, indent: usize, variables: Option<&str>) {
        let is_own = self.variable_of(item).is_none()
            && self.chart.extras.lines.iter().all(|(mark, _)| mark != item);
        match (variables, item["name"].as_str()) {
            (Some(_), Some(name)) if is_own => {
                let own = format!("(include \"{}.variables\" . | fromJson)", self.chart.name);
                text.push_str(&format!("{{{{- if not (hasKey {own} {name:?}) }}}}\n"));
                self.item(text, item, indent);
                text.push_str("{{- end }}\n");
            }
            _ => self.item(text, item, indent),
        }
    }

    fn item(&self, text: &mut String, item: &Value, indent: usize) {
        let pad = " ".repeat(indent);
        if let Some((_, lines)) = self.chart.extras.lines.iter().find(|(mark, _)| item == mark) {
            for line in lines.lines() {
                let pad = if line.starts_with("{{-") { "" } else { &pad };
                text.push_str(&format!("{pad}{line}\n"));
            }
            return;
        }
        if let Some(Becomes { template, condition, .. }) = self.becomes(item) {
            let line = format!("{pad}- {template}\n");
            text.push_str(&match condition {
                Some(condition) => format!("{{{{- if {condition} }}}}\n{line}{{{{- end }}}}\n"),
                None => line,
            });
            return;
        }
        if let Some(path) = self.variable_of(item) {
            let each = format!("{{{{- range $name, $value := .Values.{path} }}}}\n");
            let one = "- {name: {{ toJson $name }}, value: {{ toJson (toString $value) }}}\n";
            text.push_str(&format!("{each}{pad}{one}{{{{- end }}}}\n"));
            return;
        }
        match item {
            Value::Object(map) if !map.is_empty() => {
                let mut inner = String::new();
                self.fields(&mut inner, &[(0, Some(item))], indent + 2);
                // The first field goes on the line of the dash.
                text.push_str(&format!("{pad}- {}", inner.trim_start_matches(' ')));
            }
            other => {
                text.push_str(&format!("{pad}-"));
                self.value(text, other, indent);
            }
        }
    }

    fn becomes(&self, value: &Value) -> Option<&Becomes> {
        let nodes = self.chart.settings.iter().filter_map(|setting| match &setting.way {
            Way::Node { becomes, .. } => Some(becomes),
            _ => None,
        });
        nodes.flatten().chain(&self.chart.extras.becomes).find(|one| one.rendered == *value)
    }

    /// The values whose entries are in this object, and the object without them, as one expression; and when it
    /// is not empty, if it may be.
    fn entry_of(&self, value: &Value) -> Option<(String, Option<String>)> {
        let mut rest = value.as_object()?.clone();
        let settings =
            self.entries().map(|(name, path)| (name, format!("(.Values.{path} | default dict)")));
        let extras = self.chart.extras.entries.iter().map(|(name, own)| (*name, (*own).to_owned()));
        // A setting is nearer to its object than what is for all.
        let (mut own, mut kept) = (Vec::new(), Map::new());
        for (name, entries) in extras.chain(settings) {
            if rest.shift_remove(name).is_some() {
                own.push(entries);
                kept.extend(self.kept(name).filter_map(|name| rest.shift_remove_entry(name)));
            }
        }
        if own.is_empty() {
            return None;
        }
        let is_empty = rest.is_empty() && kept.is_empty();
        let condition = is_empty.then(|| format!("or {}", own.join(" ")));
        let rest = expression(self.chart, &Value::Object(rest));
        let own: String = own.iter().map(|one| format!(" (deepCopy {one})")).collect();
        let kept = match kept.is_empty() {
            true => String::new(),
            false => format!(" {}", expression(self.chart, &Value::Object(kept))),
        };
        Some((format!("{{{{ toJson (mustMergeOverwrite {rest}{own}{kept}) }}}}"), condition))
    }

    /// What these entries do not take the place of.
    fn kept(&self, entries: &str) -> impl Iterator<Item = &'static str> {
        let found = self.chart.extras.kept.iter().filter(move |(name, _)| *name == entries);
        found.flat_map(|(_, kept)| kept.iter().copied())
    }

    fn variable_of(&self, item: &Value) -> Option<&'static str> {
        let found = self.entries().find(|(name, _)| item["name"] == *name);
        found.map(|(_, path)| path)
    }

    fn entries(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.chart.settings.iter().filter_map(|setting| match setting.way {
            Way::Entries(name) => Some((name, setting.path)),
            _ => None,
        })
    }

    fn scalar(&self, value: &Value) -> String {
        let Value::String(string) = value else { return value.to_string() };
        if let Some(expression) = string.strip_prefix(RAW) {
            return format!("{{{{ {expression} }}}}");
        }
        assert!(!string.contains("{{"), "a text would be taken for a template: {string}");
        let mut text = value.to_string();
        // A mark may begin with another one.
        for (mark, expression) in learn::marks(self.chart).into_iter().rev() {
            text = text.replace(mark, &format!("{{{{ {expression} }}}}"));
        }
        text
    }
}

/// A switch that makes a difference in at least one combination of the others.
fn difference<T: PartialEq>(variants: &[(u32, T)]) -> u32 {
    let differs = |bit: u32| {
        variants.iter().filter(|(bits, _)| bits & bit == 0).any(|(bits, value)| {
            let other = variants.iter().find(|(other, _)| *other == bits | bit);
            other.is_some_and(|(_, other)| other != value)
        })
    };
    let found = (0..32).map(|at| 1u32 << at).find(|bit| differs(*bit));
    found.expect("what is not alike differs by a switch")
}

fn key(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if name.len() > 1 && name.chars().all(plain) { name.into() } else { format!("{name:?}") }
}

/// The value as an expression of Go's templates.
pub fn expression(chart: &Chart, value: &Value) -> String {
    let each = |items: Vec<String>| items.join(" ");
    match value {
        Value::Object(map) => {
            let fields =
                map.iter().map(|(name, value)| format!("{name:?} {}", expression(chart, value)));
            format!("(dict {})", each(fields.collect()))
        }
        Value::Array(list) => {
            format!("(list {})", each(list.iter().map(|item| expression(chart, item)).collect()))
        }
        Value::String(text) => string(chart, text),
        scalar => scalar.to_string(),
    }
}

fn string(chart: &Chart, text: &str) -> String {
    let (mut format, mut values) = (text.replace('%', "%%"), Vec::new());
    let marks = learn::marks(chart);
    // In the order in which they are in the text.
    while let Some((at, mark)) = marks
        .keys()
        .rev()
        .filter_map(|mark| Some((format.find(mark)?, mark)))
        .min_by_key(|(at, _)| *at)
    {
        format.replace_range(at..at + mark.len(), "%v");
        values.push(marks[mark].clone());
    }
    match values.as_slice() {
        [] => format!("{text:?}"),
        values => format!("(printf {format:?} {})", values.join(" ")),
    }
}
