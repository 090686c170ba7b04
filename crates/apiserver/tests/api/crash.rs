//! `kill -9` in the middle of writes: everything acknowledged before is there afterwards.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::{Api, CONFIGS, config_map};

/// The other half of the test below: the same binary, started again with this variable set, serves
/// and writes until it is killed, and prints each name when it is acknowledged.
const CHILD: &str = "LATEEN_APISERVER_CRASH_DIR";

#[tokio::test]
async fn writer_for_the_crash_test() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let api = Api::start(dir.as_ref()).await;
    for number in 0..100_000 {
        let name = format!("c{number}");
        let (code, body) = api.client.call("POST", CONFIGS, config_map(&name, json!({}))).await;
        assert_eq!(code, 201, "{body}");
        println!("\nACK {name}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::writer_for_the_crash_test", "--nocapture"])
        .env(CHILD, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    for line in lines {
        let Ok(line) = line else { break };
        if let Some(name) = line.strip_prefix("ACK ") {
            acknowledged.push(name.to_owned());
        }
        if acknowledged.len() == 40 {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(acknowledged.len() >= 40, "{acknowledged:?}");
    let api = Api::start(dir.path()).await;
    for name in &acknowledged {
        assert_eq!(api.client.get(&format!("{CONFIGS}/{name}")).await.0, 200, "{name}");
    }
    assert!(api.kubeconfig.contains(&api.client.token), "the token is the same as before");
}
