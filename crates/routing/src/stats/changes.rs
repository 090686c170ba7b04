//! What is different about Istio's metrics. In: the stats filter's `metrics`. Out: labels of a metric from its
//! standard ones, with notes on what is not acted on. Source: istio/proxy's stats filter.

use std::collections::BTreeMap;
use std::sync::Arc;

use lateen_telemetry::cel::{Attributes, Expression};
use lateen_telemetry::labels::{
    ADDED_LABELS, Label, Labels, STANDARD, bounded, cut, exported_name,
};
use lateen_telemetry::peer::unknown;
use lateen_telemetry::plugin::MetricConfig;
use lateen_telemetry::standard::Metric;

/// Of all metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    by_metric: BTreeMap<Metric, Change>,
    pub needs: Needs,
}

/// What of one connection the expressions ask for, besides what its kind has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub source: bool,
    pub destination: bool,
    pub upstream: bool,
    pub server_name: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Change {
    drop: bool,
    /// Labels that are set; none: removed.
    tags: BTreeMap<String, Option<Arc<Expression>>>,
}

impl Changes {
    /// `None` if nothing is different.
    pub fn compile(source: &[MetricConfig], notes: &mut Vec<String>) -> Option<Self> {
        let mut changes = Self::default();
        for config in source {
            if !config.r#match.is_empty() {
                notes.push(format!("changes of metrics where {} are not acted on", config.r#match));
                continue;
            }
            let fits = |name: &str| config.name.is_empty() || config.name == name;
            let found = Metric::ALL.iter().filter(|about| fits(about.short()));
            let metrics: Vec<Metric> = found.map(|about| about.metric).collect();
            if metrics.is_empty() {
                notes.push(format!("the metric {:?} is not counted", config.name));
            }
            let tags = tags(config, notes);
            for metric in metrics {
                let change = changes.by_metric.entry(metric).or_default();
                change.drop |= config.drop;
                change.tags.extend(tags.iter().map(|(name, tag)| (name.clone(), tag.clone())));
                change.bound(notes);
            }
        }
        changes.needs = changes.needs();
        (!changes.by_metric.is_empty()).then_some(changes)
    }

    /// The labels of a metric; none if it is not counted. An expression that fails gives `unknown`.
    pub fn labels(
        &self,
        metric: Metric,
        standard: &Labels,
        about: &dyn Attributes,
    ) -> Option<Labels> {
        let Some(change) = self.by_metric.get(&metric) else { return Some(standard.clone()) };
        if change.drop {
            return None;
        }
        let value = |expression: &Expression| {
            bounded(expression.value(about).map_or_else(unknown, |value| value.print()))
        };
        let mut all = Vec::with_capacity(standard.len() + change.tags.len());
        for label in &**standard {
            match change.tags.get(&*label.name) {
                None => all.push(label.clone()),
                Some(None) => {}
                Some(Some(expression)) => {
                    all.push(Label { name: label.name.clone(), value: value(expression) });
                }
            }
        }
        let added = change.tags.iter().filter(|(name, _)| !STANDARD.contains(&name.as_str()));
        all.extend(added.filter_map(|(name, expression)| {
            let value = value(expression.as_ref()?);
            Some(Label { name: name.clone().into(), value })
        }));
        Some(all.into())
    }

    fn needs(&self) -> Needs {
        let tags = self.by_metric.values().flat_map(|change| change.tags.values());
        let mut needs = Needs::default();
        for expression in tags.flatten() {
            let names = |group: &str, names: &[&str]| {
                names.iter().any(|name| expression.names(group, name))
            };
            needs.source |= names("source", &["address", "port"]);
            needs.destination |= names("destination", &["address", "port"]);
            needs.upstream |= names("upstream", &["address", "port"]);
            needs.server_name |= names("connection", &["requested_server_name"]);
        }
        needs
    }
}

impl Change {
    /// Leaves out labels that are more than may be added.
    fn bound(&mut self, notes: &mut Vec<String>) {
        let mut room = ADDED_LABELS;
        self.tags.retain(|name, tag| {
            let is_added = tag.is_some() && !STANDARD.contains(&name.as_str());
            if is_added && room == 0 {
                let name = cut(name, 64);
                notes.push(format!("the label {name:?} is left out: it is beyond the {ADDED_LABELS} that may be added"));
                return false;
            }
            room -= usize::from(is_added);
            true
        });
    }
}

fn tags(
    config: &MetricConfig,
    notes: &mut Vec<String>,
) -> BTreeMap<String, Option<Arc<Expression>>> {
    let mut tags = BTreeMap::new();
    for name in &config.tags_to_remove {
        match STANDARD.contains(&name.as_str()) {
            true => drop(tags.insert(name.clone(), None)),
            false => notes.push(format!("{name:?} is no label that could be removed")),
        }
    }
    for (name, text) in &config.dimensions {
        let exported = match exported_name(name) {
            Ok(exported) => exported.into_owned(),
            Err(reason) => {
                notes.push(format!("there is no label {:?}: {reason}", cut(name, 64)));
                continue;
            }
        };
        match Expression::parse(text) {
            Ok(expression) => drop(tags.insert(exported, Some(Arc::new(expression)))),
            Err(error) => notes.push(format!("the label {name} stays: {text:?}: {error}")),
        }
    }
    tags
}

#[cfg(test)]
mod tests {
    use lateen_telemetry::cel::{Attributes, Value};
    use lateen_telemetry::labels::{Label, Labels};
    use lateen_telemetry::plugin::MetricConfig;
    use lateen_telemetry::standard::Metric;

    use super::{ADDED_LABELS, Changes, Needs};

    struct Port;

    impl Attributes for Port {
        fn attribute(&self, group: &str, name: &str) -> Option<Value> {
            (group == "destination" && name == "port").then_some(Value::Int(80))
        }
    }

    fn labels() -> Labels {
        let label = |name: &'static str| Label { name: name.into(), value: "x".into() };
        ["reporter", "source_app", "response_flags"].map(label).into()
    }

    fn config(name: &str, set: &[(&str, &str)], removed: &[&str]) -> MetricConfig {
        let owned = |text: &&str| (*text).to_owned();
        MetricConfig {
            name: name.to_owned(),
            dimensions: set.iter().map(|(name, value)| (owned(name), owned(value))).collect(),
            tags_to_remove: removed.iter().map(owned).collect(),
            ..Default::default()
        }
    }

    fn shown(changes: &Changes, metric: Metric) -> Option<String> {
        let labels = changes.labels(metric, &labels(), &Port)?;
        let all = labels.iter().map(|label| format!("{}={}", label.name, label.value));
        Some(all.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn labels_are_set_added_and_removed_by_metric() {
        let mut notes = Vec::new();
        let set =
            [("source_app", "'a'"), ("port", "string(destination.port)"), ("host", "request.host")];
        let sent = config("tcp_sent_bytes_total", &set, &["response_flags"]);
        let off = MetricConfig { drop: true, ..config("tcp_connections_opened_total", &[], &[]) };
        let changes = Changes::compile(&[sent, off], &mut notes).unwrap();
        let expected = "reporter=x source_app=a host=unknown port=80";
        assert_eq!(shown(&changes, Metric::TcpSent).as_deref(), Some(expected));
        assert_eq!(shown(&changes, Metric::TcpOpened), None);
        let expected = "reporter=x source_app=x response_flags=x";
        assert_eq!(shown(&changes, Metric::TcpClosed).as_deref(), Some(expected));
        assert_eq!(changes.needs, Needs { destination: true, ..Needs::default() });
        assert!(notes.is_empty(), "{notes:?}");
    }

    #[test]
    fn more_labels_than_may_be_added_are_left_out_and_noted() {
        let names: Vec<String> = (0..ADDED_LABELS + 3).map(|at| format!("l{at:03}")).collect();
        let mut set: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "'a'")).collect();
        set.push(("source_app", "'b'"));
        let mut notes = Vec::new();
        let name = "tcp_sent_bytes_total";
        let changes = Changes::compile(&[config(name, &set, &[])], &mut notes).unwrap();
        assert_eq!(notes.len(), 3, "{notes:?}");
        let shown = shown(&changes, Metric::TcpSent).unwrap();
        assert!(shown.contains("source_app=b") && shown.contains("l049=a"), "{shown}");
        assert!(!shown.contains("l050"), "{shown}");
    }

    #[test]
    fn what_cannot_be_acted_on_is_noted_and_the_rest_is_done() {
        let mut notes = Vec::new();
        let bad =
            config("", &[("a", "1 +"), ("le", "'d'"), ("b-c", "'d'"), ("e", "'f'")], &["port"]);
        let other = config("mine", &[], &[]);
        let matching = MetricConfig { r#match: "true".to_owned(), ..config("", &[], &[]) };
        let changes = Changes::compile(&[bad, other, matching], &mut notes).unwrap();
        let expected = "reporter=x source_app=x response_flags=x b_c=d e=f";
        assert_eq!(shown(&changes, Metric::TcpSent).as_deref(), Some(expected));
        assert_eq!(notes.len(), 5, "{notes:?}");
        assert_eq!(Changes::compile(&[], &mut notes), None);
    }
}
