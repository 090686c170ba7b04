//! Where the ADS server is. In: text, or what a process knows of its control plane. Out: an address.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where the ADS server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdsAddress {
    Unix(PathBuf),
    /// `host:port`, in plain text.
    Tcp(String),
    /// `host:port`, whose certificate must name the host and be signed by one of the `roots` (a PEM file);
    /// the `token`, also a file, tells the server who asks. Both files change while the process runs, so
    /// they are read again for every connection.
    Tls {
        host: String,
        roots: PathBuf,
        token: PathBuf,
    },
}

impl FromStr for AdsAddress {
    type Err = Infallible;

    /// `http://host:port`, `host:port`, or a path with a slash, `unix:` before it or not.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(path.strip_prefix("//").unwrap_or(path).into()));
        }
        if let Some(rest) = text.strip_prefix("http://") {
            return Ok(Self::Tcp(rest.trim_end_matches('/').into()));
        }
        if text.contains('/') {
            return Ok(Self::Unix(text.into()));
        }
        Ok(Self::Tcp(text.into()))
    }
}

impl fmt::Display for AdsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Tls { host, .. } => write!(f, "https://{host}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AdsAddress;

    #[test]
    fn addresses_are_paths_or_hosts() {
        let parse = |text: &str| text.parse::<AdsAddress>().unwrap();
        assert_eq!(parse("/run/ads.sock"), AdsAddress::Unix("/run/ads.sock".into()));
        assert_eq!(parse("unix:run/ads.sock"), AdsAddress::Unix("run/ads.sock".into()));
        assert_eq!(parse("http://istiod:15010"), AdsAddress::Tcp("istiod:15010".into()));
        assert_eq!(parse("127.0.0.1:15010"), AdsAddress::Tcp("127.0.0.1:15010".into()));
    }
}
