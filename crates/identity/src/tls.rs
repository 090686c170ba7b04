//! rustls configurations: in, an issued certificate or a PEM bundle of trusted CAs; out, a server
//! or client configuration over aws-lc-rs.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::pinned::PinnedOrIssued;
use crate::{Error, Issued};

/// A server without client certificates that offers the protocols `alpn`, best first.
pub fn server_config(issued: Issued, alpn: &[&[u8]]) -> Result<Arc<ServerConfig>, Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(issued.chain, issued.key)?;
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}

/// A client that trusts only the CAs of the PEM bundle `trusted`.
pub fn client_config(trusted: &[u8]) -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore::empty();
    let mut bundle = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(trusted) {
        let certificate = certificate.map_err(|error| Error::Bundle(error.to_string()))?;
        roots.add(certificate.clone())?;
        bundle.push(certificate);
    }
    if roots.is_empty() {
        return Err(Error::Bundle("it holds no certificate".to_owned()));
    }
    let provider = Arc::new(default_provider());
    let issued = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| Error::Bundle(error.to_string()))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedOrIssued { bundle, issued }))
        .with_no_client_auth();
    Ok(Arc::new(config))
}
