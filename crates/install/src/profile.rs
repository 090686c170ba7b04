//! Profiles: the settings that a file starts from. In: a profile's name. Out: its settings.

use serde_json::Value;

use crate::merge::merge;
use crate::nearest::near;
use crate::yaml;

const BASE: &str = include_str!("profiles/minimal.yaml");

const PROFILES: &[(&str, &str)] = &[
    ("default", include_str!("profiles/default.yaml")),
    ("demo", include_str!("profiles/demo.yaml")),
    ("empty", include_str!("profiles/empty.yaml")),
    ("minimal", ""),
];

/// Profiles of Istio that are not offered, and why.
const REFUSED: &[(&str, &str)] = &[
    (
        "ambient",
        "there are no sidecar-less pods here, choose default and label namespaces with istio-injection=enabled",
    ),
    ("openshift-ambient", "there are no sidecar-less pods here, choose default"),
    ("openshift", "nothing here needs settings of OpenShift's, choose default"),
    (
        "external",
        "a control plane outside of the cluster is not offered, choose default in each cluster",
    ),
    (
        "remote",
        "a control plane outside of the cluster is not offered, choose default in each cluster",
    ),
    ("preview", "there are no experimental features to switch on, choose default"),
    ("stable", "it is the same as default here, choose default"),
];

/// The settings of a profile, as a `spec`.
pub fn settings(name: &str) -> Result<Value, String> {
    if let Some((_, reason)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return Err(format!("the profile {name} is not offered: {reason}"));
    }
    let Some((_, own)) = PROFILES.iter().find(|(known, _)| *known == name) else {
        let names: Vec<&str> = PROFILES.iter().map(|(known, _)| *known).collect();
        let meant = near(name, names.iter().copied());
        let meant = meant.map(|meant| format!(", did you mean {meant}?"));
        let meant = meant.unwrap_or_else(|| ".".to_owned());
        let names = names.join(", ");
        return Err(format!("unknown profile {name:?}{meant} There are {names}"));
    };
    let mut settings = read(BASE);
    if !own.is_empty() {
        merge(&mut settings, read(own));
    }
    Ok(settings)
}

fn read(text: &str) -> Value {
    let mut documents = yaml::documents(text).expect("invariant: the profiles are YAML");
    documents.pop().expect("invariant: a profile is a document")
}

#[cfg(test)]
mod tests {
    use lateen_api::issue::ObjectRef;

    use super::{PROFILES, settings};
    use crate::check::check;

    #[test]
    fn every_profile_uses_known_fields_of_today_only() {
        for (name, _) in PROFILES {
            assert_eq!(check(&settings(name).unwrap(), &ObjectRef::default()), [], "{name}");
        }
    }

    #[test]
    fn a_profile_that_is_not_offered_is_refused_with_what_to_choose() {
        assert!(settings("ambient").unwrap_err().contains("choose default"));
        assert_eq!(
            settings("dmo").unwrap_err(),
            "unknown profile \"dmo\", did you mean demo? There are default, demo, empty, minimal"
        );
    }
}
