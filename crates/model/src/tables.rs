//! The compiled objects, per kind, as the indexes read them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::convert::entry::Entry;
use crate::convert::service::Slice;
use crate::routing::{DestinationRule, Gateway, Sidecar, VirtualService};
use crate::service::{Labels, Service};
use crate::workload::Workload;

/// Namespace and name.
pub type Name = (String, String);

/// Objects of one kind.
pub type Table<T> = BTreeMap<Name, Arc<T>>;

/// Everything that translation may need, before it is indexed.
#[derive(Debug, Default)]
pub struct Tables {
    pub services: Table<Service>,
    pub entries: Table<Entry>,
    pub workloads: Table<Workload>,
    pub pods: Table<Workload>,
    pub slices: Table<Slice>,
    pub virtual_services: Table<VirtualService>,
    pub destination_rules: Table<DestinationRule>,
    pub gateways: Table<Gateway>,
    pub sidecars: Table<Sidecar>,
    pub namespaces: BTreeMap<String, Labels>,
}
