//! Who validates objects without a revision. In: a cluster and the revision of the tag `default`. Out: the
//! ValidatingWebhookConfiguration that asks that revision, as `istioctl tag set default` makes it.

use anyhow::{Context, Result};
use lateen_api::kinds::{Kind, by_kind};
use lateen_install::{DEFAULT_VALIDATOR, default_validator, labels};
use lateen_kube::Client;
use serde_json::Value;

use super::{DEFAULT, label};
use crate::output::note;

fn validators() -> Result<&'static Kind> {
    by_kind("admissionregistration.k8s.io", "ValidatingWebhookConfiguration")
        .context("the table of kinds has webhooks")
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// The revision that validates objects without a revision, if one does.
pub async fn revision(client: &Client) -> Result<Option<String>> {
    let live = client.get(validators()?, None, DEFAULT_VALIDATOR).await?;
    Ok(live.map(|live| label(&live, labels::REVISION).to_owned()))
}

/// As in Istio, the default validator goes with the revision that it asks; the tag `default` may have gone before.
pub async fn tell_of_end(client: &Client, removed: &[Value]) -> Result<()> {
    let is_gone = |name: &str| {
        let of = |object: &&Value| object["kind"] == "ValidatingWebhookConfiguration";
        removed.iter().filter(of).any(|object| self::name(object) == name)
    };
    let has_tag = removed.iter().any(|object| label(object, labels::TAG) == DEFAULT);
    if has_tag || !is_gone(DEFAULT_VALIDATOR) {
        return Ok(());
    }
    let all = client.list(validators()?, labels::REVISION, None).await?;
    let stay = all.iter().filter(|own| !is_gone(name(own)));
    let stay: Vec<&str> = stay.map(|own| label(own, labels::REVISION)).collect();
    if let Some(revision) = stay.first() {
        note(format_args!(
            "{DEFAULT_VALIDATOR} goes too: nobody validates objects without a revision, until an install of the default \
             revision or lateen tag set default --revision {revision} (there is {})",
            stay.join(", ")
        ));
    }
    Ok(())
}

/// The default validator, for a revision that validates.
pub async fn of_revision(client: &Client, revision: &str) -> Result<Option<Value>> {
    let found =
        client.list(validators()?, &format!("{}={revision}", labels::REVISION), None).await?;
    Ok(found.iter().find(|own| name(own) != DEFAULT_VALIDATOR).map(default_validator))
}

/// While a tag, which points at the revision `tagged`, has the default validator, an installation leaves it alone;
/// but not if it has that tag itself.
pub async fn keep(client: &Client, wanted: &mut Vec<Value>, tagged: &str) -> Result<()> {
    let is_one = |object: &Value| {
        object["kind"] == "ValidatingWebhookConfiguration" && name(object) == DEFAULT_VALIDATOR
    };
    let has_tag = wanted.iter().any(|object| label(object, labels::TAG) == DEFAULT);
    let Some(own) = wanted.iter().find(|object| is_one(object)).filter(|_| !has_tag) else {
        return Ok(());
    };
    let is_other = label(own, labels::REVISION) != tagged;
    let is_tags = |live: &Value| {
        label(live, labels::OWNER) == labels::NOBODY
            || (is_other && label(live, labels::REVISION) == tagged)
    };
    let live = client.get(validators()?, None, DEFAULT_VALIDATOR).await?;
    if let Some(live) = live.filter(is_tags) {
        note(format_args!(
            "the tag default is set: objects without a revision go on being validated by revision {}",
            label(&live, labels::REVISION)
        ));
        wanted.retain(|object| !is_one(object));
    }
    Ok(())
}
