//! The page and its API over HTTP. In: a listener, who may ask, and the pages of the API. Out: HTTP/1.1.
//! The page itself holds nothing that is anybody's secret: what it shows comes from the API, which asks for a
//! token.

mod assets;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::future::BoxFuture;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use lateen_runtime::admin::Page;
use lateen_runtime::http::{Limits, Listener, Reply, read, response};
use lateen_runtime::pages::{Access, Pages, Reader, Refusal, only};

/// How much at once; a browser that keeps its connection for ever must not keep others out.
pub(crate) const LIMITS: Limits =
    Limits { connections: 128, lasting: Some(Duration::from_secs(10 * 60)) };
/// Nothing from anywhere else, nothing written into the page, and nobody's frame.
const POLICY: &str =
    "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Answers from this size on are packed for whoever unpacks them: over a port-forward a large mesh's would take seconds.
const LARGE: usize = 64 << 10;

/// Where the parts of the page are whose names change with their content.
const PARTS: &str = "/assets/";

/// The owner's way in: whoever knows the token is the owner.
pub struct Token {
    secret: String,
    invitation: String,
}

impl Token {
    /// As `lateen up` prints it.
    pub fn new(secret: &str) -> Self {
        Self { secret: secret.to_owned(), invitation: invitation("lateen up") }
    }

    /// As another command prints it.
    pub fn printed_by(self, command: &str) -> Self {
        Self { invitation: invitation(command), ..self }
    }

    /// Compares in a time that tells nothing of how much of it was right.
    fn is(&self, shown: &str) -> bool {
        let (own, shown) = (self.secret.as_bytes(), shown.as_bytes());
        let differences = own.iter().zip(shown).fold(0, |sum, (a, b)| sum | (a ^ b));
        own.len() == shown.len() && differences == 0
    }
}

impl Access for Token {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Reader, Refusal>> {
        let refused = || Refusal::Unknown(format!("this is not the token: {}", self.invitation()));
        let verdict = if self.is(token) { Ok(Reader::Owner) } else { Err(refused()) };
        Box::pin(std::future::ready(verdict))
    }

    fn invitation(&self) -> &str {
        &self.invitation
    }
}

fn invitation(command: &str) -> String {
    format!("open the address that {command} printed, or send authorization: Bearer TOKEN")
}

/// Serves until dropped.
pub async fn serve(listener: impl Listener, access: Arc<dyn Access>, api: Arc<dyn Pages>) {
    lateen_runtime::http::serve(listener, LIMITS, move |request, _| {
        let (access, api) = (access.clone(), api.clone());
        async move { reply(request, &*access, &*api).await }
    })
    .await;
}

async fn reply(request: Request<Incoming>, access: &dyn Access, api: &dyn Pages) -> Reply {
    if request.uri().path().starts_with("/api/") {
        return called(request, access, api).await;
    }
    match *request.method() {
        Method::GET | Method::HEAD => file(request.uri(), accepts_gzip(request.headers())),
        _ => dynamic(only("GET")),
    }
}

/// An answer of the API.
async fn called(request: Request<Incoming>, access: &dyn Access, api: &dyn Pages) -> Reply {
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let may_pack = accepts_gzip(request.headers());
    let page = async {
        let Some(token) = bearer(request.headers()) else {
            let text = format!("a token is needed: {}", access.invitation());
            return Err(Page::problem(401, text));
        };
        let reader = access.authenticate(token).await.map_err(|refusal| refusal.page())?;
        let ask = read(request, reader).await?;
        let missing = || {
            let is_near = ask.path.starts_with("/api/v1/");
            let hint = if is_near { "" } else { ": the API begins with /api/v1/" };
            Page::problem(404, format!("there is no {}{hint}", ask.path))
        };
        let page = api.answer(&ask).await.unwrap_or_else(missing);
        if ask.is_reading() && page.status == 200 { Ok(page) } else { Err(page) }
    };
    match page.await {
        Ok(page) => tagged(page, known.as_ref(), may_pack).await,
        Err(page) => dynamic(page),
    }
}

/// The token that a request shows.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// With a tag of its content; without the content for whoever has it.
async fn tagged(page: Page, known: Option<&HeaderValue>, may_pack: bool) -> Reply {
    let mut hasher = DefaultHasher::new();
    page.body.hash(&mut hasher);
    // Weak: it is of the packed and of the plain one.
    let tag = format!("W/\"{:016x}\"", hasher.finish());
    let tag = HeaderValue::from_str(&tag).expect("invariant: hexadecimal digits");
    let mut response = if known == Some(&tag) {
        let mut unchanged = dynamic(Page { body: Vec::new(), ..page });
        *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
        unchanged
    } else if may_pack && page.body.len() >= LARGE {
        packed(page).await
    } else {
        dynamic(page)
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, tag);
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}

/// Beside the threads that answer others.
async fn packed(page: Page) -> Reply {
    let pack = move || {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        let body = packed.write_all(&page.body).and_then(|()| packed.finish());
        Page { body: body.expect("invariant: memory takes all that is written"), ..page }
    };
    let page = tokio::task::spawn_blocking(pack).await.expect("packing does not panic");
    let mut response = dynamic(page);
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response
}

/// A part of the page. What is not there is a place in the page, but for parts of another version's.
fn file(uri: &Uri, packed: bool) -> Reply {
    let path = uri.path();
    if assets::find("/").is_none() {
        let text = "this lateen was built without its page: install Node 20, run `make ui`, and build it again.\n\
                    The API is at /api/v1/graph.\n";
        return dynamic(Page::text(text).with_status(501));
    }
    let Some(asset) = assets::find(path) else {
        if path.starts_with(PARTS) {
            let text = format!("there is no {path} in this version's page: load it again");
            return dynamic(Page::problem(404, text));
        }
        return within(uri);
    };
    // The name of a hashed file changes with its content.
    let age =
        if asset.path.starts_with(PARTS) { "max-age=31536000, immutable" } else { "no-cache" };
    if !packed {
        return match asset.unpacked() {
            Ok(body) => secured(asset.content_type, age, body.into()),
            Err(error) => dynamic(Page::problem(500, format!("cannot unpack {path}: {error}"))),
        };
    }
    let mut response = secured(asset.content_type, age, Bytes::from_static(asset.gzip));
    let gzip = HeaderValue::from_static("gzip");
    response.headers_mut().insert(header::CONTENT_ENCODING, gzip);
    response
}

/// Leads to a place in the page, which has it behind a `#`. What stands before the paths that are seen here is kept.
fn within(uri: &Uri) -> Reply {
    // `*` is a path, too.
    let above = "../".repeat(uri.path().matches('/').count().saturating_sub(1));
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let place = format!("./{above}#{}{query}", uri.path());
    let place = HeaderValue::from_bytes(place.as_bytes());
    let mut response = dynamic(Page::text("").with_status(302));
    let place = place.unwrap_or(HeaderValue::from_static("./"));
    response.headers_mut().insert(header::LOCATION, place);
    response
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING);
    let accepted = accepted.and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|one| {
        let (coding, weight) = one.split_once(';').unwrap_or((one, ""));
        let is_refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        coding.trim() == "gzip" && !is_refused
    })
}

/// An answer that is not kept.
pub(crate) fn dynamic(page: Page) -> Reply {
    headed(response(page), "no-store")
}

fn secured(content_type: &'static str, age: &'static str, body: Bytes) -> Reply {
    let mut response = Response::new(Full::new(body));
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    headed(response, age)
}

fn headed(mut response: Reply, age: &'static str) -> Reply {
    for (name, value) in [
        (header::CACHE_CONTROL, age),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests;
