//! The files of the page, which are part of the binary.

/// A file under its path from the root.
pub struct Asset {
    pub path: &'static str,
    pub content_type: &'static str,
    pub body: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The file of a path; `/` is `/index.html`.
pub fn find(path: &str) -> Option<&'static Asset> {
    let path = if path == "/" { "/index.html" } else { path };
    FILES.iter().find(|asset| asset.path == path)
}
