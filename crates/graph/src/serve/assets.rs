//! The files of the page, which are part of the binary.

use std::io::{self, Read};

use flate2::read::GzDecoder;

/// A file under its path from the root.
pub struct Asset {
    pub path: &'static str,
    pub content_type: &'static str,
    pub gzip: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

impl Asset {
    /// The file as it was, for clients that take nothing packed.
    pub fn unpacked(&self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        GzDecoder::new(self.gzip).read_to_end(&mut body)?;
        Ok(body)
    }
}

/// The file of a path; `/` is `/index.html`.
pub fn find(path: &str) -> Option<&'static Asset> {
    let path = if path == "/" { "/index.html" } else { path };
    FILES.iter().find(|asset| asset.path == path)
}
