//! What Kubernetes asks of the fields of its types beyond their types, as JSON schemas. In: a type's name and its schema.
//! Out: the schema with what `install` would refuse, too.

use lateen_install::{ACTIONS, Form, Rule, Type};
use serde_json::{Value, json};

use super::{AMOUNT, keyed, of_type, patterns, texts};

/// Adds to the schema of a type of Kubernetes.
pub fn add(name: &str, required: &[Value], schema: &mut Value) {
    for (field, rule) in lateen_install::facts(name) {
        of_rule(rule, &mut schema["properties"][field]);
    }
    if !required.is_empty() {
        match name.ends_with("Profile") {
            // Istio's charts have empty ones, which ask for nothing.
            true => schema["dependencies"] = json!({ "localhostProfile": ["type"] }),
            false => schema["required"] = json!(required),
        }
    }
    if let Some(together) = together(name.rsplit('.').next().unwrap_or_default()) {
        schema["allOf"] = together;
    }
}

fn of_rule(rule: Rule, field: &mut Value) {
    let over = match rule {
        Rule::OneOf(words) => {
            let all = words.iter().map(|word| json!(word)).chain([json!(""), Value::Null]);
            json!({ "enum": all.collect::<Vec<_>>() })
        }
        Rule::Number(least, most) => json!({ "minimum": least, "maximum": most }),
        Rule::Port(least) => json!({ "minimum": least, "maximum": u16::MAX }),
        Rule::PortOrName(least) => {
            let mut either = texts(&["integer", "string", "null"], patterns::of(Form::PortName));
            either["minimum"] = json!(least);
            either["maximum"] = json!(u16::MAX);
            *field = either;
            return;
        }
        Rule::Share => {
            *field = share();
            return;
        }
        Rule::Word(form) => texts(&["string", "null"], patterns::of(form)),
        Rule::Words(form) => of_type(Type::Words(form)),
        Rule::Labels => of_type(Type::Labels),
        Rule::Amounts => {
            let amount = json!({
                "type": ["string", "number", "null"], "pattern": AMOUNT, "minimum": 0,
            });
            keyed(amount, Form::Resource)
        }
    };
    for (keyword, value) in over.as_object().into_iter().flatten() {
        field[keyword] = value.clone();
    }
}

/// A number or a share in percent.
pub fn share() -> Value {
    json!({
        "type": ["integer", "string", "null"], "pattern": "^([0-9]+%)?$", "minimum": 0, "maximum": i32::MAX,
    })
}

/// Where one field is set, another one is nothing.
fn excludes(one: &str, other: &str) -> Value {
    json!({ "dependencies": { one: { "properties": { other: { "const": null } } } } })
}

/// Of what a probe or a handler can do, it does one thing.
fn one_action() -> Vec<Value> {
    let all = ACTIONS.iter().enumerate();
    let pairs =
        all.flat_map(|(at, one)| ACTIONS[at + 1..].iter().map(move |other| excludes(one, other)));
    pairs.collect()
}

fn when(condition: &Value, then: &Value) -> Value {
    json!({ "if": { "properties": condition, "required": keys(condition) }, "then": then })
}

fn keys(object: &Value) -> Vec<&String> {
    object.as_object().into_iter().flat_map(|map| map.keys()).collect()
}

/// Fields that do not go together.
fn together(name: &str) -> Option<Value> {
    let nothing = json!({ "enum": ["", null] });
    let some = json!({ "type": "string", "minLength": 1 });
    Some(match name {
        "LabelSelectorRequirement" | "NodeSelectorRequirement" => {
            let of = |operators: &[&str], values: Value| {
                let required = values["minItems"].is_number().then_some("values");
                when(
                    &json!({ "operator": { "enum": operators } }),
                    &json!({ "properties": { "values": values }, "required": required.iter().collect::<Vec<_>>() }),
                )
            };
            json!([
                of(&["In", "NotIn"], json!({ "minItems": 1 })),
                of(&["Exists", "DoesNotExist"], json!({ "maxItems": 0 })),
                of(&["Gt", "Lt"], json!({ "minItems": 1, "maxItems": 1 })),
            ])
        }
        "Toleration" => json!([
            {
                "if": { "required": ["key"], "properties": { "key": some } },
                "then": true,
                "else": { "required": ["operator"], "properties": { "operator": { "const": "Exists" } } },
            },
            when(&json!({ "operator": { "const": "Exists" } }), &json!({ "properties": { "value": nothing } })),
            {
                "dependencies": { "tolerationSeconds": {
                    "required": ["effect"], "properties": { "effect": { "const": "NoExecute" } },
                } },
            },
        ]),
        "EnvVar" => {
            json!([when(
                &json!({ "value": some }),
                &json!({ "properties": { "valueFrom": { "const": null } } })
            )])
        }
        "EnvVarSource" => json!([{ "maxProperties": 1 }]),
        "Volume" => json!([{ "maxProperties": 2 }]),
        "Probe" => Value::Array(one_action()),
        "LifecycleHandler" => {
            let does = |action: &&str| json!({ "required": [action], "properties": { *action: { "type": "object" } } });
            let any: Vec<Value> = ACTIONS.iter().map(does).collect();
            let mut all = one_action();
            all.push(json!({ "anyOf": any }));
            Value::Array(all)
        }
        "SeccompProfile" | "AppArmorProfile" => json!([
            when(
                &json!({ "type": { "const": "Localhost" } }),
                &json!({ "required": ["localhostProfile"], "properties": { "localhostProfile": some } }),
            ),
            when(
                &json!({ "type": { "enum": ["RuntimeDefault", "Unconfined"] } }),
                &json!({ "properties": { "localhostProfile": nothing } }),
            ),
        ]),
        _ => return None,
    })
}
