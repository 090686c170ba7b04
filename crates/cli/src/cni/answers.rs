//! The agent's side of the socket. In: the plugin's question about a pod. Out: what is to be done for it, by
//! the API's word; what came of it is logged.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use lateen_cni::exchange::{Answer, LONGEST, Question, Report, Rules};
use lateen_cni::protocol::Pod;
use lateen_inject::node_agent::{self, Part};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::{Agent, kind, within};
use crate::interception::rules;

/// Plugins served at once; more wait.
const MOST: usize = 64;
/// How long one exchange may take, the API's answer included.
const PATIENCE: Duration = Duration::from_secs(60);
/// A pod of the kubelet's own files, of which the API only has a picture.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Serves until dropped.
pub async fn serve(listener: UnixListener, agent: Arc<Agent>) -> Result<()> {
    let slots = Arc::new(Semaphore::new(MOST));
    let mut exchanges = tokio::task::JoinSet::new();
    loop {
        while exchanges.try_join_next().is_some() {}
        let slot = slots.clone().acquire_owned().await.expect("never closed");
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let agent = agent.clone();
        exchanges.spawn(async move {
            if let Err(error) = within(PATIENCE, exchange(stream, &agent)).await {
                tracing::warn!(error = format!("{error:#}"), "a plugin's question broke off");
            }
            drop(slot);
        });
    }
}

async fn exchange(stream: UnixStream, agent: &Agent) -> Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader.take(LONGEST));
    let Question { pod } = line(&mut reader).await?;
    let answer = agent.answer(&pod).await;
    let (namespace, name) = (&*pod.namespace, &*pod.name);
    match &answer {
        Answer::Leave(reason) => tracing::info!(namespace, name, reason, "a pod is left alone"),
        Answer::Refuse { reason, .. } => tracing::warn!(namespace, name, reason, "a pod must wait"),
        Answer::Lay(_) => {}
    }
    write(&mut writer, &answer).await?;
    let report = match answer {
        Answer::Leave(_) => {
            agent.metrics.pod("left");
            return Ok(());
        }
        Answer::Refuse { .. } => {
            agent.metrics.pod("refused");
            return Ok(());
        }
        Answer::Lay(_) => line::<Report>(&mut reader).await,
    };
    let is_laid = report.as_ref().is_ok_and(|report| report.failure.is_none());
    agent.metrics.pod(if is_laid { "laid" } else { "failed" });
    let report = report.context("the plugin did not say what it did")?;
    for remark in &report.remarks {
        tracing::warn!(namespace, name, "{remark}");
    }
    match report.failure {
        None => tracing::info!(namespace, name, "a pod has its rules"),
        Some(error) => tracing::error!(namespace, name, error, "a pod's rules could not be laid"),
    }
    Ok(())
}

async fn line<T: DeserializeOwned>(reader: &mut (impl AsyncBufReadExt + Unpin)) -> Result<T> {
    let mut text = String::new();
    reader.read_line(&mut text).await?;
    serde_json::from_str(&text).context("not a line of JSON that is understood")
}

async fn write(writer: &mut (impl AsyncWriteExt + Unpin), value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value)? + "\n";
    Ok(writer.write_all(text.as_bytes()).await?)
}

impl Agent {
    async fn answer(&self, pod: &Pod) -> Answer {
        match self.client.get(kind("", "Pod"), Some(&pod.namespace), &pod.name).await {
            Ok(found) => judge(found.as_ref(), pod, &self.resolv_conf),
            Err(error) => Answer::Refuse { reason: error.to_string(), again: true },
        }
    }
}

/// What is to be done for the pod `asked` that is `found` in the API.
fn judge(found: Option<&Value>, asked: &Pod, resolv_conf: &str) -> Answer {
    let leave = |reason: &str| Answer::Leave(reason.to_owned());
    let Some(found) = found else { return leave("it is not in the API") };
    let metadata = &found["metadata"];
    if !metadata["annotations"][MIRROR].is_null() {
        return leave("it is one of the kubelet's own files");
    }
    if !asked.uid.is_empty() && metadata["uid"] != asked.uid.as_str() {
        let reason = "the API has another pod of its name: this one was deleted".to_owned();
        return Answer::Refuse { reason, again: true };
    }
    match told(found, resolv_conf) {
        Ok(None) => leave("nothing of it is intercepted"),
        Ok(Some(Ok(rules))) => Answer::Lay(rules),
        Ok(Some(Err(reason))) => leave(reason),
        Err(error) => Answer::Refuse { reason: format!("{error:#}"), again: false },
    }
}

/// The rules of a pod, which can be read; or why it is left alone.
pub fn told(pod: &Value, resolv_conf: &str) -> Result<Option<Result<Rules, &'static str>>> {
    let part = node_agent::part(pod).map_err(anyhow::Error::msg)?;
    let told = match part {
        Part::Leave(reason) => return Ok(Some(Err(reason))),
        Part::Lay(told) => told,
    };
    let resolv_conf = node_agent::resolv_conf(pod, resolv_conf);
    let told = Rules { arguments: told.arguments, variables: told.variables, resolv_conf };
    Ok(rules::read(&told)?.map(|_| Ok(told)))
}

#[cfg(test)]
mod tests {
    use lateen_cni::exchange::Answer;
    use lateen_cni::protocol::Pod;
    use serde_json::{Value, json};

    use super::judge;

    fn pod(arguments: &[&str]) -> Value {
        json!({
            "metadata": {
                "uid": "u",
                "annotations": {"sidecar.istio.io/status": "{}"},
            },
            "spec": {
                "containers": [{"name": "istio-proxy", "args": ["proxy", "sidecar"]}],
                "initContainers": [{"name": "istio-validation", "args": arguments}],
            },
        })
    }

    fn asked(uid: &str) -> Pod {
        Pod { namespace: "shop".into(), name: "web".into(), uid: uid.into() }
    }

    #[test]
    fn a_pod_of_the_mesh_gets_its_rules_and_no_other_does() {
        let good = pod(&["interception", "-p", "15001", "-i", "*", "--run-validation"]);
        let Answer::Lay(rules) = judge(Some(&good), &asked("u"), "nameserver 10.96.0.10") else {
            panic!("no rules")
        };
        assert_eq!(rules.arguments, ["-p", "15001", "-i", "*"]);
        assert_eq!(rules.resolv_conf.unwrap(), "nameserver 10.96.0.10\n");
        assert!(matches!(judge(None, &asked("u"), ""), Answer::Leave(_)));
        let none = pod(&["interception", "-m", "NONE"]);
        assert!(matches!(judge(Some(&none), &asked(""), ""), Answer::Leave(_)));
        let mut mirror = good.clone();
        mirror["metadata"]["annotations"]["kubernetes.io/config.mirror"] = json!("x");
        assert!(matches!(judge(Some(&mirror), &asked("other"), ""), Answer::Leave(_)));
    }

    #[test]
    fn what_cannot_be_told_is_refused() {
        let other = judge(Some(&pod(&["interception"])), &asked("v"), "");
        assert!(matches!(other, Answer::Refuse { again: true, .. }), "{other:?}");
        let wrong = judge(Some(&pod(&["interception", "-p", "http"])), &asked("u"), "");
        assert!(matches!(wrong, Answer::Refuse { again: false, .. }), "{wrong:?}");
    }
}
