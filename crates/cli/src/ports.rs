//! Says on standard output which ports the ingress gateway opens and closes. In: its admin socket. Out:
//! one line for each change, for as long as it is polled.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use lateen_runtime::admin;
use serde_json::Value;

use crate::output::say;

const INTERVAL: Duration = Duration::from_millis(500);

/// Never resolves; a gateway that is just being started again changes nothing.
pub async fn announce(admin_socket: PathBuf) {
    let mut open = BTreeSet::new();
    loop {
        if let Ok(page) = admin::get(&admin_socket, "/config_dump").await
            && let Ok(dump) = serde_json::from_slice(&page)
        {
            let now = listening(&dump);
            for address in now.difference(&open) {
                say(format_args!("gateway  listens on {address}"));
            }
            for address in open.difference(&now) {
                say(format_args!("gateway  no longer listens on {address}"));
            }
            open = now;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// The addresses in a proxy's configuration dump that it listens on itself.
pub fn listening(dump: &Value) -> BTreeSet<String> {
    let listeners = dump["listeners"].as_array().map_or(&[][..], Vec::as_slice);
    listeners
        .iter()
        .filter(|listener| listener["bind_to_port"] == true)
        .filter_map(|listener| Some(listener["address"].as_str()?.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_bound_is_announced() {
        let dump = json!({ "listeners": [
            { "address": "127.0.0.1:31400", "bind_to_port": true },
            { "address": "10.96.0.1:80", "bind_to_port": false },
        ] });
        assert_eq!(listening(&dump), BTreeSet::from(["127.0.0.1:31400".to_owned()]));
    }
}
