//! Several places of an application's metrics, as `prometheus.istio.io/scrape-targets` lists them. In: `port:path,…`, and
//! the agent's port. Out: the places in their order, or what is wrong with the list.

/// The agent asks all of them for every scrape, and holds their pages until the last one is there.
const MOST: usize = 16;
const PATH: &str = "/metrics";
/// Ports of the proxy's own, whose metrics are on the page already.
const RESERVED: [u16; 9] = [15000, 15001, 15004, 15006, 15008, 15020, 15021, 15053, 15090];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub port: u16,
    pub path: String,
}

/// Reads the annotation; nothing between two commas is no target.
pub fn parse(text: &str, agent: u16) -> Result<Vec<Target>, String> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    let targets = items.map(|item| target(item, agent)).collect::<Result<Vec<_>, _>>()?;
    if targets.len() > MOST {
        return Err(format!("{} targets are too many: at most {MOST} are merged", targets.len()));
    }
    Ok(targets)
}

fn target(item: &str, agent: u16) -> Result<Target, String> {
    let (port, path) = item.split_once(':').unwrap_or((item, ""));
    let (port, path) = (port.trim(), path.trim());
    let number = port.parse::<u16>().ok().filter(|number| *number != 0);
    let number =
        number.ok_or_else(|| format!("{port:?} of {item:?} is not a port: write port:path,…"))?;
    if number == agent || RESERVED.contains(&number) {
        return Err(format!("port {number} is the proxy's own: leave it out"));
    }
    let known = |c: char| c.is_ascii_graphic() && !"\"#<>\\^`{|}".contains(c);
    if !path.chars().all(known) {
        return Err(format!("{path:?} of {item:?} is not a path: write port:path,…"));
    }
    let path = match path {
        "" => PATH.to_owned(),
        path if path.starts_with('/') => path.to_owned(),
        path => format!("/{path}"),
    };
    Ok(Target { port: number, path })
}

#[cfg(test)]
mod tests {
    use super::{Target, parse};

    #[test]
    fn targets_are_ports_with_paths_in_their_order() {
        let target = |port, path: &str| Target { port, path: path.to_owned() };
        let read = parse("8080:/metrics, 9100:own?a=b:c ,9200,,", 15020).unwrap();
        let expected =
            [target(8080, "/metrics"), target(9100, "/own?a=b:c"), target(9200, "/metrics")];
        assert_eq!(read, expected);
        assert_eq!(parse(" ", 15020), Ok(vec![]));
    }

    #[test]
    fn what_cannot_be_scraped_is_named() {
        for (text, said) in [
            (":/metrics", "not a port"),
            ("http:/metrics", "not a port"),
            ("8080,70000", "not a port"),
            ("0:/metrics", "not a port"),
            ("15090", "the proxy's own"),
            ("015020:/x", "the proxy's own"),
            ("9020:/x", "the proxy's own"),
            ("8080:/a b", "not a path"),
            (&"8080,".repeat(17), "at most 16"),
        ] {
            let message = parse(text, 9020).unwrap_err();
            assert!(message.contains(said), "{text}: {message}");
        }
    }
}
