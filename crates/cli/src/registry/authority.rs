//! The certificate of a registry's authority. In: a file's text. Out: why the runtimes could not use it: they
//! leave out what they do not understand without a word.

use anyhow::{Result, bail, ensure};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{Error, PemObject};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// An error unless the text is certificates as PEM, each of them whole.
pub fn check(text: &str) -> Result<()> {
    let count = text.lines().filter(|line| line.trim_end() == BEGIN).count();
    ensure!(
        count > 0 && !text.contains("PRIVATE KEY-----"),
        "it has to hold the authority's certificate as PEM, and no private key: openssl x509 -inform DER -in FILE \
         makes PEM of the other form"
    );
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let at = store.len() + 1;
        let added = match certificate {
            Ok(certificate) => store.add(certificate).map_err(|error| error.to_string()),
            Err(Error::MissingSectionEnd { .. }) => Err("it has no end".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(reason) = added {
            bail!("certificate {at} of {count} is not valid: {reason}");
        }
    }
    ensure!(store.len() == count, "certificate {} of {count} is not whole", store.len() + 1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use lateen_identity::AuthorityPem;

    use super::check;

    #[test]
    fn every_certificate_has_to_be_whole() {
        let made = AuthorityPem::create("r", SystemTime::now(), Duration::from_secs(60)).unwrap();
        let pem = made.certificate;
        check(&pem).unwrap();
        check(&pem.replace('\n', "\r\n")).unwrap();
        check(&format!("# ours\n{pem}{pem}")).unwrap();
        let (half, _) = pem.split_at(200);
        let garbage = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        for (text, reason) in [
            (String::new(), "as PEM"),
            (format!("\u{feff}{pem}"), "as PEM"),
            (format!("{pem}{}", made.key), "no private key"),
            (half.to_owned(), "certificate 1 of 1"),
            (format!("{pem}{half}"), "certificate 2 of 2"),
            (garbage.to_owned(), "certificate 1 of 1 is not valid"),
            (garbage.replace("aGVsbG8=", "not base64!"), "certificate 1 of 1 is not valid"),
        ] {
            let error = check(&text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
