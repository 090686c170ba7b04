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
    use super::parse;

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
