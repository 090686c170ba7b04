//! Whether a revision's name is a tag's already. In: the cluster, what is to be installed and its revision. Out: a refusal:
//! the pods of namespaces that have chosen the tag would move to the new revision at once.

use anyhow::{Result, bail};
use lateen_install::labels;
use lateen_kube::Client;
use serde_json::Value;

use super::{label, tags};

/// Gateways alone may name a tag as their revision: it is who injects them.
pub async fn refuse_tag_as_revision(
    client: &Client,
    wanted: &[Value],
    revision: &str,
) -> Result<()> {
    let is_injector = |object: &Value| {
        object["kind"] == "MutatingWebhookConfiguration" && label(object, labels::TAG).is_empty()
    };
    if revision.is_empty() || !wanted.iter().any(is_injector) {
        return Ok(());
    }
    refuse(&tags(client).await?, revision)
}

fn refuse(tags: &[Value], revision: &str) -> Result<()> {
    if let Some(tag) = tags.iter().find(|tag| label(tag, labels::TAG) == revision) {
        bail!(
            "{revision} is a tag's name, which points at revision {}: choose another name for the revision, or \
             remove the tag first, lateen tag remove {revision}",
            label(tag, labels::REVISION)
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::refuse;

    #[test]
    fn a_revision_may_not_have_the_name_of_a_tag() {
        let labels = json!({"istio.io/tag": "prod", "istio.io/rev": "default"});
        let tags = [json!({"metadata": {"labels": labels}})];
        let refused = refuse(&tags, "prod").unwrap_err().to_string();
        assert!(refused.contains("lateen tag remove prod"), "{refused}");
        assert!(refuse(&tags, "default").is_ok() && refuse(&[], "prod").is_ok());
    }
}
