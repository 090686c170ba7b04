//! Inputs that are almost right, for whatever reads bytes or objects from outside. In: samples. Out:
//! variations of them, the same ones in every run; `LATEEN_FUZZ_CASES=100000` makes as many new ones.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

/// How often one sample is changed.
const CHANGES: usize = 6;
const CASES: &str = "LATEEN_FUZZ_CASES";

/// Runs `read` on `cases` inputs. It fails if one makes `read` panic, with the smallest that does.
///
/// # Panics
/// If `read` does.
pub fn fuzz<S: Strategy>(cases: u32, inputs: S, read: impl Fn(S::Value)) {
    let wanted = std::env::var(CASES).ok().and_then(|cases| cases.parse().ok());
    let config = Config {
        cases: wanted.unwrap_or(cases),
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    let mut runner = match wanted {
        Some(_) => TestRunner::new(config),
        None => {
            let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
            TestRunner::new_with_rng(config, rng)
        }
    };
    let outcome = runner.run(&inputs, |input| {
        read(input);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// Bytes of a sample with some of them changed, left out, doubled or cut off.
pub fn bytes(samples: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<Index>(), any::<u8>(), 0..5_u8);
    (select(samples), vec(change, 0..CHANGES)).prop_map(|(mut bytes, changes)| {
        for (place, byte, how) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = place.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes[at] ^= 1 << (byte % 8),
                2 => bytes.insert(at, byte),
                3 => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
        bytes
    })
}

/// A sample with some of its values replaced by values that do not belong there, or left out.
pub fn objects(samples: Vec<Value>) -> impl Strategy<Value = Value> {
    let odd = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        "[-a-zA-Z0-9*./:_ ]{0,12}".prop_map(Value::from),
        "\\PC{0,300}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([{}])),
        Just(json!([null, "*", 0])),
    ];
    let change = (any::<Index>(), odd, any::<bool>());
    (select(samples), vec(change, 0..CHANGES)).prop_map(|(mut object, changes)| {
        for (place, odd, swap) in changes {
            let places = places(&object);
            let pointer = &places[place.index(places.len())];
            let donor = places[place.index(places.len() / 2 + 1)].clone();
            // Half of the time a value of the right type in the wrong place.
            let odd = if swap { object.pointer(&donor).cloned().unwrap_or(odd) } else { odd };
            if let Some(value) = object.pointer_mut(pointer) {
                *value = odd;
            }
        }
        object
    })
}

/// JSON pointers to every value below the root.
fn places(value: &Value) -> Vec<String> {
    fn walk(value: &Value, here: &str, found: &mut Vec<String>) {
        let escaped = |key: &String| key.replace('~', "~0").replace('/', "~1");
        let below: Vec<(String, &Value)> = match value {
            Value::Object(fields) => fields.iter().map(|(key, v)| (escaped(key), v)).collect(),
            Value::Array(items) => {
                items.iter().enumerate().map(|(at, v)| (at.to_string(), v)).collect()
            }
            _ => Vec::new(),
        };
        for (key, value) in below {
            let place = format!("{here}/{key}");
            walk(value, &place, found);
            found.push(place);
        }
    }
    let mut found = Vec::new();
    walk(value, "", &mut found);
    if found.is_empty() {
        found.push(String::new());
    }
    found
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use serde_json::json;

    use super::{bytes, fuzz, objects};

    #[test]
    fn a_panic_is_found_in_bytes_and_in_objects() {
        let found = catch_unwind(|| {
            fuzz(500, bytes(vec![vec![1, 2, 3]]), |input| assert_ne!(input.len(), 2));
        });
        assert!(found.is_err());
        let found = catch_unwind(|| {
            let sample = json!({"spec": {"ports": [{"number": 1}]}});
            fuzz(500, objects(vec![sample]), |input| assert!(!input["spec"]["ports"].is_null()));
        });
        assert!(found.is_err());
        fuzz(500, bytes(vec![vec![1, 2, 3]]), |input| assert!(input.len() < 10));
    }
}
