//! RFC 6902 patches. In: a value before and after. Out: the operations that make the second of the
//! first, each where something differs; a list is aligned by its items' names, and replaced whole where
//! that is shorter.

use serde_json::{Value, json};

/// Lists beyond this product of lengths are not aligned.
const ALIGNMENT_LIMIT: usize = 250_000;

/// The patch from `before` to `after`; empty if they are equal.
pub fn patch(before: &Value, after: &Value) -> Value {
    let mut operations = Vec::new();
    diff(&mut String::new(), before, after, &mut operations);
    Value::Array(operations)
}

fn diff(path: &mut String, before: &Value, after: &Value, operations: &mut Vec<Value>) {
    match (before, after) {
        (before, after) if before == after => {}
        (Value::Object(_), Value::Object(_)) => diff_maps(path, before, after, operations),
        (Value::Array(old), Value::Array(new)) => {
            let replace = json!({"op": "replace", "path": path, "value": after});
            let mut steps = Vec::new();
            if old.len() * new.len() <= ALIGNMENT_LIMIT {
                diff_lists(path, old, new, &mut steps);
            }
            if steps.is_empty() || (steps.len() > 1 && total(&steps) > size(&replace)) {
                steps = vec![replace];
            }
            operations.append(&mut steps);
        }
        (_, after) => operations.push(json!({"op": "replace", "path": path, "value": after})),
    }
}

fn size(value: &Value) -> usize {
    value.to_string().len()
}

fn total(operations: &[Value]) -> usize {
    operations.iter().map(size).sum()
}

fn diff_maps(path: &mut String, before: &Value, after: &Value, operations: &mut Vec<Value>) {
    let (Value::Object(old), Value::Object(new)) = (before, after) else { return };
    for (field, value) in old {
        within(path, field, |path| match new.get(field) {
            Some(other) => diff(path, value, other, operations),
            None => operations.push(json!({"op": "remove", "path": path})),
        });
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

/// A longest common subsequence of items that are the same one.
fn pairs(old: &[Value], new: &[Value]) -> Vec<(usize, usize)> {
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
    path.push_str(&part.replace('~', "~0").replace('/', "~1"));
    step(path);
    path.truncate(length);
}

#[cfg(test)]
mod tests;
