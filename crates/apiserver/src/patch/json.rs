//! JSON patch (RFC 6902). In: the current value and the list of operations. Out: the new value, or
//! 400 for a malformed operation and 422 for one that does not fit the object.

use serde_json::Value;

use super::error::PatchError;
use crate::object::{MAX_DEPTH, depth};

/// Kubernetes refuses longer patches.
const MAX_OPERATIONS: usize = 10_000;
/// What all `copy` operations of a patch may add and its `move` operations carry deeper, in bytes of
/// text and [`NODE`] for each value: as much as a request may bring.
const MAX_COPIED: usize = 3 << 20;
const NODE: usize = 8;

/// Applies every operation in order, all or nothing.
pub fn apply(mut target: Value, operations: &Value) -> Result<Value, PatchError> {
    let operations = operations.as_array().ok_or_else(|| {
        PatchError::bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type \
             jsonpatch.Patch",
        )
    })?;
    if operations.len() > MAX_OPERATIONS {
        return Err(too_large(format!(
            "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            operations.len()
        )));
    }
    let mut copied = 0;
    for operation in operations {
        step(&mut target, operation, &mut copied)?;
    }
    Ok(target)
}

fn too_large(message: String) -> PatchError {
    PatchError { code: 413, reason: "RequestEntityTooLarge", message, causes: Vec::new() }
}

/// What a value takes, for [`MAX_COPIED`].
fn weight(value: &Value) -> usize {
    NODE + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(fields) => fields.iter().map(|(key, one)| key.len() + weight(one)).sum(),
        _ => 0,
    }
}

fn step(target: &mut Value, operation: &Value, copied: &mut usize) -> Result<(), PatchError> {
    let path = pointer(operation, "path")?;
    match operation.get("op").and_then(Value::as_str).unwrap_or_default() {
        "add" => {
            let value = value_of(operation)?;
            check_depth(value, &path, "add")?;
            add(target, &path, value.clone(), "add")
        }
        "replace" => {
            let value = value_of(operation)?;
            check_depth(value, &path, "replace")?;
            replace(target, &path, value.clone())
        }
        "remove" => remove(target, &path, "remove").map(drop),
        "test" => test(target, &path, operation.get("value").unwrap_or(&Value::Null)),
        "move" => carry(target, &pointer(operation, "from")?, &path, copied),
        "copy" => copy(target, &pointer(operation, "from")?, &path, copied),
        other => Err(PatchError::bad_request(format!("Unexpected kind: {other}"))),
    }
}

fn carry(
    target: &mut Value,
    from: &Pointer,
    path: &Pointer,
    copied: &mut usize,
) -> Result<(), PatchError> {
    if path.steps.len() > from.steps.len() {
        if path.steps.starts_with(&from.steps) {
            return Err(PatchError::unprocessable(format!(
                "move operation does not apply: {} is inside {}",
                path.text, from.text
            )));
        }
        // What does not go deeper fits where it goes as it did where it was.
        let value = from.find(target).ok_or_else(|| missing("move", from))?;
        charge(value, copied)?;
        check_depth(value, path, "move")?;
    }
    let value = remove(target, from, "move")?;
    add(target, path, value, "move")
}

fn copy(
    target: &mut Value,
    from: &Pointer,
    path: &Pointer,
    copied: &mut usize,
) -> Result<(), PatchError> {
    let value = from.find(target).ok_or_else(|| missing("copy", from))?;
    charge(value, copied)?;
    check_depth(value, path, "copy")?;
    let value = value.clone();
    add(target, path, value, "copy")
}

fn charge(value: &Value, copied: &mut usize) -> Result<(), PatchError> {
    *copied += weight(value);
    if *copied <= MAX_COPIED {
        return Ok(());
    }
    Err(too_large(format!(
        "the copy and move operations of the patch take more than {MAX_COPIED} bytes: send fewer"
    )))
}

/// Whether a value may be put at `path`. Whoever walks, clones or drops an object uses a piece of the
/// stack for each level, so none may become deeper than what is stored, not even between two operations.
fn check_depth(value: &Value, path: &Pointer, name: &str) -> Result<(), PatchError> {
    if path.steps.len() + depth(value) <= MAX_DEPTH {
        return Ok(());
    }
    Err(PatchError::unprocessable(format!(
        "{name} operation does not apply: the object would be nested deeper than {MAX_DEPTH} levels"
    )))
}

struct Pointer {
    text: String,
    steps: Vec<String>,
}

impl Pointer {
    fn find<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        value.pointer(&self.text)
    }
}

fn pointer(operation: &Value, member: &str) -> Result<Pointer, PatchError> {
    let text = operation.get(member).and_then(Value::as_str).ok_or_else(|| {
        PatchError::bad_request(format!("operation {operation} is missing its {member:?} field"))
    })?;
    if !text.is_empty() && !text.starts_with('/') {
        return Err(PatchError::bad_request(format!(
            "{member} {text:?} is not a JSON pointer: it must be empty or start with '/'"
        )));
    }
    let steps =
        text.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
    Ok(Pointer { text: text.to_owned(), steps })
}

fn value_of(operation: &Value) -> Result<&Value, PatchError> {
    operation.get("value").ok_or_else(|| {
        PatchError::bad_request(format!("operation {operation} is missing its \"value\" field"))
    })
}

fn missing(name: &str, path: &Pointer) -> PatchError {
    PatchError::unprocessable(format!(
        "{name} operation does not apply: doc is missing path: {:?}: missing value",
        path.text
    ))
}

/// The container that holds the pointer's last step, and that step.
fn parent<'a, 'p>(
    target: &'a mut Value,
    path: &'p Pointer,
    name: &str,
) -> Result<(&'a mut Value, &'p str), PatchError> {
    let (last, steps) = path.steps.split_last().ok_or_else(|| missing(name, path))?;
    let mut at = target;
    for step in steps {
        at = match at {
            Value::Object(map) => map.get_mut(step),
            Value::Array(list) => index(step, list.len()).and_then(|i| list.get_mut(i)),
            _ => None,
        }
        .ok_or_else(|| missing(name, path))?;
    }
    Ok((at, last))
}

/// An index below `length`, written as RFC 6901 wants it: no sign, no leading zero.
fn index(step: &str, length: usize) -> Option<usize> {
    let plain = step == "0" || !step.starts_with(['0', '+']);
    step.parse().ok().filter(|at| plain && *at < length)
}

fn add(target: &mut Value, path: &Pointer, value: Value, name: &str) -> Result<(), PatchError> {
    if path.steps.is_empty() {
        *target = value;
        return Ok(());
    }
    let (container, last) = parent(target, path, name)?;
    match container {
        Value::Object(map) => {
            map.insert(last.to_owned(), value);
            Ok(())
        }
        Value::Array(list) if last == "-" => {
            list.push(value);
            Ok(())
        }
        Value::Array(list) => match index(last, list.len() + 1) {
            Some(at) => {
                list.insert(at, value);
                Ok(())
            }
            None => Err(PatchError::unprocessable(format!(
                "{name} operation does not apply: doc is missing path: {:?}: Unable to access \
                 invalid index: {last}: invalid index referenced",
                path.text
            ))),
        },
        _ => Err(missing(name, path)),
    }
}

fn replace(target: &mut Value, path: &Pointer, value: Value) -> Result<(), PatchError> {
    let place = target.pointer_mut(&path.text).ok_or_else(|| {
        PatchError::unprocessable(format!(
            "replace operation does not apply: doc is missing key: {}: missing value",
            path.text
        ))
    })?;
    *place = value;
    Ok(())
}

fn remove(target: &mut Value, path: &Pointer, name: &str) -> Result<Value, PatchError> {
    let (container, last) = parent(target, path, name)?;
    let removed = match container {
        Value::Object(map) => map.shift_remove(last),
        Value::Array(list) => index(last, list.len()).map(|at| list.remove(at)),
        _ => None,
    };
    removed.ok_or_else(|| {
        PatchError::unprocessable(format!(
            "{name} operation does not apply: unable to remove nonexistent key: {last}: missing \
             value"
        ))
    })
}

fn test(target: &Value, path: &Pointer, expected: &Value) -> Result<(), PatchError> {
    if path.find(target).unwrap_or(&Value::Null) == expected {
        return Ok(());
    }
    Err(PatchError::unprocessable(format!("testing value {} failed: test failed", path.text)))
}
