//! Which entries stand for a process of this home.

use std::collections::BTreeMap;
use std::path::Path;

use lateen_kube::watch::Event;
use serde_json::{Value, json};

use super::{Claim, ProcessId, claim, fold};

fn entry(name: &str, home: &str, pid: &str) -> Value {
    json!({ "metadata": {
        "namespace": "default",
        "name": name,
        "uid": "u1",
        "annotations": {
            "lateen.io/home": home,
            "lateen.io/pid": pid,
            "lateen.io/pid-start": "77",
        },
    }})
}

#[test]
fn only_entries_of_this_home_are_claimed() {
    let home = Path::new("/h");
    let own = Some(Claim { process: ProcessId { pid: 12, start: 77 }, uid: "u1".to_owned() });
    assert_eq!(claim(&entry("a", "/h", "12"), home), own);
    assert_eq!(claim(&entry("a", "/h/", "12"), home), own);
    assert_eq!(claim(&entry("a", "/other", "12"), home), None);
    assert_eq!(claim(&entry("a", "/h", "twelve"), home), None);
    assert_eq!(claim(&json!({ "metadata": { "name": "by hand" } }), home), None);
}

#[test]
fn a_relist_forgets_what_is_gone() {
    let home = Path::new("/h");
    let kind = lateen_api::kinds::by_kind("networking.istio.io", "WorkloadEntry").unwrap();
    let mut claims = BTreeMap::new();
    fold(&mut claims, Event::Put(kind, entry("a", "/h", "1")), home);
    fold(&mut claims, Event::Put(kind, entry("b", "/h", "2")), home);
    fold(&mut claims, Event::Delete(kind, entry("b", "/h", "2")), home);
    assert_eq!(claims.len(), 1);
    fold(&mut claims, Event::Replace(kind, vec![entry("c", "/h", "3")]), home);
    let names: Vec<&str> = claims.keys().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["c"]);
}
