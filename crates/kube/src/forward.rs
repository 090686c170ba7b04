//! A way to a port of a pod, through the API. In: a pod and a port. Out: a stream of bytes.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::client::UpgradeConnectionError;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::client::{Client, Error};

/// Bytes there and back.
pub trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Bytes for S {}

impl Client {
    /// Connects to a port of a pod. The stream ends when the pod does.
    pub async fn forward(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
    ) -> Result<Box<dyn Bytes>, Error> {
        let api: Api<Pod> = Api::namespaced(self.inner.clone(), namespace);
        let action = format!("forward port {port} of Pod {namespace}/{pod}");
        let asked = async {
            match api.portforward(pod, &[port]).await {
                Err(kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(
                    code,
                ))) => Ok(Err(code)),
                other => other.map(Ok),
            }
        };
        let refused = |code: u16, message: String| {
            let reason = if code == 403 { "Forbidden" } else { "Failed" };
            Error::Refused { action: action.clone(), code, reason: reason.to_owned(), message }
        };
        let mut forwarder = self.bounded(&action, asked).await?.map_err(|code| {
            let message = match code.as_u16() {
                403 => format!("you need get and create of pods/portforward in {namespace}"),
                _ => code.to_string(),
            };
            refused(code.as_u16(), message)
        })?;
        let stream = forwarder.take_stream(port);
        let stream = stream.ok_or_else(|| refused(502, "there is no stream".to_owned()))?;
        Ok(Box::new(stream))
    }
}
