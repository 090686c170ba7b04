//! Deployments and what stands beside them. In: their specs. Out: why they would be refused.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Rules;
use crate::quantity;

impl Rules<'_> {
    pub(super) fn deployment(&mut self, spec: &Value) {
        self.at_least(&spec["replicas"], 0, "spec.replicas");
        let rolling = &spec["strategy"]["rollingUpdate"];
        let none = |value: &Value| *value == json!(0) || *value == json!("0%");
        for field in ["maxSurge", "maxUnavailable"] {
            self.share(&rolling[field], &format!("spec.strategy.rollingUpdate.{field}"));
        }
        if none(&rolling["maxSurge"]) && none(&rolling["maxUnavailable"]) {
            let message = "it is 0, and so is maxSurge: no pod could be replaced";
            self.tell("spec.strategy.rollingUpdate.maxUnavailable", message);
        }
        self.pod(&spec["template"]["spec"]);
    }

    pub(super) fn daemon_set(&mut self, spec: &Value) {
        let rolling = &spec["updateStrategy"]["rollingUpdate"];
        for field in ["maxSurge", "maxUnavailable"] {
            self.share(&rolling[field], &format!("spec.updateStrategy.rollingUpdate.{field}"));
        }
        self.pod(&spec["template"]["spec"]);
    }

    fn pod(&mut self, pod: &Value) {
        let at = "spec.template.spec";
        self.at_least(
            &pod["terminationGracePeriodSeconds"],
            0,
            &format!("{at}.terminationGracePeriodSeconds"),
        );
        let volumes = self.once(&pod["volumes"], &format!("{at}.volumes"));
        for list in ["initContainers", "containers"] {
            let at = format!("{at}.{list}");
            self.once(&pod[list], &at);
            for (index, container) in pod[list].as_array().into_iter().flatten().enumerate() {
                self.container(container, &volumes, &format!("{at}[{index}]"));
            }
        }
    }

    fn container(&mut self, container: &Value, volumes: &BTreeSet<String>, at: &str) {
        let resources = &container["resources"];
        for (name, request) in resources["requests"].as_object().into_iter().flatten() {
            let path = format!("{at}.resources.requests.{name}");
            let amount = quantity::of(request);
            if amount.is_some_and(|amount| amount < 0.0) {
                self.tell(&path, format!("{request} is less than nothing"));
            }
            let limit = &resources["limits"][name];
            if let (Some(amount), Some(most)) = (amount, quantity::of(limit))
                && amount > most
            {
                self.tell(&path, format!("{request} is more than the limit, {limit}"));
            }
        }
        let mut paths = BTreeSet::new();
        for (index, mount) in container["volumeMounts"].as_array().into_iter().flatten().enumerate()
        {
            let name = mount["name"].as_str().unwrap_or_default();
            if !volumes.contains(name) {
                let message = format!("there is no volume {name:?} in the pod");
                self.tell(&format!("{at}.volumeMounts[{index}].name"), message);
            }
            let path = mount["mountPath"].as_str().unwrap_or_default();
            if !paths.insert(path) {
                let message = format!("something else is mounted at {path} already");
                self.tell(&format!("{at}.volumeMounts[{index}].mountPath"), message);
            }
        }
        let image = container["image"].as_str();
        if let Some(image) = image.filter(|image| image.trim() != *image || image.contains(' ')) {
            self.tell(&format!("{at}.image"), format!("{image:?} has a space in it"));
        }
    }

    pub(super) fn autoscaler(&mut self, spec: &Value) {
        self.at_least(&spec["minReplicas"], 1, "spec.minReplicas");
        self.at_least(&spec["maxReplicas"], 1, "spec.maxReplicas");
        let (min, max) = (spec["minReplicas"].as_i64(), spec["maxReplicas"].as_i64());
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            self.tell("spec.maxReplicas", format!("{max} is less than minReplicas, {min}"));
        }
        for (index, metric) in spec["metrics"].as_array().into_iter().flatten().enumerate() {
            let share = &metric["resource"]["target"]["averageUtilization"];
            let at = format!("spec.metrics[{index}].resource.target.averageUtilization");
            self.at_least(share, 1, &at);
        }
    }

    pub(super) fn disruption_budget(&mut self, spec: &Value) {
        for field in ["minAvailable", "maxUnavailable"] {
            self.share(&spec[field], &format!("spec.{field}"));
        }
        if !spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null() {
            self.tell("spec.maxUnavailable", "there is minAvailable too, only one of them may be");
        }
    }

    fn at_least(&mut self, value: &Value, least: i64, path: &str) {
        if let Some(number) = value.as_i64().filter(|number| *number < least) {
            self.tell(path, format!("{number} is less than {least}"));
        }
    }

    /// A number or a share in percent.
    fn share(&mut self, value: &Value, path: &str) {
        self.at_least(value, 0, path);
        let percent = |text: &str| text.strip_suffix('%').is_some_and(|n| n.parse::<u32>().is_ok());
        if let Some(text) = value.as_str().filter(|text| !percent(text)) {
            let message = format!("{text:?} is neither a number nor a share such as 25%");
            self.tell(path, message);
        }
    }

    /// The names of a list's items, of which there is one each.
    fn once(&mut self, list: &Value, path: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let items = list.as_array().into_iter().flatten().enumerate();
        for (index, item) in items.filter(|(_, item)| !item.is_null()) {
            let name = item["name"].as_str().unwrap_or_default();
            if !names.insert(name.to_owned()) {
                self.tell(&format!("{path}[{index}].name"), format!("{name:?} is there twice"));
            }
        }
        names
    }
}
