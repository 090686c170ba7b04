//! `discoverySelectors`: which namespaces the mesh sees. In: MeshConfig's label selectors. Out: whether a
//! namespace's labels are matched by one of them; without selectors all are.

use lateen_api::istio::mesh::{Fault, LabelSelector, LabelSelectorRequirement, unusable_selectors};

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
    /// With all that is wrong with them, below `path`; none of them counts then.
    pub fn compile(path: &str, selectors: &[LabelSelector]) -> Result<Self, Vec<Fault>> {
        let faults = unusable_selectors(path, selectors);
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Discovery(selectors.iter().map(selector).collect()))
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

fn selector(selector: &LabelSelector) -> Vec<Requirement> {
    let labels = selector.match_labels.iter().map(|(key, value)| Requirement {
        key: key.clone(),
        condition: Condition::In(vec![value.clone()]),
    });
    labels.chain(selector.match_expressions.iter().map(requirement)).collect()
}

fn requirement(expression: &LabelSelectorRequirement) -> Requirement {
    let LabelSelectorRequirement { key, operator, values } = expression;
    let condition = match operator.as_str() {
        "In" => Condition::In(values.clone()),
        "NotIn" => Condition::NotIn(values.clone()),
        "Exists" => Condition::Exists,
        _ => Condition::DoesNotExist,
    };
    Requirement { key: key.clone(), condition }
}

#[cfg(test)]
mod tests {
    use lateen_api::istio::mesh::{Fault, LabelSelector};
    use serde_json::{Value, json};

    use super::Discovery;
    use crate::service::Labels;

    fn compile(selectors: Value) -> Result<Discovery, Vec<Fault>> {
        let selectors: Vec<LabelSelector> = serde_json::from_value(selectors).unwrap();
        Discovery::compile("s", &selectors)
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
        for (operator, values, path, said) in [
            ("in", json!(["1"]), "operator", "\"in\" is no operator: use In, NotIn"),
            ("In", json!([]), "values", "In needs values"),
            ("Exists", json!(["1"]), "values", "Exists takes no values"),
            ("In", json!(["a b"]), "values", "\"a b\" is no value of a label"),
        ] {
            let expression = json!({"key": "team", "operator": operator, "values": values});
            let faults = compile(json!([{}, {"matchExpressions": [expression]}])).unwrap_err();
            let [Fault { path: at, message }] = &*faults else { panic!("{faults:?}") };
            assert_eq!(*at, format!("s[1].matchExpressions[0].{path}"));
            assert!(message.starts_with(said), "{message}");
        }
    }
}
