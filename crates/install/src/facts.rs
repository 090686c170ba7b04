//! What Kubernetes asks of the fields of its types beyond their types: words, ranges, what goes together. In: the
//! name of a type's definition and the fields of an object. Out: what its API would refuse, by field.

mod table;
#[cfg(test)]
mod tests;
mod together;
mod words;

use std::collections::HashMap;
use std::sync::LazyLock;

use lateen_api::words::Check;
use serde_json::{Map, Value};

use crate::quantity;
use crate::shape::Required;
use table::FACTS;

pub use together::{ACTIONS, is_nothing};
pub use words::{domain_name, image, label_value};

/// A type by the end of its definition's name, fields of it, and what may stand there.
struct Fact(&'static str, &'static [&'static str], Rule);

/// What may stand in a field. Nothing, and an empty text, may always.
#[derive(Clone, Copy)]
enum Rule {
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
    Word(Check),
    /// A list of texts.
    Words(Check),
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

/// Whatever is wrong with an object of a type, its parts left aside.
pub fn check(definition: &str, fields: &Map<String, Value>, required: Required) -> Vec<Found> {
    let kubernetes = ["io.k8s.api.", "io.k8s.apimachinery.pkg.apis."];
    let name = kubernetes.iter().find_map(|prefix| definition.strip_prefix(prefix));
    let Some(name) = name else { return Vec::new() };
    let mut found = Vec::new();
    for Fact(_, names, rule) in BY_TYPE.get(name).into_iter().flatten() {
        for field in *names {
            if let Some(value) = fields.get(*field).filter(|value| !value.is_null()) {
                rule.check(field, value, &mut found);
            }
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
            Rule::Word(check) => {
                text.and_then(|text| check(text).err()).into_iter().for_each(tell);
            }
            Rule::Words(check) => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    if let Some(Err(message)) = item.as_str().map(check) {
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

fn no_port(value: &Value, least: i64) -> Option<String> {
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
