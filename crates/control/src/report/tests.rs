//! The status of an object as a function of what is there and what was found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lateen_api::issue::{Code, Issue, ObjectRef};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Journal, REFUSED, STANDS, line, status, with_addresses};
use crate::findings::{Facts, Verdict};

const NOW: &str = "2026-01-02T03:04:05Z";
const LATER: &str = "2026-01-02T03:05:00Z";

fn issue(message: &str) -> Issue {
    let object = ObjectRef::new("networking.istio.io", "Gateway", "default", "g");
    Issue::error(object, "spec.servers", Code::SCHEMA_VALIDATION_ERROR, message)
}

fn facts(status: Value) -> Facts {
    Facts { generation: Some(2), created: 0, status, reach: Arc::default() }
}

fn refused() -> Verdict {
    Verdict { refusals: [issue("port 31400 is taken")].into(), ..Verdict::default() }
}

fn find<'a>(status: &'a Value, name: &str) -> &'a Value {
    let conditions = status["conditions"].as_array().unwrap();
    conditions.iter().find(|condition| condition["type"] == name).unwrap()
}

#[test]
fn the_log_has_one_line_that_names_object_and_field_and_no_severity() {
    let mut found = issue("first\nsecond");
    let expected = "IST0106 Gateway default/g: spec.servers: first second";
    assert_eq!(line(&found), expected);
    found.path.clear();
    assert_eq!(line(&found), "IST0106 Gateway default/g: first second");
}

#[test]
fn an_object_without_issues_and_status_is_left_alone() {
    assert_eq!(status(&facts(Value::Null), &Verdict::default(), NOW), None);
    let foreign = json!({ "conditions": [{ "type": "Programmed", "status": "True" }] });
    assert_eq!(status(&facts(foreign), &Verdict::default(), NOW), None);
}

#[test]
fn a_refusal_fails_the_reconciled_condition_with_reason_and_message() {
    let written = status(&facts(Value::Null), &refused(), NOW).unwrap();
    let reconciled = find(&written, "Reconciled");
    assert_eq!(reconciled["status"], "False");
    assert_eq!(reconciled["reason"], "RefusedByProxy");
    assert_eq!(reconciled["message"], "[IST0106] spec.servers: port 31400 is taken");
    assert_eq!(find(&written, "PassedValidation")["status"], "True");
    assert_eq!(written["validationMessages"][0]["type"]["code"], "IST0106");
    assert_eq!(written["validationMessages"][0]["level"], "ERROR");
    assert_eq!(written["observedGeneration"], 2);
}

#[test]
fn a_status_that_is_right_is_not_written_again() {
    let written = status(&facts(Value::Null), &refused(), NOW).unwrap();
    assert_eq!(status(&facts(written.clone()), &refused(), LATER), None);
    let mut stored = written;
    stored["observedGeneration"] = json!("2");
    assert_eq!(status(&facts(stored), &refused(), LATER), None);
}

#[test]
fn an_issue_that_goes_turns_the_condition_and_its_time() {
    let written = status(&facts(Value::Null), &refused(), NOW).unwrap();
    let cleared = status(&facts(written), &Verdict::default(), LATER).unwrap();
    let reconciled = find(&cleared, "Reconciled");
    assert_eq!((&reconciled["status"], &reconciled["message"]), (&json!("True"), &json!("")));
    assert_eq!(reconciled["lastTransitionTime"], LATER);
    assert_eq!(find(&cleared, "PassedValidation")["lastTransitionTime"], NOW);
    assert_eq!(cleared["validationMessages"], json!([]));
}

#[test]
fn a_warning_is_told_without_failing_and_foreign_conditions_stay() {
    let object = issue("x").object;
    let warning = Issue::warning(object, "", Code::SCHEMA_WARNING, "deprecated");
    let verdict = Verdict { validation: [warning].into(), ..Verdict::default() };
    let foreign = json!({ "conditions": [{ "type": "Programmed", "status": "True" }] });
    let written = status(&facts(foreign), &verdict, NOW).unwrap();
    let passed = find(&written, "PassedValidation");
    assert_eq!((&passed["status"], &passed["reason"]), (&json!("True"), &json!("Warnings")));
    assert_eq!(find(&written, "Programmed")["status"], "True");
}

#[test]
fn automatic_addresses_are_written_once_and_beside_the_conditions() {
    let given = [("db.test".into(), "240.240.0.7".parse().unwrap())];
    let addresses = json!([{ "value": "240.240.0.7", "host": "db.test" }]);
    let written = with_addresses(&facts(Value::Null), None, &given).unwrap();
    assert_eq!(written, json!({ "addresses": addresses }));
    assert_eq!(with_addresses(&facts(written), None, &given), None);
    let patch = status(&facts(Value::Null), &refused(), NOW);
    let both = with_addresses(&facts(Value::Null), patch, &given).unwrap();
    assert_eq!(both["addresses"], addresses);
    assert_eq!(find(&both, "Reconciled")["status"], "False");
    assert_eq!(with_addresses(&facts(Value::Null), None, &[]), None);
}

#[tokio::test(start_paused = true)]
async fn what_stands_for_a_moment_only_is_not_logged() {
    let object = ObjectRef::new("networking.istio.io", "VirtualService", "default", "v");
    let issue = Issue::error(object.clone(), "spec", Code("IST0101"), "no such host");
    let verdict = Verdict { validation: [issue.clone()].into(), ..Verdict::default() };
    let present = BTreeMap::from([(object, verdict)]);
    let mut journal = Journal::default();
    journal.take(&present, Instant::now());
    tokio::time::sleep(STANDS / 2).await;
    journal.log_due(Instant::now());
    journal.take(&BTreeMap::new(), Instant::now());
    assert!(journal.logged.is_empty() && journal.fresh.is_empty());
    journal.take(&present, Instant::now());
    journal.due().await;
    journal.log_due(Instant::now());
    assert_eq!(journal.logged, BTreeSet::from([issue]));
}

#[tokio::test(start_paused = true)]
async fn what_a_session_has_logged_is_not_logged_again() {
    let object = ObjectRef::new("networking.istio.io", "Gateway", "default", "g");
    let issue = |code| Issue::error(object.clone(), "", code, "proxy gw refused LDS l: no");
    let taken = issue(Code("LTN0102"));
    let verdict =
        Verdict { refusals: [issue(REFUSED), taken.clone()].into(), ..Verdict::default() };
    let mut journal = Journal::default();
    journal.take(&BTreeMap::from([(object.clone(), verdict)]), Instant::now());
    journal.due().await;
    journal.log_due(Instant::now());
    assert_eq!(journal.logged, BTreeSet::from([taken]), "a port's line says what to do");
}
