//! What Kubernetes asks of the fields of its types beyond their types: words, ranges, what goes together. In: the
//! name of a type's definition and the fields of an object. Out: what its API would refuse, by field.

mod table;
#[cfg(test)]
mod tests;
mod together;
pub mod words;

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::form::Form;
use crate::quantity;
use crate::shape::Required;
use table::FACTS;

pub use together::{ACTIONS, is_nothing};

/// A type by the end of its definition's name, fields of it, and what may stand there.
struct Fact(&'static str, &'static [&'static str], Rule);

/// What may stand in a field. Nothing, and an empty text, may always.
#[derive(Debug, Clone, Copy)]
pub enum Rule {
    OneOf(&'static [&'static str]),
    /// From the one to the other.
    Number(i64, i64),
    /// A port; 0 where it may be left out.
    Port(i64),
    /// A port or a port's name.
    PortOrName(i64),
    /// A number or a share in percent.
    Share,
    /// A text.
    Word(Form),
    /// A list of texts.
    Words(Form),
    Labels,
    /// Amounts by name.
    Amounts,
}

/// A field, and why what is there would be refused.
pub type Found = (String, String);

static BY_TYPE: LazyLock<HashMap<&'static str, Vec<&'static Fact>>> = LazyLock::new(|| {
    let mut all: HashMap<&str, Vec<&Fact>> = HashMap::new();
    for fact in FACTS {
        all.entry(fact.0).or_default().push(fact);
    }
    all
});

/// The name of one of Kubernetes' types by that of its definition.
fn name(definition: &str) -> Option<&str> {
    let kubernetes = ["io.k8s.api.", "io.k8s.apimachinery.pkg.apis."];
    kubernetes.iter().find_map(|prefix| definition.strip_prefix(prefix))
}

/// What may stand in the fields of a type that has more to say of them than their types.
pub fn of(definition: &str) -> impl Iterator<Item = (&'static str, Rule)> {
    let facts = name(definition).and_then(|name| BY_TYPE.get(name)).into_iter().flatten();
    facts.flat_map(|Fact(_, names, rule)| names.iter().map(|name| (*name, *rule)))
}

/// Whatever is wrong with an object of a type, its parts left aside.
pub fn check(definition: &str, fields: &Map<String, Value>, required: Required) -> Vec<Found> {
    let Some(name) = name(definition) else { return Vec::new() };
    let mut found = Vec::new();
    for (field, rule) in of(definition) {
        if let Some(value) = fields.get(field).filter(|value| !value.is_null()) {
            rule.check(field, value, &mut found);
        }
    }
    // Of fields that are wrong by themselves no more is to be told.
    if found.is_empty() {
        together::check(name, fields, required, &mut found);
    }
    found
}

impl Rule {
    fn check(self, field: &str, value: &Value, found: &mut Vec<Found>) {
        let mut tell = |message: String| found.push((field.to_owned(), message));
        let text = value.as_str().filter(|text| !text.is_empty());
        match self {
            Rule::OneOf(words) => {
                if let Some(text) = text.filter(|text| !words.contains(text)) {
                    tell(format!("{text:?} is none of {}", words.join(", ")));
                }
            }
            Rule::Number(least, most) => {
                let reason = value.as_i64().and_then(|number| beyond(number, least, most));
                reason.into_iter().for_each(tell);
            }
            Rule::Port(least) => no_port(value, least).into_iter().for_each(tell),
            Rule::PortOrName(least) => {
                let named = text.and_then(|text| words::port_name(text).err());
                no_port(value, least).or(named).into_iter().for_each(tell);
            }
            Rule::Share => no_share(value).into_iter().for_each(tell),
            Rule::Word(form) => {
                text.and_then(|text| form.check(text).err()).into_iter().for_each(tell);
            }
            Rule::Words(form) => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    let item = item.as_str().map(|text| form.check_item(text));
                    if let Some(Err(message)) = item {
                        found.push((format!("{field}[{index}]"), message));
                    }
                }
            }
            Rule::Labels => words::labels(field, value, found),
            Rule::Amounts => {
                for (name, amount) in value.as_object().into_iter().flatten() {
                    let reason = words::resource(name).err().or_else(|| {
                        let is_less = quantity::of(amount).is_some_and(|amount| amount < 0.0);
                        is_less.then(|| format!("{amount} is less than nothing"))
                    });
                    found.extend(reason.map(|reason| (format!("{field}.{name}"), reason)));
                }
            }
        }
    }
}

fn beyond(number: i64, least: i64, most: i64) -> Option<String> {
    if number < least {
        return Some(format!("{number} is less than {least}"));
    }
    (number > most).then(|| format!("{number} is more than {most}"))
}

/// Why a number is no port.
pub fn no_port(value: &Value, least: i64) -> Option<String> {
    let number = value.as_i64().filter(|number| !(least..=65535).contains(number))?;
    Some(format!("{number} is no port: from 1 to 65535"))
}

fn no_share(value: &Value) -> Option<String> {
    if let Some(number) = value.as_i64() {
        return beyond(number, 0, i64::from(i32::MAX));
    }
    let is_share = |text: &&str| text.strip_suffix('%').is_some_and(|n| n.parse::<u32>().is_ok());
    let text = value.as_str().filter(|text| !text.is_empty() && !is_share(text))?;
    Some(format!("{text:?} is neither a number nor a share such as 25%"))
}
