//! A certificate authority whose key is kept elsewhere, such as in a Kubernetes Secret, and which may be an
//! intermediate one that somebody plugged in. In: PEM texts and the time. Out: certificates that it signs,
//! the chain that goes with them, and the roots by which they are verified.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::ca::server_params;
use crate::{Error, Issued};

/// How much earlier than now a certificate begins to be valid: other machines' clocks are behind, some by a time zone.
const SKEW: Duration = Duration::from_secs(24 * 60 * 60);

/// An authority as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorityPem {
    pub certificate: String,
    /// PKCS #8, SEC 1 or PKCS #1.
    pub key: String,
    /// From the certificate towards the root; may be empty.
    pub chain: String,
    /// Empty for an authority that is its own root.
    pub roots: String,
}

/// An authority that can sign.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// What is sent after a leaf.
    chain: Vec<CertificateDer<'static>>,
    roots: String,
    not_after: SystemTime,
}

impl AuthorityPem {
    /// A new authority that signs itself, named as Istio names its own: by the trust domain.
    pub fn create(trust_domain: &str, now: SystemTime, life: Duration) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, trust_domain);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = (now - SKEW).into();
        params.not_after = (now + life).into();
        let certificate = params.self_signed(&key)?.pem();
        let (chain, roots) = (String::new(), certificate.clone());
        Ok(Self { certificate, key: key.serialize_pem(), chain, roots })
    }
}

impl Authority {
    /// # Errors
    /// If the texts are not PEM, the key is not the certificate's, or the certificate may not sign.
    pub fn from_pem(pem: &AuthorityPem) -> Result<Self, Error> {
        let own = CertificateDer::from_pem_slice(pem.certificate.as_bytes())
            .map_err(|error| Error::Authority(format!("the certificate is not PEM: {error}")))?;
        let key = KeyPair::from_pem(pem.key.trim())?;
        let not_after = check(&own, &key)?;
        let roots = Some(pem.roots.trim()).filter(|roots| !roots.is_empty());
        let roots = format!("{}\n", roots.unwrap_or(pem.certificate.trim()));
        let trusted = bundle(&roots)?;
        let mut chain = bundle(&pem.chain)?;
        if chain.is_empty() && !trusted.contains(&own) {
            chain.push(own.clone());
        }
        // A root is known to whoever verifies, or it is of no use to it.
        chain.retain(|certificate| !trusted.contains(certificate));
        let issuer = Issuer::from_ca_cert_der(&own, key)?;
        Ok(Self { issuer, chain, roots, not_after })
    }

    /// The roots as PEM, for those who shall trust what this authority signs.
    pub fn roots(&self) -> &str {
        &self.roots
    }

    /// When the authority's own certificate ends.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Signs a server certificate for `names` (host names and IP addresses) with a fresh key; it lasts for
    /// `life`, but not longer than the authority's own.
    pub fn issue_server(
        &self,
        names: &[&str],
        now: SystemTime,
        life: Duration,
    ) -> Result<Issued, Error> {
        let mut params = server_params(names)?;
        params.not_before = (now - SKEW).into();
        params.not_after = (now + life).min(self.not_after).into();
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &self.issuer)?;
        let chain = std::iter::once(leaf.der().clone()).chain(self.chain.iter().cloned()).collect();
        Ok(Issued { chain, key: PrivatePkcs8KeyDer::from(key.serialize_der()).into() })
    }
}

/// When the certificate ends, if it is an authority's and the key is its own.
fn check(certificate: &CertificateDer<'_>, key: &KeyPair) -> Result<SystemTime, Error> {
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|error| Error::Authority(format!("the certificate is not X.509: {error}")))?;
    if !parsed.is_ca() {
        return Err(Error::Authority("the certificate may not sign others".to_owned()));
    }
    if parsed.public_key().subject_public_key.data.as_ref() != key.der_bytes() {
        return Err(Error::Authority("the key is not the certificate's".to_owned()));
    }
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or_default();
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

fn bundle(pem: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    all.map_err(|error| Error::Bundle(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use rcgen::{CertifiedIssuer, KeyPair};
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

    use super::{Authority, AuthorityPem};

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const NAME: &str = "istiod.istio-system.svc";

    fn own() -> AuthorityPem {
        AuthorityPem::create("cluster.local", SystemTime::now(), 3650 * DAY).unwrap()
    }

    /// Whether a client that trusts `roots` takes the authority's certificate for `NAME` at `when`.
    fn verified(authority: &Authority, roots: &str, when: SystemTime) -> Result<(), String> {
        let issued = authority.issue_server(&[NAME], SystemTime::now(), DAY).unwrap();
        let mut store = RootCertStore::empty();
        super::bundle(roots).unwrap().into_iter().for_each(|root| store.add(root).unwrap());
        let provider = Arc::new(default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider);
        let verifier = verifier.build().unwrap();
        let name = ServerName::try_from(NAME).unwrap();
        let when = when.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let (leaf, chain) = issued.chain.split_first().unwrap();
        verifier
            .verify_server_cert(leaf, chain, &name, &[], UnixTime::since_unix_epoch(when))
            .map(drop)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_stored_authority_signs_what_its_root_verifies_until_it_ends() {
        let authority = Authority::from_pem(&own()).unwrap();
        let now = SystemTime::now();
        verified(&authority, authority.roots(), now).unwrap();
        let error = verified(&authority, authority.roots(), now + 2 * DAY).unwrap_err();
        assert!(error.contains("expired"), "{error}");
        verified(&authority, authority.roots(), now - DAY / 2).expect("a clock that is behind");
        let error = verified(&authority, authority.roots(), now - 2 * DAY).unwrap_err();
        assert!(error.contains("not valid yet"), "{error}");
        let other = Authority::from_pem(&own()).unwrap();
        assert!(verified(&authority, other.roots(), now).is_err());
    }

    #[test]
    fn no_certificate_outlives_its_authority() {
        let now = SystemTime::now();
        let pem = AuthorityPem::create("cluster.local", now, DAY / 2).unwrap();
        let authority = Authority::from_pem(&pem).unwrap();
        let issued = authority.issue_server(&[NAME], now, 30 * DAY).unwrap();
        let ends = |der: &[u8]| {
            let (_, parsed) = x509_parser::parse_x509_certificate(der).unwrap();
            parsed.validity().not_after.timestamp()
        };
        let own = CertificateDer::from_pem_slice(pem.certificate.as_bytes()).unwrap();
        assert_eq!(ends(&issued.chain[0]), ends(&own));
    }

    #[test]
    fn an_intermediate_authority_sends_its_chain() {
        let root = own();
        let root_key = KeyPair::from_pem(&root.key).unwrap();
        let issuer = rcgen::Issuer::from_ca_cert_pem(&root.certificate, root_key).unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "cluster one");
        let key = KeyPair::generate().unwrap();
        let between = CertifiedIssuer::signed_by(params, key, &issuer).unwrap();
        let plugged = AuthorityPem {
            certificate: between.pem(),
            key: between.key().serialize_pem(),
            chain: format!("{}{}", between.pem(), root.certificate),
            roots: root.certificate.clone(),
        };
        for chain in [plugged.chain.clone(), String::new()] {
            let authority =
                Authority::from_pem(&AuthorityPem { chain, ..plugged.clone() }).unwrap();
            verified(&authority, &root.certificate, SystemTime::now()).unwrap();
        }
    }

    #[test]
    fn what_is_no_authority_is_refused_with_the_reason() {
        let (one, two) = (own(), own());
        let refused = |pem: AuthorityPem| Authority::from_pem(&pem).err().unwrap().to_string();
        let error = refused(AuthorityPem { key: two.key, ..one.clone() });
        assert!(error.ends_with("the key is not the certificate's"), "{error}");
        let key = KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new([NAME.to_owned()]).unwrap();
        let certificate = leaf.self_signed(&key).unwrap().pem();
        let leaf = AuthorityPem { certificate, key: key.serialize_pem(), ..one.clone() };
        assert!(refused(leaf).ends_with("the certificate may not sign others"));
        let error = refused(AuthorityPem { certificate: "x".to_owned(), ..one.clone() });
        assert!(error.contains("the certificate is not PEM"), "{error}");
    }

    #[test]
    fn an_authority_made_by_openssl_with_an_rsa_key_is_read() {
        let pem = AuthorityPem {
            certificate: include_str!("../testdata/test-authority.pem").to_owned(),
            key: include_str!("../testdata/test-authority.key").to_owned(),
            chain: String::new(),
            roots: String::new(),
        };
        let authority = Authority::from_pem(&pem).unwrap();
        verified(&authority, authority.roots(), SystemTime::now()).unwrap();
    }
}
