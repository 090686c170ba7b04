//! `discoverySelectors`: which namespaces the mesh sees. In: MeshConfig's label selectors. Out: whether a
//! namespace's labels are matched by one of them; without selectors all are.

use lateen_api::istio::mesh::{LabelSelector, LabelSelectorRequirement};

use crate::service::Labels;

/// One selector must match; none at all selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery(Vec<Vec<Requirement>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    condition: Condition,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    In(Vec<String>),
    /// Also true where there is no such label.
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

impl Discovery {
    /// Compiles the selectors.
    ///
    /// # Errors
    /// With what is wrong with one; none of them counts then.
    pub fn compile(selectors: &[LabelSelector]) -> Result<Self, String> {
        selectors.iter().map(selector).collect::<Result<_, _>>().map(Discovery)
    }

    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a namespace with these labels is seen.
    pub fn selects(&self, labels: &Labels) -> bool {
        let matches = |all: &Vec<Requirement>| all.iter().all(|one| one.holds(labels));
        self.is_everything() || self.0.iter().any(matches)
    }
}

impl Requirement {
    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        let among = |values: &Vec<String>| value.is_some_and(|value| values.contains(value));
        match &self.condition {
            Condition::In(values) => among(values),
            Condition::NotIn(values) => !among(values),
            Condition::Exists => value.is_some(),
            Condition::DoesNotExist => value.is_none(),
        }
    }
}

fn selector(selector: &LabelSelector) -> Result<Vec<Requirement>, String> {
    let labels = selector.match_labels.iter().map(|(key, value)| {
        Ok(Requirement { key: key.clone(), condition: Condition::In(vec![value.clone()]) })
    });
    labels.chain(selector.match_expressions.iter().map(expression)).collect()
}

fn expression(expression: &LabelSelectorRequirement) -> Result<Requirement, String> {
    let LabelSelectorRequirement { key, operator, values } = expression;
    let condition = match (operator.as_str(), values.is_empty()) {
        ("In", false) => Condition::In(values.clone()),
        ("NotIn", false) => Condition::NotIn(values.clone()),
        ("Exists", true) => Condition::Exists,
        ("DoesNotExist", true) => Condition::DoesNotExist,
        ("In" | "NotIn", true) => return Err(format!("{key}: {operator} needs values")),
        ("Exists" | "DoesNotExist", false) => {
            return Err(format!("{key}: {operator} takes no values"));
        }
        _ => {
            return Err(format!(
                "{key}: {operator:?} is not one of In, NotIn, Exists and DoesNotExist"
            ));
        }
    };
    Ok(Requirement { key: key.clone(), condition })
}

#[cfg(test)]
mod tests {
    use lateen_api::istio::mesh::LabelSelector;
    use serde_json::{Value, json};

    use super::Discovery;
    use crate::service::Labels;

    fn compile(selectors: Value) -> Result<Discovery, String> {
        let selectors: Vec<LabelSelector> = serde_json::from_value(selectors).unwrap();
        Discovery::compile(&selectors)
    }

    fn labels(text: &str) -> Labels {
        let pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn one_selector_whose_requirements_all_hold_is_enough() {
        let expression = |operator: &str, values: Value| json!({"key": "a", "operator": operator, "values": values});
        let two = json!([{"matchLabels": {"a": "1", "b": "2"}}, {"matchLabels": {"c": "3"}}]);
        for (selectors, seen, hidden) in [
            (json!([]), &["", "a=1"][..], &[][..]),
            (json!([{}]), &["", "a=1"], &[]),
            (two, &["a=1 b=2", "c=3", "c=3 a=9"], &["", "a=1", "b=2", "c=4"]),
            (
                json!([{"matchExpressions": [expression("In", json!(["1", "2"]))]}]),
                &["a=2"],
                &["", "a=3"],
            ),
            (
                json!([{"matchExpressions": [expression("NotIn", json!(["1"]))]}]),
                &["", "a=2"],
                &["a=1"],
            ),
            (
                json!([{"matchExpressions": [expression("Exists", json!([]))]}]),
                &["a="],
                &["", "b=1"],
            ),
            (
                json!([{"matchExpressions": [expression("DoesNotExist", json!([]))]}]),
                &["b=1"],
                &["a="],
            ),
        ] {
            let discovery = compile(selectors.clone()).unwrap();
            for text in seen {
                assert!(discovery.selects(&labels(text)), "{selectors} sees {text:?}");
            }
            for text in hidden {
                assert!(!discovery.selects(&labels(text)), "{selectors} does not see {text:?}");
            }
        }
    }

    #[test]
    fn what_is_no_selector_is_named() {
        for (operator, values, said) in [
            ("in", json!(["1"]), "\"in\" is not one of"),
            ("In", json!([]), "needs values"),
            ("Exists", json!(["1"]), "takes no values"),
        ] {
            let expression = json!({"key": "team", "operator": operator, "values": values});
            let error = compile(json!([{"matchExpressions": [expression]}])).unwrap_err();
            assert!(error.starts_with("team: ") && error.contains(said), "{error}");
        }
    }
}
