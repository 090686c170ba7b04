//! Names that were meant. In: a name that nobody reads. Out: the annotation that is one slip away from it.
//! A pod may carry as many names as a request holds, so this is one pass over each.

/// The one of `known` that differs from `name` in case, in one letter, or in two neighbours' order.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known.into_iter().find(|known| one_slip(name.as_bytes(), known.as_bytes()))
}

fn one_slip(a: &[u8], b: &[u8]) -> bool {
    if a.len().abs_diff(b.len()) > 1 {
        return false;
    }
    let same = |(a, b): &(&u8, &u8)| a.eq_ignore_ascii_case(b);
    let start = a.iter().zip(b).take_while(same).count();
    let (a, b) = (&a[start..], &b[start..]);
    let rest = a.len().min(b.len());
    let end = a.iter().rev().zip(b.iter().rev()).take(rest).take_while(same).count();
    match (&a[..a.len() - end], &b[..b.len() - end]) {
        ([] | [_], [] | [_]) => true,
        ([a, b], [c, d]) => a.eq_ignore_ascii_case(d) && b.eq_ignore_ascii_case(c),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn one_slip_is_seen_through_and_two_are_not() {
        let known = ["sidecar.istio.io/inject", "sidecar.istio.io/logLevel"];
        for (name, meant) in [
            ("sidecar.istio.io/Inject", Some(known[0])),
            ("sidecars.istio.io/inject", Some(known[0])),
            ("sidecar.istio.io/injct", Some(known[0])),
            ("sidecar.istio.io/injetc", Some(known[0])),
            ("sidecar.istio.io.inject", Some(known[0])),
            ("SIDECAR.istio.io/LogLevels", Some(known[1])),
            ("sidecar.istio.io/ijnetc", None),
            ("sidecar.istio.io/injectors", None),
            ("istio.io/inject", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), meant, "{name}");
        }
        assert_eq!(nearest("aa", ["a"]), Some("a"));
    }
}
