//! Who is another replica. In: the name that somebody says, and whose token is shown. Out: yes, or a refusal.

use lateen_xds::server::peer::{Peer, Refusal};

/// Who this control plane is.
#[derive(Debug, Clone)]
pub struct OwnAccount {
    /// The ServiceAccount that all replicas have.
    pub namespace: String,
    pub account: String,
    /// This replica.
    pub name: String,
}

impl OwnAccount {
    /// Another replica has this one's account and another name.
    pub fn admit(&self, name: &str, peer: &Peer) -> Result<(), Refusal> {
        let admitted = self.knows(peer).and_then(|()| match name {
            "" => Err("a replica of the control plane says its name in lateen-replica".to_owned()),
            name if name == self.name => Err(format!("{name} is this replica itself")),
            _ => Ok(()),
        });
        admitted.map_err(|text| {
            tracing::warn!("refused: {text}");
            Refusal::Forbidden(text)
        })
    }

    fn knows(&self, peer: &Peer) -> Result<(), String> {
        let shown = match peer {
            Peer::ServiceAccount(peer) => {
                if peer.namespace == self.namespace && peer.name == self.account {
                    return Ok(());
                }
                format!("the token is of {}/{}", peer.namespace, peer.name)
            }
            Peer::Local | Peer::Plaintext => "its token is shown over TLS only".to_owned(),
        };
        let Self { namespace, account, .. } = self;
        Err(format!(
            "what proxies tell is passed on by ServiceAccount {namespace}/{account}: {shown}"
        ))
    }
}
