//! Deployments and what stands beside them. In: their specs. Out: why they would be refused.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Rules;
use crate::facts::is_nothing;

impl Rules<'_> {
    pub(super) fn deployment(&mut self, spec: &Value) {
        let rolling = &spec["strategy"]["rollingUpdate"];
        if is_nothing(&rolling["maxSurge"]) && is_nothing(&rolling["maxUnavailable"]) {
            let message = "maxSurge and maxUnavailable are both 0: no pod could be replaced";
            self.tell("spec.strategy.rollingUpdate.maxUnavailable", message);
        }
        self.pods(spec);
    }

    pub(super) fn daemon_set(&mut self, spec: &Value) {
        self.pods(spec);
    }

    /// What makes pods finds them again by its selector.
    fn pods(&mut self, spec: &Value) {
        let labels = &spec["template"]["metadata"]["labels"];
        for (key, value) in spec["selector"]["matchLabels"].as_object().into_iter().flatten() {
            if labels.get(key) != Some(value) {
                let message = format!("it is not the selector's {value}: its pods would be lost");
                self.tell(&format!("spec.template.metadata.labels.{key}"), message);
            }
        }
        self.pod(&spec["template"]["spec"]);
    }

    fn pod(&mut self, pod: &Value) {
        let at = "spec.template.spec";
        let (mut volumes, mut containers) = (BTreeSet::new(), BTreeSet::new());
        self.once(&pod["volumes"], &format!("{at}.volumes"), &mut volumes);
        for list in ["initContainers", "containers"] {
            let at = format!("{at}.{list}");
            self.once(&pod[list], &at, &mut containers);
            for (index, container) in pod[list].as_array().into_iter().flatten().enumerate() {
                self.mounts(container, &volumes, &format!("{at}[{index}]"));
            }
        }
    }

    fn mounts(&mut self, container: &Value, volumes: &BTreeSet<String>, at: &str) {
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
    }

    pub(super) fn autoscaler(&mut self, spec: &Value) {
        let (min, max) = (spec["minReplicas"].as_i64(), spec["maxReplicas"].as_i64());
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            self.tell("spec.maxReplicas", format!("{max} is less than minReplicas, {min}"));
        }
    }

    /// Adds the names of a list's items, of which there is one each.
    fn once(&mut self, list: &Value, path: &str, names: &mut BTreeSet<String>) {
        let items = list.as_array().into_iter().flatten().enumerate();
        for (index, item) in items.filter(|(_, item)| !item.is_null()) {
            let name = item["name"].as_str().unwrap_or_default();
            if !names.insert(name.to_owned()) {
                self.tell(&format!("{path}[{index}].name"), format!("{name:?} is there twice"));
            }
        }
    }
}
