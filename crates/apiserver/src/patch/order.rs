//! The order of a list after a strategic merge with `$setElementOrder`. In: the merged items, the
//! list as it was, and the order that the client wants for the items it knows. Out: the items, those
//! that only the server knows keeping their place relative to the others.

use serde_json::Value;

/// What makes two items the same.
#[derive(Clone, Copy)]
pub enum ItemKey<'a> {
    /// The value of this field.
    Field(&'a str),
    /// The item itself.
    Whole,
}

impl ItemKey<'_> {
    fn of(self, item: &Value) -> Option<&Value> {
        match self {
            ItemKey::Field(name) => item.get(name),
            ItemKey::Whole => Some(item),
        }
    }
}

/// Where an item equal to `item` stands in `list`.
pub fn position(list: &[Value], item: &Value, key: ItemKey<'_>) -> Option<usize> {
    let id = key.of(item)?;
    list.iter().position(|other| key.of(other) == Some(id))
}

/// Arranges `items`: those in `order` by it, the others where they stood in `before`.
pub fn arrange(
    items: Vec<Value>,
    before: &[Value],
    order: &[Value],
    key: ItemKey<'_>,
) -> Vec<Value> {
    let (mut known, server_only): (Vec<Value>, Vec<Value>) =
        items.into_iter().partition(|item| position(order, item, key).is_some());
    known.sort_by_key(|item| position(order, item, key));
    interleave(server_only, known, before, key)
}

/// A server-only item goes first only when it stood before the next known item.
fn interleave(
    server_only: Vec<Value>,
    known: Vec<Value>,
    before: &[Value],
    key: ItemKey<'_>,
) -> Vec<Value> {
    let mut out = Vec::with_capacity(server_only.len() + known.len());
    let mut left = server_only.into_iter().peekable();
    let mut right = known.into_iter().peekable();
    loop {
        let left_first = match (left.peek(), right.peek()) {
            (None, None) => return out,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(l), Some(r)) => match (position(before, l, key), position(before, r, key)) {
                (Some(l), Some(r)) => l < r,
                _ => false,
            },
        };
        out.extend(if left_first { left.next() } else { right.next() });
    }
}
