//! HorizontalPodAutoscalers of every age. In: a spec as `autoscaling/v2beta1` or `v2` writes it. Out:
//! the same as `autoscaling/v2`.

use serde_json::{Map, Value, json};

/// The spec with today's metrics; what is not understood is left for the check of types.
pub fn modern(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(metrics) = spec.get_mut("metrics").and_then(Value::as_array_mut) {
        metrics.iter_mut().for_each(metric);
    }
    // autoscaling/v1 has one number in place of metrics.
    let fields = spec.as_object_mut();
    if let Some(percent) = fields.and_then(|f| f.shift_remove("targetCPUUtilizationPercentage")) {
        spec["metrics"] = json!([utilization("cpu", percent)]);
    }
    spec
}

/// One resource's metric: an average share of what the pods request.
pub fn utilization(resource: &str, percent: Value) -> Value {
    json!({
        "type": "Resource",
        "resource": {
            "name": resource,
            "target": { "type": "Utilization", "averageUtilization": percent },
        },
    })
}

fn metric(metric: &mut Value) {
    for source in ["resource", "containerResource", "pods", "object", "external"] {
        if let Some(Value::Object(fields)) = metric.get_mut(source) {
            modernise(fields);
        }
    }
}

fn modernise(fields: &mut Map<String, Value>) {
    // v2beta1's `target` of an object is what is measured.
    if fields.get("target").is_some_and(|target| target["kind"].is_string())
        && let Some(object) = fields.shift_remove("target")
    {
        fields.insert("describedObject".into(), object);
    }
    let targets = [
        ("targetAverageUtilization", "Utilization", "averageUtilization"),
        ("targetAverageValue", "AverageValue", "averageValue"),
        ("averageValue", "AverageValue", "averageValue"),
        ("targetValue", "Value", "value"),
    ];
    for (old, kind, new) in targets {
        if let Some(value) = fields.shift_remove(old) {
            fields.insert("target".into(), json!({ "type": kind, new: value }));
        }
    }
    // Its metric is a name.
    if let Some(name) = fields.shift_remove("metricName") {
        let selector =
            fields.shift_remove("selector").or_else(|| fields.shift_remove("metricSelector"));
        let mut metric = json!({ "name": name });
        if let Some(selector) = selector {
            metric["selector"] = selector;
        }
        fields.insert("metric".into(), metric);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::modern;

    #[test]
    fn an_old_metric_becomes_todays_and_todays_stays() {
        let old = json!({"metrics": [
            {"type": "Resource", "resource": {"name": "cpu", "targetAverageUtilization": 80}},
            {"type": "External", "external": {"metricName": "q", "targetAverageValue": "30"}},
            {"type": "Object", "object": {
                "target": {"kind": "Service", "name": "x"}, "metricName": "q", "targetValue": 10}},
        ]});
        let new = json!({"metrics": [
            {"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}},
            {"type": "External", "external": {
                "target": {"type": "AverageValue", "averageValue": "30"}, "metric": {"name": "q"}}},
            {"type": "Object", "object": {
                "describedObject": {"kind": "Service", "name": "x"},
                "target": {"type": "Value", "value": 10}, "metric": {"name": "q"}}},
        ]});
        assert_eq!(modern(&old), new);
        assert_eq!(modern(&new), new);
    }

    #[test]
    fn the_oldest_has_one_number() {
        let old = json!({"maxReplicas": 3, "targetCPUUtilizationPercentage": 70});
        let target = &modern(&old)["metrics"][0]["resource"]["target"];
        assert_eq!(target["averageUtilization"], 70);
    }
}
