//! Boxes around the versions of an app. In: nodes. Out: the boxes first, because whoever draws needs them before what is
//! in them, then the nodes. An app that is one node has none.

use std::collections::BTreeMap;

use super::UNKNOWN;
use super::shapes::{Data, NodeData, Pairs};

/// What a box has if any of those in it has it.
const MARKS: &[&str] = &["isInaccessible", "isOutside", "isOutOfMesh"];

pub fn by_app<'g>(mut nodes: Vec<Data<NodeData<'g>>>) -> Vec<Data<NodeData<'g>>> {
    let mut apps: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (at, Data { data }) in nodes.iter().enumerate() {
        let Some(app) = data.app.filter(|app| *app != UNKNOWN) else { continue };
        apps.entry((data.cluster, data.namespace, app)).or_default().push(at);
    }
    let mut all = Vec::new();
    for ((cluster, namespace, app), within) in apps.into_iter().filter(|(_, all)| all.len() > 1) {
        let id = format!("appbox/{cluster}/{namespace}/{app}");
        let has = |mark: &str| within.iter().any(|at| nodes[*at].data.marks.has(mark));
        let marks = MARKS.iter().filter(|mark| has(mark)).map(|mark| (*mark, true)).collect();
        for at in &within {
            nodes[*at].data.parent = Some(id.clone());
        }
        let (app, is_box) = (Some(app), Some("app"));
        let node_type = "box";
        let id = id.into();
        let data = NodeData {
            id,
            node_type,
            cluster,
            namespace,
            app,
            marks,
            is_box,
            ..Default::default()
        };
        all.push(Data { data });
    }
    all.append(&mut nodes);
    all
}

impl Pairs<&str, bool> {
    fn has(&self, name: &str) -> bool {
        self.0.contains(&(name, true))
    }
}
