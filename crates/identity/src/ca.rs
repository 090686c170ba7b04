//! A self-signed certificate authority kept in two files, `ca.key` and `ca.crt`: in, a directory
//! and a name; out, certificates signed by it.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::Error;
use crate::file::read_or_create_secret;

/// A certificate authority that can sign.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its private key, in memory only.
pub struct Issued {
    /// The chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKeyDer<'static>,
}

impl Ca {
    /// Loads the CA kept in `dir`, or makes one named `name` and stores it there.
    pub fn load_or_create(dir: &Path, name: &str) -> Result<Self, Error> {
        let key_pem = read_or_create_secret(&dir.join("ca.key"), || {
            Ok(KeyPair::generate()?.serialize_pem().into_bytes())
        })?;
        let key = KeyPair::from_pem(&String::from_utf8_lossy(&key_pem))?;
        let params = ca_params(name)?;
        let pem = read_or_create_secret(&dir.join("ca.crt"), || {
            Ok(params.self_signed(&key)?.pem().into_bytes())
        })?;
        let pem = String::from_utf8_lossy(&pem).into_owned();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// The CA's certificate, for those who shall trust it.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Signs a server certificate for `names` (host names and IP addresses) with a fresh key.
    pub fn issue_server(&self, names: &[&str]) -> Result<Issued, Error> {
        let mut params = server_params(names)?;
        validity(&mut params);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued {
            chain: vec![certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        })
    }
}

/// A server's certificate but for its dates.
pub(crate) fn server_params(names: &[&str]) -> Result<CertificateParams, Error> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let common_name = names.first().cloned().unwrap_or_default();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn ca_params(name: &str) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, "lateen");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity(&mut params);
    Ok(params)
}

/// A wide, fixed span: these certificates serve one machine's loopback, whose clock may be wrong.
fn validity(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
}

#[cfg(test)]
mod tests {
    use super::Ca;
    use crate::{client_config, server_config};
    use std::io::{Read, Write};
    use std::sync::Arc;

    /// One TLS handshake in memory-like fashion over a socket pair, with one message each way.
    fn echo_over_tls(server: &Ca, trusted_pem: &str) -> Result<String, String> {
        let issued = server.issue_server(&["localhost", "127.0.0.1"]).unwrap();
        let config = server_config(issued, &[b"http/1.1"]).unwrap();
        let client = client_config(trusted_pem.as_bytes()).unwrap();
        let (mut left, mut right) = std::os::unix::net::UnixStream::pair().unwrap();
        let serving = std::thread::spawn(move || {
            let mut session = rustls::ServerConnection::new(config).unwrap();
            let mut stream = rustls::Stream::new(&mut session, &mut left);
            let mut word = [0; 5];
            if stream.read_exact(&mut word).is_ok() {
                let _ = stream.write_all(&word);
            }
        });
        let name = "127.0.0.1".try_into().unwrap();
        let mut session = rustls::ClientConnection::new(Arc::clone(&client), name).unwrap();
        let mut stream = rustls::Stream::new(&mut session, &mut right);
        let mut word = [0; 5];
        let result = stream
            .write_all(b"hello")
            .and_then(|()| stream.read_exact(&mut word))
            .map(|()| String::from_utf8_lossy(&word).into_owned())
            .map_err(|error| error.to_string());
        drop(right);
        serving.join().unwrap();
        result
    }

    #[test]
    fn a_client_that_trusts_the_reloaded_ca_accepts_its_server_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let first = Ca::load_or_create(dir.path(), "test").unwrap();
        let second = Ca::load_or_create(dir.path(), "test").unwrap();
        assert_eq!(first.pem(), second.pem());
        assert_eq!(echo_over_tls(&second, first.pem()).unwrap(), "hello");
    }

    #[test]
    fn a_client_of_another_ca_refuses() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = Ca::load_or_create(one.path(), "test").unwrap();
        let second = Ca::load_or_create(two.path(), "test").unwrap();
        let error = echo_over_tls(&first, second.pem()).unwrap_err();
        assert!(error.contains("certificate"), "{error}");
    }
}
