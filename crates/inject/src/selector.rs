//! Label selectors. In: a selector as Kubernetes writes it, or requirements made in code. Out: whether
//! labels match, and the selector as JSON: what is rendered and what is decided come of one value.

use std::fmt;

use lateen_api::istio::mesh::LabelSelector;
use serde_json::{Value, json};

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    In,
    /// Also true where there is no such label.
    NotIn,
    Exists,
    DoesNotExist,
}

/// One line of `matchExpressions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
    pub values: Vec<String>,
}

/// All requirements must hold; without any, everything matches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector(pub Vec<Requirement>);

impl Requirement {
    pub fn new(key: &str, operator: Operator, values: &[&str]) -> Self {
        let values = values.iter().map(|&value| value.to_owned()).collect();
        Requirement { key: key.to_owned(), operator, values }
    }

    pub fn is(key: &str, value: &str) -> Self {
        Requirement::new(key, Operator::In, &[value])
    }

    pub fn is_not(key: &str, value: &str) -> Self {
        Requirement::new(key, Operator::NotIn, &[value])
    }

    pub fn absent(key: &str) -> Self {
        Requirement::new(key, Operator::DoesNotExist, &[])
    }

    fn matches(&self, value: Option<&str>) -> bool {
        let listed = value.is_some_and(|value| self.values.iter().any(|one| one == value));
        match self.operator {
            Operator::In => listed,
            Operator::NotIn => !listed,
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }

    fn render(&self) -> Value {
        let operator = match self.operator {
            Operator::In => "In",
            Operator::NotIn => "NotIn",
            Operator::Exists => "Exists",
            Operator::DoesNotExist => "DoesNotExist",
        };
        let mut rendered = json!({"key": self.key, "operator": operator});
        if !self.values.is_empty() {
            rendered["values"] = json!(self.values);
        }
        rendered
    }
}

impl fmt::Display for Requirement {
    /// As kubectl takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        match self.operator {
            Operator::In if self.values.len() == 1 => write!(f, "{key}={values}"),
            Operator::NotIn if self.values.len() == 1 => write!(f, "{key}!={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requirements: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&requirements.join(","))
    }
}

impl Selector {
    /// MeshConfig's form of one, if it can be used.
    pub fn of(selector: &LabelSelector) -> Option<Self> {
        let selector = serde_json::to_value(selector).ok()?;
        Selector::parse(&selector).ok()
    }

    /// Reads `{matchLabels, matchExpressions}`; the error says what is wrong with it.
    pub fn parse(value: &Value) -> Result<Self, String> {
        let mut requirements = Vec::new();
        for (field, part) in value.as_object().ok_or("a label selector is an object")? {
            match field.as_str() {
                "matchLabels" => labels(part, &mut requirements)?,
                "matchExpressions" => {
                    for expression in part.as_array().ok_or("matchExpressions is a list")? {
                        requirements.push(expression_of(expression)?);
                    }
                }
                other => return Err(format!("a label selector has no field {other:?}")),
            }
        }
        Ok(Selector(requirements))
    }

    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|requirement| requirement.matches(label(&requirement.key)))
    }

    pub fn render(&self) -> Value {
        if self.0.is_empty() {
            return json!({});
        }
        json!({"matchExpressions": self.0.iter().map(Requirement::render).collect::<Vec<_>>()})
    }
}

fn labels(part: &Value, requirements: &mut Vec<Requirement>) -> Result<(), String> {
    for (key, value) in part.as_object().ok_or("matchLabels is a map")? {
        let value = value.as_str().ok_or_else(|| format!("matchLabels.{key} is not a string"))?;
        requirements.push(Requirement::is(key, value));
    }
    Ok(())
}

fn expression_of(value: &Value) -> Result<Requirement, String> {
    let key = value["key"].as_str().ok_or("an expression needs a key")?;
    let (operator, with_values) = match value["operator"].as_str() {
        Some("In") => (Operator::In, true),
        Some("NotIn") => (Operator::NotIn, true),
        Some("Exists") => (Operator::Exists, false),
        Some("DoesNotExist") => (Operator::DoesNotExist, false),
        _ => return Err(format!("{key}: operator is one of In, NotIn, Exists, DoesNotExist")),
    };
    let values = value["values"].as_array().map_or(&[][..], Vec::as_slice);
    let values: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
    let values = values.ok_or_else(|| format!("{key}: values are strings"))?;
    if values.is_empty() == with_values {
        return Err(format!("{key}: In and NotIn take values, Exists and DoesNotExist none"));
    }
    Ok(Requirement::new(key, operator, &values))
}
