//! RFC 6902 patches. In: a value before and after. Out: the operations that make the second of the
//! first, each where something differs; a list is aligned by its items' names, and replaced whole where
//! that is shorter.

use serde_json::{Map, Value, json};

/// Lists beyond this product of lengths are not aligned.
const ALIGNMENT_LIMIT: usize = 250_000;

type Fields = Map<String, Value>;

/// The patch from `before` to `after`; empty if they are equal.
pub fn patch(before: &Value, after: &Value) -> Value {
    let mut operations = Vec::new();
    diff(&mut String::new(), before, after, &mut operations);
    Value::Array(operations)
}

fn diff(path: &mut String, before: &Value, after: &Value, operations: &mut Vec<Value>) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => diff_maps(path, old, new, operations),
        (Value::Array(old), Value::Array(new)) => {
            let mut steps = Vec::new();
            let is_short = old.len() * new.len() <= ALIGNMENT_LIMIT;
            if is_short {
                diff_lists(path, old, new, &mut steps);
            }
            let is_long = || steps.len() > 1 && total(&steps) > size_of_replace(path, after);
            if is_long() || (!is_short && old != new) {
                steps = vec![replace(path, after)];
            }
            operations.append(&mut steps);
        }
        (before, after) if before == after => {}
        (_, after) => operations.push(replace(path, after)),
    }
}

fn replace(path: &str, after: &Value) -> Value {
    json!({"op": "replace", "path": path, "value": after})
}

/// The size of such an operation, without making it: `after` may be all containers of a pod.
fn size_of_replace(path: &str, after: &Value) -> usize {
    let null = Value::Null;
    size(&replace(path, &null)) - size(&null) + size(after)
}

fn size(value: &Value) -> usize {
    value.to_string().len()
}

fn total(operations: &[Value]) -> usize {
    operations.iter().map(size).sum()
}

fn diff_maps(path: &mut String, old: &Fields, new: &Fields, operations: &mut Vec<Value>) {
    // Both have most of their fields in the same order.
    let (mut next, mut kept) = (new.iter().peekable(), 0);
    for (field, value) in old {
        let in_order = next.next_if(|(name, _)| *name == field).map(|(_, value)| value);
        let other = in_order.or_else(|| new.get(field));
        kept += usize::from(other.is_some());
        within(path, field, |path| match other {
            Some(other) => diff(path, value, other, operations),
            None => operations.push(json!({"op": "remove", "path": path})),
        });
    }
    if kept == new.len() {
        return;
    }
    for (field, value) in new.iter().filter(|(field, _)| !old.contains_key(*field)) {
        within(path, field, |path| {
            operations.push(json!({"op": "add", "path": path, "value": value}));
        });
    }
}

/// Steps from left to right, each at the index that the steps before it have led to.
fn diff_lists(path: &mut String, old: &[Value], new: &[Value], operations: &mut Vec<Value>) {
    let (mut left, mut right, mut at) = (0, 0, 0);
    for (old_at, new_at) in pairs(old, new).into_iter().chain([(old.len(), new.len())]) {
        while left < old_at {
            within(path, &at.to_string(), |path| {
                operations.push(json!({"op": "remove", "path": path}));
            });
            left += 1;
        }
        while right < new_at {
            within(path, &at.to_string(), |path| {
                operations.push(json!({"op": "add", "path": path, "value": new[right]}));
            });
            right += 1;
            at += 1;
        }
        if old_at < old.len() {
            within(path, &at.to_string(), |path| diff(path, &old[left], &new[right], operations));
            left += 1;
            right += 1;
            at += 1;
        }
    }
}

/// A longest common subsequence of items that are the same one: most are, at the beginning and at the end.
fn pairs(old: &[Value], new: &[Value]) -> Vec<(usize, usize)> {
    let is_same = |(old, new): &(&Value, &Value)| same(old, new);
    let first = old.iter().zip(new).take_while(is_same).count();
    let (old_rest, new_rest) = (&old[first..], &new[first..]);
    let last = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(is_same).count();
    let (old_end, new_end) = (old_rest.len() - last, new_rest.len() - last);
    let between = aligned(&old_rest[..old_end], &new_rest[..new_end]);
    let between = between.into_iter().map(|(old, new)| (first + old, first + new));
    let end = (0..last).map(|at| (first + old_end + at, first + new_end + at));
    (0..first).map(|at| (at, at)).chain(between).chain(end).collect()
}

/// The same by all pairs.
fn aligned(old: &[Value], new: &[Value]) -> Vec<(usize, usize)> {
    let width = new.len() + 1;
    let mut lengths = vec![0u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            lengths[i * width + j] = if same(&old[i], &new[j]) {
                lengths[(i + 1) * width + j + 1] + 1
            } else {
                lengths[(i + 1) * width + j].max(lengths[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while i < old.len() && j < new.len() {
        if same(&old[i], &new[j]) {
            found.push((i, j));
            i += 1;
            j += 1;
        } else if lengths[(i + 1) * width + j] >= lengths[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    found
}

/// Items with names are the same one if the names are equal, others if they are equal.
fn same(old: &Value, new: &Value) -> bool {
    match (old["name"].as_str(), new["name"].as_str()) {
        (Some(old), Some(new)) => old == new,
        _ => old == new,
    }
}

/// Runs `step` with one more part in the JSON pointer.
fn within(path: &mut String, part: &str, step: impl FnOnce(&mut String)) {
    let length = path.len();
    path.push('/');
    for char in part.chars() {
        match char {
            '~' => path.push_str("~0"),
            '/' => path.push_str("~1"),
            other => path.push(other),
        }
    }
    step(path);
    path.truncate(length);
}

#[cfg(test)]
mod tests;
