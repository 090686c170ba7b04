//! Values of expressions, and how they are written and compared.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Arc<str>),
    Duration(Duration),
    List(Arc<[Value]>),
    Map(Arc<BTreeMap<Arc<str>, Value>>),
}

impl Value {
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// As Envoy writes the value of a metric's label.
    pub fn print(&self) -> Arc<str> {
        match self {
            Self::Text(text) => text.clone(),
            Self::Null => "NULL".into(),
            Self::Bool(value) => value.to_string().into(),
            Self::Int(value) => value.to_string().into(),
            Self::Uint(value) => value.to_string().into(),
            Self::Double(value) => value.to_string().into(),
            Self::Duration(value) => format!("{}s", value.as_secs_f64()).into(),
            Self::List(_) => "list value".into(),
            Self::Map(_) => "map value".into(),
        }
    }

    /// A member of a map.
    pub fn member(&self, name: &str) -> Option<Value> {
        match self {
            Self::Map(members) => members.get(name).cloned(),
            _ => None,
        }
    }

    /// Whether two values are equal; none if values of their types never are.
    pub fn equals(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Self::Null, _) | (_, Self::Null) => Some(self == other),
            (Self::Bool(a), Self::Bool(b)) => Some(a == b),
            (Self::List(_), Self::List(_)) | (Self::Map(_), Self::Map(_)) => Some(self == other),
            _ => self.order(other).map(|order| order == Ordering::Equal),
        }
    }

    /// Which of two values comes first; none if they cannot be compared.
    pub fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Duration(a), Self::Duration(b)) => Some(a.cmp(b)),
            _ => match (self.whole(), other.whole()) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => self.number()?.partial_cmp(&other.number()?),
            },
        }
    }

    /// Any whole number.
    pub fn whole(&self) -> Option<i128> {
        match self {
            Self::Int(value) => Some(i128::from(*value)),
            Self::Uint(value) => Some(i128::from(*value)),
            _ => None,
        }
    }

    /// Any number.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Uint(value) => Some(*value as f64),
            Self::Double(value) => Some(*value),
            _ => None,
        }
    }
}
