//! What a scalar of YAML 1.1 is, as kubectl, the API server and Istio take it. In: its text. Out: its meaning.

/// What a scalar stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text,
}

impl Scalar {
    /// What a scalar in no quotes is. Parts of sixty and dates are texts; so is a number that none can hold.
    pub(super) fn plain(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
            "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => {
                return Scalar::Bool(true);
            }
            "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n"
            | "N" => return Scalar::Bool(false),
            _ => {}
        }
        let digits = text.replace('_', "");
        let number = match text.as_bytes() {
            [b'+' | b'-' | b'0'..=b'9', ..] => int(&digits).map(Scalar::Int),
            [b'.', ..] if are_between_digits(text) => None,
            _ => return Scalar::Text,
        };
        number.or_else(|| float(&digits).map(Scalar::Float)).unwrap_or(Scalar::Text)
    }

    /// The same as JSON has it.
    pub(super) fn json(self) -> Option<String> {
        match self {
            Scalar::Null => Some("null".to_owned()),
            Scalar::Bool(is) => Some(is.to_string()),
            Scalar::Int(number) => Some(number.to_string()),
            Scalar::Float(number) if number == 0.0 || (1e-6..1e21).contains(&number.abs()) => {
                Some(number.to_string())
            }
            Scalar::Float(number) => Some(format!("{number:e}")),
            Scalar::Text => None,
        }
    }

    /// The key that it is: of a fraction, what is left of it in 32 bits.
    pub(super) fn key(self) -> Option<String> {
        let Scalar::Float(number) = self else {
            return self.json().filter(|_| self != Scalar::Null);
        };
        #[allow(clippy::cast_possible_truncation)]
        let short = number as f32;
        let scientific = format!("{short:e}");
        let (digits, exponent) = scientific.split_once('e')?;
        let exponent: i32 = exponent.parse().ok()?;
        let sign = if exponent < 0 { '-' } else { '+' };
        Some(match exponent {
            -4..=5 => short.to_string(),
            _ => format!("{digits}e{sign}{:02}", exponent.abs()),
        })
    }
}

/// Whether a digit stands before and behind each `_`.
fn are_between_digits(text: &str) -> bool {
    let [mut before, mut behind] = [text.split('_'), text.split('_')];
    behind.next();
    behind.all(|behind| {
        before.next().is_some_and(|before| before.ends_with(|last: char| last.is_ascii_digit()))
            && behind.starts_with(|first: char| first.is_ascii_digit())
    })
}

/// With a base as in `0x1f`, `0o17`, `0b1` or `017`, as far as 64 bits hold it.
fn int(text: &str) -> Option<i128> {
    let minus = text.strip_prefix('-');
    let rest = minus.or_else(|| text.strip_prefix('+')).unwrap_or(text);
    let (radix, digits) = match rest.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &rest[2..]),
        [b'0', b'o' | b'O', ..] => (8, &rest[2..]),
        [b'0', b'b' | b'B', ..] => (2, &rest[2..]),
        [b'0', b'0'..=b'9', ..] => (8, &rest[1..]),
        _ => (10, rest),
    };
    let is_unsigned = digits.starts_with(|first: char| first.is_ascii_alphanumeric());
    let number = is_unsigned.then(|| u64::from_str_radix(digits, radix).ok())?.map(i128::from)?;
    match minus {
        None => Some(number),
        Some(_) => Some(-number).filter(|number| *number >= i128::from(i64::MIN)),
    }
}

/// In digits of ten, and no more than 64 bits hold.
fn float(text: &str) -> Option<f64> {
    let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    let number = text.bytes().all(is_digit).then(|| text.parse::<f64>().ok())?;
    number.filter(|number| number.is_finite())
}
