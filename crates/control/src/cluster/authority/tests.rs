//! Which Secret is the authority's, and what is read from it.

use std::time::SystemTime;

use lateen_identity::{Authority, AuthorityPem};
use lateen_kube::watch::Event;
use serde_json::{Value, json};

use super::{
    Choice, OWN, OWN_LASTS, PLUGGED_IN, STANDARD, Secrets, Settings, kind, read, refused, secret,
};
use base64::Engine;

pub fn settings() -> Settings {
    Settings {
        namespace: "istio-system".to_owned(),
        trust_domain: "cluster.local".to_owned(),
        names: vec!["istiod.istio-system.svc".to_owned()],
    }
}

pub fn pem() -> AuthorityPem {
    AuthorityPem::create("cluster.local", SystemTime::now(), OWN_LASTS).unwrap()
}

/// The name of the chosen Secret, or why there is none.
fn chosen(secrets: &Secrets, from: &str) -> &'static str {
    match secrets.chosen(from) {
        Choice::Unknown => "unknown",
        Choice::Restore => "restore",
        Choice::Gone(_) => "gone",
        Choice::Secret(name, _) => name,
    }
}

#[test]
fn what_is_written_is_read_and_signs() {
    let pem = pem();
    let stored = secret(&settings(), &pem);
    assert_eq!(stored["type"], "istio.io/ca-root");
    let found = read(&stored).unwrap();
    assert!(found == pem);
    Authority::from_pem(&found).unwrap();
}

#[test]
fn istios_own_secret_without_roots_is_its_own_root() {
    let pem = pem();
    let mut stored = secret(&settings(), &pem);
    stored["data"]["root-cert.pem"] = json!("");
    stored["data"].as_object_mut().unwrap().remove("cert-chain.pem");
    let authority = Authority::from_pem(&read(&stored).unwrap()).unwrap();
    assert_eq!(authority.roots(), pem.certificate);
}

#[test]
fn a_secret_of_cert_manager_is_read_and_one_without_its_root_is_not() {
    let pem = pem();
    let encoded = |text: &str| json!(STANDARD.encode(text));
    let mut stored = json!({ "data": {
        "tls.crt": encoded(&pem.certificate),
        "tls.key": encoded(&pem.key),
        "ca.crt": encoded(&pem.certificate),
    }});
    Authority::from_pem(&read(&stored).unwrap()).unwrap();
    stored["data"].as_object_mut().unwrap().remove("ca.crt");
    assert!(read(&stored).err().unwrap().contains("ca.crt"));
}

#[test]
fn what_is_no_text_is_named() {
    let stored = json!({ "data": { "ca-cert.pem": "%" } });
    assert_eq!(read(&stored).err().unwrap(), "ca-cert.pem is not base64");
}

#[test]
fn what_makes_no_authority_is_named_with_its_secret_its_key_and_what_to_do() {
    let good = secret(&settings(), &pem());
    let other = secret(&settings(), &pem());
    let broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (key, value, said) in [
        ("ca-cert.pem", json!(STANDARD.encode("x")), "ca-cert.pem is missing or no PEM: mend it"),
        ("ca-cert.pem", Value::Null, "ca-cert.pem is missing or no PEM: mend it"),
        ("ca-key.pem", json!(""), "ca-key.pem is missing or no PEM: mend it"),
        ("ca-key.pem", json!(STANDARD.encode(broken)), "not used: ca-key.pem: "),
        ("ca-key.pem", other["data"]["ca-key.pem"].clone(), "ca-cert.pem with ca-key.pem: "),
    ] {
        let mut bad = good.clone();
        bad["data"][key] = value;
        let told = refused(&settings(), PLUGGED_IN, &read(&bad).err().unwrap());
        assert!(told.starts_with("Secret istio-system/cacerts is not used: "), "{told}");
        assert!(told.contains(said) && told.ends_with("made here"), "{said}: {told}");
    }
}

#[test]
fn somebodys_own_authority_goes_first_and_none_is_said_only_when_both_are_known() {
    let mut secrets = Secrets::default();
    let put = |name: &str| Event::Put(kind(), json!({ "metadata": { "name": name } }));
    secrets.take(OWN, Event::Replace(kind(), Vec::new()));
    assert_eq!(chosen(&secrets, OWN), "unknown");
    secrets.take(PLUGGED_IN, Event::Replace(kind(), Vec::new()));
    assert_eq!(chosen(&secrets, OWN), "restore");
    assert_eq!(chosen(&secrets, PLUGGED_IN), "gone");
    secrets.take(OWN, put(OWN));
    assert_eq!(chosen(&secrets, OWN), OWN);
    secrets.take(PLUGGED_IN, put(PLUGGED_IN));
    assert_eq!(chosen(&secrets, OWN), PLUGGED_IN);
}

#[test]
fn a_deleted_secret_gives_the_mesh_no_other_root() {
    let mut secrets = Secrets::default();
    let put = |name: &str| Event::Put(kind(), json!({ "metadata": { "name": name } }));
    secrets.take(OWN, put(OWN));
    secrets.take(PLUGGED_IN, put(PLUGGED_IN));
    secrets.take(PLUGGED_IN, Event::Delete(kind(), Value::Null));
    assert_eq!(chosen(&secrets, PLUGGED_IN), "gone");
    assert_eq!(chosen(&secrets, OWN), OWN, "it was never in force");
}
