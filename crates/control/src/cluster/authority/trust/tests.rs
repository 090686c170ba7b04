//! One authority after another, by the clock.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lateen_identity::AuthorityPem;
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::time::Instant;

use super::super::tests::{pem, settings};
use super::super::{Material, OWN, PLUGGED_IN};
use super::{GRACE, Trust};

struct Rig {
    trust: Trust,
    material: Material,
    wall: SystemTime,
    start: Instant,
}

impl Rig {
    fn new(from: &'static str, pem: &AuthorityPem) -> Self {
        let (ends, wall) = (watch::Sender::new(SystemTime::UNIX_EPOCH), SystemTime::now());
        let (trust, material) = Trust::new(settings(), from, pem.clone(), ends, wall).unwrap();
        Self { trust, material, wall, start: Instant::now() }
    }

    fn take(&mut self, from: &'static str, pem: &AuthorityPem, after: Duration) {
        let (wall, now) = (self.wall + after, self.start + after);
        self.trust.take(from, pem.clone(), wall, now).unwrap();
    }

    fn advance(&mut self, after: Duration) {
        self.trust.advance(self.wall + after, self.start + after).unwrap();
    }

    fn tls(&self) -> Arc<ServerConfig> {
        self.material.tls.borrow().clone()
    }

    /// Which of these authorities' roots are published.
    fn trusts(&self, all: [&AuthorityPem; 2]) -> [bool; 2] {
        let roots = self.material.roots.borrow().clone();
        all.map(|pem| roots.contains(pem.certificate.trim()))
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_new_root_is_published_before_it_is_needed_and_the_old_one_after() {
    let (old, new) = (pem(), pem());
    let mut rig = Rig::new(OWN, &old);
    let signed_by_old = rig.tls();
    rig.take(PLUGGED_IN, &new, Duration::ZERO);
    rig.take(PLUGGED_IN, &new, SECOND);
    rig.advance(GRACE - SECOND);
    assert_eq!(rig.trusts([&old, &new]), [true, true]);
    assert!(Arc::ptr_eq(&rig.tls(), &signed_by_old), "proxies may not know the new root yet");
    assert_eq!(rig.trust.from(), OWN);
    rig.advance(GRACE);
    assert_eq!(rig.trusts([&old, &new]), [true, true]);
    assert!(!Arc::ptr_eq(&rig.tls(), &signed_by_old));
    assert_eq!(rig.trust.from(), PLUGGED_IN);
    rig.advance(2 * GRACE);
    assert_eq!(rig.trusts([&old, &new]), [false, true]);
}

#[test]
fn a_change_that_is_taken_back_in_time_changes_nothing() {
    let (old, new) = (pem(), pem());
    let mut rig = Rig::new(OWN, &old);
    let signed_by_old = rig.tls();
    rig.take(PLUGGED_IN, &new, Duration::ZERO);
    rig.take(OWN, &old, SECOND);
    rig.advance(2 * GRACE);
    assert_eq!(rig.trusts([&old, &new]), [true, false]);
    assert!(Arc::ptr_eq(&rig.tls(), &signed_by_old));
}

#[test]
fn a_root_that_is_trusted_already_is_not_waited_for() {
    let old = pem();
    let mut rig = Rig::new(PLUGGED_IN, &old);
    let signed_by_old = rig.tls();
    // The same root and key, told in other words.
    let new = AuthorityPem { roots: String::new(), ..old.clone() };
    rig.take(PLUGGED_IN, &new, Duration::ZERO);
    assert!(!Arc::ptr_eq(&rig.tls(), &signed_by_old));
    assert_eq!(rig.material.roots.borrow().matches("BEGIN").count(), 1);
}

#[test]
fn what_cannot_sign_leaves_all_as_it_was_and_certificates_are_renewed() {
    let old = pem();
    let mut rig = Rig::new(PLUGGED_IN, &old);
    let first = rig.tls();
    let broken = AuthorityPem { key: pem().key, ..pem() };
    assert!(rig.trust.take(PLUGGED_IN, broken, rig.wall, rig.start).is_err());
    rig.advance(Duration::from_secs(11 * 60 * 60));
    assert!(Arc::ptr_eq(&rig.tls(), &first));
    rig.advance(Duration::from_secs(12 * 60 * 60));
    assert!(!Arc::ptr_eq(&rig.tls(), &first));
}
