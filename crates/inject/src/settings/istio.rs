//! Istio's own images, in whose place Lateen's is used. In: a hub or an image. Out: whether it is one of them.

const IMAGES: [&str; 5] = ["pilot", "proxyv2", "proxyv2-default", "proxy_init", "proxy"];

/// Whether images of Istio's are published in a hub: on Docker Hub, in the registries of its releases, below istio.io.
pub fn is_istio_hub(hub: &str) -> bool {
    let (host, last) = hub.rsplit_once('/').unwrap_or(("", hub));
    let public = host.is_empty() || host.starts_with("docker.") || host.ends_with(".docker.io");
    last == "istio" && public
        || matches!(last, "istio-release" | "istio-testing")
        || hub.split('/').any(|part| part.ends_with("istio.io"))
}

/// Whether a name or a reference is one of Istio's images. In a registry of somebody else's, an image of the same name is
/// theirs.
pub fn is_istio_image(reference: &str) -> bool {
    let (hub, last) = reference.rsplit_once('/').unwrap_or(("", reference));
    let name = last.split([':', '@']).next().unwrap_or(last);
    IMAGES.contains(&name) && (hub.is_empty() || is_istio_hub(hub))
}

#[cfg(test)]
mod tests {
    use super::is_istio_image;

    #[test]
    fn an_image_is_istio_s_by_its_name_and_its_hub() {
        for istio_s in [
            "proxyv2",
            "proxyv2:1.30",
            "istio/proxyv2:1.30.0",
            "docker.io/istio/pilot",
            "index.docker.io/istio/proxyv2",
            "gcr.io/istio-release/proxyv2@sha256:00112233445566778899aabbccddeeff",
            "registry.istio.io/release/proxyv2:1.30.0-distroless",
        ] {
            assert!(is_istio_image(istio_s), "{istio_s}");
        }
        for other in [
            "lateen",
            "proxyv2-custom:1",
            "reg.example/infra/proxy:2",
            "reg:5000/proxyv2",
            "reg.example/istio/proxyv2:1.30.0",
            "docker.io/istio/lateen:1",
        ] {
            assert!(!is_istio_image(other), "{other}");
        }
    }
}
