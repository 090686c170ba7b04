//! Address leases: choice, living and dead owners, damaged records.

use std::fs;
use std::path::PathBuf;

use lateen_runtime::process::ProcessId;

use super::{AddressError, lease, read};

struct Run(PathBuf);

impl Run {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("lateen-addresses-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Run(path)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

const SUBNET: &str = "10.201.7.0/24";

#[test]
fn the_first_address_is_left_to_the_bridge() {
    let run = Run::new("first");
    let lease = lease(&run.0, SUBNET.parse().unwrap(), "a").unwrap();
    assert_eq!(lease.address().to_string(), "10.201.7.2");
}

#[test]
fn living_owners_never_share_and_a_name_gets_its_address_back() {
    let run = Run::new("living");
    let subnet = SUBNET.parse().unwrap();
    let a = lease(&run.0, subnet, "a").unwrap();
    let b = lease(&run.0, subnet, "b").unwrap();
    assert_ne!(a.address(), b.address());
    let had = a.address();
    drop(a);
    assert_eq!(lease(&run.0, subnet, "c").unwrap().address().to_string(), "10.201.7.4");
    assert_eq!(lease(&run.0, subnet, "a").unwrap().address(), had);
}

#[test]
fn a_killed_owner_loses_its_address_when_none_else_is_free() {
    let run = Run::new("killed");
    // Of six addresses the first and the last are the bridge's.
    let subnet = "10.201.7.0/29".parse().unwrap();
    let me = ProcessId::current();
    let gone = |last: u8| format!("10.201.7.{last} {} {} gone{last}\n", me.pid, me.start + 1);
    fs::write(run.0.join("addresses"), (2..=5).map(gone).collect::<String>()).unwrap();
    let names = ["new", "newer", "newest", "last"];
    let taken: Vec<_> = names.map(|name| lease(&run.0, subnet, name).unwrap()).into();
    let addresses: Vec<_> = taken.iter().map(|lease| lease.address().octets()[3]).collect();
    assert_eq!(addresses, [2, 3, 4, 5]);
    assert!(matches!(lease(&run.0, subnet, "more"), Err(AddressError::Exhausted(_))));
}

#[test]
fn the_address_that_was_given_back_longest_ago_is_taken_again_first() {
    let run = Run::new("turns");
    let subnet = "10.201.7.0/29".parse().unwrap();
    let take = |name: &str| lease(&run.0, subnet, name).unwrap().address().octets()[3];
    let taken = ["a", "b", "c", "d", "e", "b", "f", "g", "h"].map(take);
    assert_eq!(taken, [2, 3, 4, 5, 2, 3, 4, 5, 2]);
    let long = lease(&run.0, subnet, "i").unwrap();
    let between = take("j");
    drop(long);
    assert_eq!([between, take("k"), take("l"), take("m"), take("n")], [4, 5, 2, 4, 3]);
}

#[test]
fn a_damaged_record_costs_only_the_damaged_line() {
    let run = Run::new("damaged");
    let me = ProcessId::current();
    let text = format!("garbage\n10.201.7.2 {} {} a\n10.201.7.3 x y z\n", me.pid, me.start);
    fs::write(run.0.join("addresses"), text).unwrap();
    assert_eq!(read(&run.0).unwrap().len(), 1);
    let lease = lease(&run.0, SUBNET.parse().unwrap(), "b").unwrap();
    assert_eq!(lease.address().to_string(), "10.201.7.3");
}
