//! Which entries stand for a process, and whether it lives.

use std::collections::BTreeMap;
use std::path::Path;

use lateen_kube::watch::Event;
use serde_json::{Value, json};

use super::{Claim, claim, fold, is_alive, start_time};

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
    let own = Some(Claim { pid: 12, start: 77, uid: "u1".to_owned() });
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

#[test]
fn the_start_time_is_read_behind_any_program_name() {
    let fields = "1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9";
    assert_eq!(start_time(&format!("12 (a) S b) S {fields}")), Some(4711));
    assert_eq!(start_time(&format!("12 (a) Z {fields}")), None);
    assert_eq!(start_time("12 (a"), None);
}

#[test]
fn a_process_is_alive_only_with_its_own_start_time() {
    let pid = std::process::id();
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let start = start_time(&stat).unwrap();
    let claim = |start| Claim { pid, start, uid: String::new() };
    assert!(is_alive(&claim(start)));
    assert!(!is_alive(&claim(start + 1)));
}
