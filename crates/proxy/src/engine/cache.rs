//! The last known resources in a file. In: resources. Out: one delta response per type, each with
//! its length before it; written to a new file that then takes the old one's place.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use prost::Message;

/// Not synced to disk: it has to outlive the process, not the machine, and what a power cut leaves of
/// it is found damaged by [`load`] or replaced by the control plane.
pub fn store(path: &Path, responses: Vec<DeltaDiscoveryResponse>) -> io::Result<()> {
    let mut bytes = Vec::new();
    for response in responses {
        response.encode_length_delimited(&mut bytes).expect("a vector grows");
    }
    let new = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&bytes)?;
    fs::rename(&new, path)
}

/// Nothing if there is no readable cache: the control plane will send all of it.
pub fn load(path: &Path) -> Vec<DeltaDiscoveryResponse> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cannot read the cache");
            return Vec::new();
        }
    };
    let mut rest = bytes.as_slice();
    let mut responses = Vec::new();
    while !rest.is_empty() {
        match DeltaDiscoveryResponse::decode_length_delimited(&mut rest) {
            Ok(response) => responses.push(response),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the cache is damaged, ignored");
                return Vec::new();
            }
        }
    }
    responses
}
