//! Numbers as people read them, in the same words as the page's `ui/src/model/format.ts`: the figures of a terminal can
//! be laid beside those of the page. In: rates per second, bytes, shares. Out: short text with a unit.

/// Three digits at most, and no more of them than say something.
fn digits(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    if size < 0.01 {
        return "<0.01".to_owned();
    }
    let (places, scale) = match size {
        size if size < 1.0 => (2, 100.0),
        size if size < 100.0 => (1, 10.0),
        _ => (0, 1.0),
    };
    // What is exactly between two is rounded up, as JavaScript does; of no other number the product is exact.
    let is_between = (number * f64::from(2 << places)).fract() == 0.0;
    let number = if is_between { (number * scale).round() / scale } else { number };
    let text = format!("{number:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

fn scaled(number: f64, units: &[&str]) -> (String, usize) {
    let (mut value, mut unit) = (number, 0);
    while value.abs() >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    (digits(value), unit)
}

pub fn number(number: f64) -> String {
    let units = ["", "k", "M", "G"];
    let (text, unit) = scaled(number, &units);
    text + units[unit]
}

pub fn bytes(count: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (text, unit) = scaled(count, &units);
    format!("{text} {}", units[unit])
}

/// Of 0 to 1. Small shares are not rounded to nothing, nor nearly all to all.
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    match value {
        value if value > 0.0 && value < 0.1 => "<0.1%".to_owned(),
        value if value > 99.9 && value < 100.0 => ">99.9%".to_owned(),
        value if value < 10.0 => format!("{}%", digits((value * 10.0).round() / 10.0)),
        value => format!("{}%", value.round()),
    }
}

/// What the page's own functions must say of the same numbers.
#[cfg(test)]
pub mod samples {
    use super::{bytes, number, percent};

    pub fn all() -> serde_json::Value {
        let of = |numbers: &[f64], say: fn(f64) -> String| {
            numbers.iter().map(|number| serde_json::json!([number, say(*number)])).collect()
        };
        let counts: [f64; 16] = [
            0.0, 0.004, 0.33, 0.995, 1.0, 1.67, 9.96, 42.0, 99.94, 99.96, 140.0, 999.4, 999.6,
            1500.0, 1.2e6, 7.1e16,
        ];
        let shares: [f64; 10] = [0.0, 0.0004, 0.0014, 0.0996, 0.125, 0.2, 0.9, 0.9995, 0.9999, 1.0];
        let [numbers, sizes, parts]: [serde_json::Value; 3] =
            [of(&counts, number), of(&counts, bytes), of(&shares, percent)];
        serde_json::json!({ "number": numbers, "bytes": sizes, "percent": parts })
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, number, percent};

    #[test]
    fn numbers_have_the_digits_that_say_something() {
        assert_eq!(
            [0.0, 0.004, 0.3, 1.67, 42.0, 1500.0].map(number),
            ["0", "<0.01", "0.3", "1.7", "42", "1.5k"]
        );
        assert_eq!([0.0, 50.0, 2100.0, 1e12].map(bytes), ["0 B", "50 B", "2.1 kB", "1 TB"]);
        assert_eq!(
            [0.0, 0.0001, 0.125, 0.9999, 1.0].map(percent),
            ["0%", "<0.1%", "13%", ">99.9%", "100%"]
        );
    }
}
