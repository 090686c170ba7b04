//! Variables that the webhook's path sets in the proxy, as Istio's remote clusters use them:
//! `/inject/cluster/CLUSTER/net/NETWORK` or `/inject/:ENV:cluster=CLUSTER:ENV:net=NETWORK`. In: the path.
//! Out: names and values.

/// What short names stand for; every other one is its variable's name in lower case.
const SHORT: [(&str, &str); 2] =
    [("cluster", "ISTIO_META_CLUSTER_ID"), ("net", "ISTIO_META_NETWORK")];
/// Between variables in the second form.
const MARK: &str = ":ENV:";
/// A slash within a value of the first form.
const SLASH: &str = "--slash--";

/// The variables of what follows `/inject/`. Pairs that are not whole are passed over, as in Istio.
pub fn variables(rest: &str) -> Vec<(String, String)> {
    let rest = rest.trim_end_matches('/');
    let pairs: Vec<(&str, String)> = match rest.strip_prefix(MARK) {
        Some(marked) => marked
            .split(MARK)
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name, value.to_owned()))
            .collect(),
        None => {
            let parts: Vec<&str> = rest.split('/').collect();
            parts.chunks_exact(2).map(|pair| (pair[0], pair[1].replace(SLASH, "/"))).collect()
        }
    };
    let mut variables: Vec<(String, String)> = Vec::new();
    for (name, value) in pairs.into_iter().filter(|(name, _)| !name.is_empty()) {
        let short = SHORT.iter().find(|(short, _)| *short == name);
        let name = short.map_or_else(|| name.to_uppercase(), |(_, long)| (*long).to_owned());
        variables.retain(|(known, _)| *known != name);
        variables.push((name, value));
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::variables;

    #[track_caller]
    fn check(rest: &str, expected: &[(&str, &str)]) {
        let expected: Vec<(String, String)> =
            expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        assert_eq!(variables(rest), expected, "{rest}");
    }

    #[test]
    fn both_forms_name_cluster_and_network() {
        let both = [("ISTIO_META_CLUSTER_ID", "east"), ("ISTIO_META_NETWORK", "n1")];
        check("cluster/east/net/n1", &both);
        check(":ENV:cluster=east:ENV:net=n1", &both);
        check("cluster/east/net/n1/", &both);
        check("cluster/a--slash--b", &[("ISTIO_META_CLUSTER_ID", "a/b")]);
        check(":ENV:foo=a/b=c", &[("FOO", "a/b=c")]);
    }

    #[test]
    fn pairs_that_are_not_whole_are_passed_over() {
        check("", &[]);
        check("cluster", &[]);
        check("cluster/east/net", &[("ISTIO_META_CLUSTER_ID", "east")]);
        check(":ENV:=x:ENV:a:ENV:b=", &[("B", "")]);
        check("//x/y", &[("X", "Y".to_lowercase().as_str())]);
        check("a/1/a/2", &[("A", "2")]);
    }
}
