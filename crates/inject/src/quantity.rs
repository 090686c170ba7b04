//! Kubernetes' quantities. In: a text such as `100m`, `0.5`, `128Mi`. Out: how much that is.

use serde_json::Value;

/// The amount, in units; none if the text is no quantity.
pub fn parse(text: &str) -> Option<f64> {
    let end = text
        .char_indices()
        .find(|(at, c)| !(c.is_ascii_digit() || *c == '.' || (*at == 0 && matches!(c, '+' | '-'))))
        .map_or(text.len(), |(at, _)| at);
    let (number, suffix) = text.split_at(end);
    if !number.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: f64 = number.parse().ok()?;
    Some(number * unit(suffix)?)
}

/// The amount of a quantity as YAML has it.
pub fn of(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| parse(value.as_str()?))
}

/// Whether an amount is more than another one: the same may have been written in two ways, `350m` and `0.35`.
pub fn is_more(amount: f64, than: f64) -> bool {
    amount > than * (1.0 + 1e-12)
}

fn unit(suffix: &str) -> Option<f64> {
    let decimal = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    if let Some(place) = decimal.iter().position(|unit| *unit == suffix) {
        return Some(1000_f64.powi(i32::try_from(place).ok()? - 3));
    }
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some(place) = binary.iter().position(|unit| *unit == suffix) {
        return Some(1024_f64.powi(i32::try_from(place).ok()? + 1));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some(10_f64.powi(exponent))
}

#[cfg(test)]
mod tests {
    use super::{is_more, parse};

    #[test]
    fn an_amount_is_itself_in_every_spelling() {
        let more = |amount, than| is_more(parse(amount).unwrap(), parse(than).unwrap());
        for (one, other) in [("350m", "0.35"), ("100m", "0.1"), ("1.1Gi", "1181116006400m")] {
            assert!(!more(one, other) && !more(other, one), "{one} {other}");
        }
        assert!(more("351m", "0.35") && more("1Gi", "1073741823"));
        assert!(!more("0", "0") && more("1m", "0"));
    }

    #[test]
    fn a_quantity_is_a_number_with_a_unit() {
        let amounts = [("2", 2.0), ("100m", 0.1), (".5", 0.5), ("1Ki", 1024.0), ("1e3", 1000.0)];
        for (text, amount) in amounts {
            assert_eq!(parse(text), Some(amount), "{text}");
        }
        for text in ["", "abc", "1 Gi", "1GB", "m", "1.2.3", "0x1", "--1", "1-1", "inf"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
