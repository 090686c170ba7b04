//! Printers of jobs. In: an object. Out: its cells.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::column::{
    AGE, NAME, Printer, age, created, int, items, name, number, parse_time, seconds_between,
    string, string_or, text,
};
use super::duration::human;
use super::text::{NONE, UNSET, joined, selector};
use super::workloads::{CONTAINERS, IMAGES, SELECTOR, containers};

pub static PRINTERS: &[Printer] = &[
    Printer {
        group: "batch",
        kind: "Job",
        columns: &[
            NAME,
            text("Status", "the job's state, from its conditions"),
            text("Completions", "status.succeeded of spec.completions"),
            text("Duration", "from start to completion"),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        cells: job,
    },
    Printer {
        group: "batch",
        kind: "CronJob",
        columns: &[
            NAME,
            text("Schedule", "spec.schedule"),
            text("Timezone", "spec.timeZone"),
            text("Suspend", "spec.suspend"),
            int("Active", "number of running jobs"),
            text("Last Schedule", "time since a job was last started"),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        cells: cron_job,
    },
];

fn job(object: &Value, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(object);
    vec![
        name(object),
        job_status(object).into(),
        completions(object).into(),
        duration(object, now).into(),
        created(object, now),
        names,
        images,
        selector(&object["spec"]["selector"]).into(),
    ]
}

fn job_status(object: &Value) -> &'static str {
    let is = |wanted: &str| {
        items(&object["status"]["conditions"])
            .iter()
            .any(|condition| condition["type"] == wanted && condition["status"] == "True")
    };
    match () {
        () if is("Complete") => "Complete",
        () if is("Failed") => "Failed",
        () if object["metadata"]["deletionTimestamp"].is_string() => "Terminating",
        () if is("Suspended") => "Suspended",
        () if is("FailureTarget") => "FailureTarget",
        () if is("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

fn completions(object: &Value) -> String {
    let succeeded = number(&object["status"]["succeeded"]);
    match (object["spec"]["completions"].as_i64(), number(&object["spec"]["parallelism"])) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

fn duration(object: &Value, now: Timestamp) -> String {
    let end = parse_time(&object["status"]["completionTime"]).unwrap_or(now);
    seconds_between(&object["status"]["startTime"], end).map(human).unwrap_or_default()
}

fn cron_job(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let template = &spec["jobTemplate"]["spec"];
    let last = &object["status"]["lastScheduleTime"];
    let last = if last.is_null() { NONE.to_owned() } else { age(last, now) };
    let suspend = match spec["suspend"].as_bool() {
        Some(true) => "True",
        Some(false) => "False",
        None => UNSET,
    };
    let list = &template["template"]["spec"]["containers"];
    vec![
        name(object),
        string(&spec["schedule"]).into(),
        string_or(&spec["timeZone"], NONE).into(),
        suspend.into(),
        json!(items(&object["status"]["active"]).len()),
        last.into(),
        created(object, now),
        joined(list, "name").into(),
        joined(list, "image").into(),
        selector(&template["selector"]).into(),
    ]
}
