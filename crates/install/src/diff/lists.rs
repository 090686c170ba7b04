//! The items of two lists that belong together. In: the lists, and the fields by which their items are told apart.
//! Out: pairs, each with its place for people, and the orders if those differ.

use serde_json::{Value, json};

/// One item as it was and as it is.
#[derive(Debug)]
pub struct Pair<'a> {
    /// As in `[name:x]` or `[0]`.
    pub at: String,
    pub before: Option<&'a Value>,
    pub after: Option<&'a Value>,
}

/// Lists without such fields, or with items that do not have them, are compared by the places of what is between
/// equal beginnings and equal ends.
pub fn pairs<'a>(
    old: &'a [Value],
    new: &'a [Value],
    keys: Option<&[&str]>,
) -> (Vec<Pair<'a>>, Option<(Value, Value)>) {
    let keyed = keys.and_then(|keys| Some((names(old, keys)?, names(new, keys)?)));
    match keyed {
        Some((before, after)) => by_name(old, new, &before, &after),
        None => (by_place(old, new), None),
    }
}

/// The items' names, if each has one of its own.
fn names(items: &[Value], keys: &[&str]) -> Option<Vec<String>> {
    let word = |item: &Value, key: &str| match &item[key] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        // What it is where it is left out.
        Value::Null if key == "protocol" => Some("TCP".to_owned()),
        _ => None,
    };
    let of = |item: &Value, keys: &[&str]| -> Option<String> {
        let words = keys.iter().map(|key| Some(format!("{key}:{}", word(item, key)?)));
        Some(format!("[{}]", words.collect::<Option<Vec<_>>>()?.join(",")))
    };
    let all: Option<Vec<String>> = items.iter().map(|item| of(item, keys)).collect();
    let mut all = all?;
    let mut once = all.clone();
    once.sort();
    once.dedup();
    if once.len() < all.len() {
        return None;
    }
    // The usual protocol goes without saying.
    for name in &mut all {
        if let Some(short) = name.strip_suffix(",protocol:TCP]") {
            *name = format!("{short}]");
        }
    }
    Some(all)
}

fn by_name<'a>(
    old: &'a [Value],
    new: &'a [Value],
    before: &[String],
    after: &[String],
) -> (Vec<Pair<'a>>, Option<(Value, Value)>) {
    let mut pairs = Vec::new();
    for (name, item) in after.iter().zip(new) {
        let was = before.iter().position(|other| other == name).map(|at| &old[at]);
        pairs.push(Pair { at: name.clone(), before: was, after: Some(item) });
    }
    for (name, item) in before.iter().zip(old).filter(|(name, _)| !after.contains(name)) {
        pairs.push(Pair { at: name.clone(), before: Some(item), after: None });
    }
    let stay = |names: &[String], others: &[String]| -> Vec<String> {
        names.iter().filter(|name| others.contains(name)).cloned().collect()
    };
    let (was, is) = (stay(before, after), stay(after, before));
    let order = (was != is).then(|| (json!(was), json!(is)));
    (pairs, order)
}

fn by_place<'a>(old: &'a [Value], new: &'a [Value]) -> Vec<Pair<'a>> {
    let same = |(a, b): &(&Value, &Value)| a == b;
    let head = old.iter().zip(new).take_while(same).count();
    let (old, new) = (&old[head..], &new[head..]);
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(same).count();
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    let pair = |index: usize| Pair {
        at: format!("[{}]", head + index),
        before: old.get(index),
        after: new.get(index),
    };
    (0..old.len().max(new.len())).map(pair).collect()
}
