//! Pages that are asked for with more than a path: by somebody, with a method and perhaps a body, of something that
//! may have to ask others first. In: an [`Ask`]. Out: a [`Page`], or none.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::admin::{Handler, Page};

/// The largest body that is read.
pub const MAX_BODY: usize = 1 << 20;

/// A request, read whole.
#[derive(Clone, Debug)]
pub struct Ask {
    pub method: Method,
    pub path: String,
    /// Without `?`.
    pub query: String,
    /// Without parameters.
    pub content_type: String,
    /// What the answer may be; empty if it is not said.
    pub accept: String,
    /// At most [`MAX_BODY`].
    pub body: Bytes,
    pub reader: Reader,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The user who started this mesh, who may do everything.
    Owner,
    /// A user of the Kubernetes API, who may do what the API lets them.
    User(User),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub groups: Vec<String>,
    pub token: Secret,
    /// The namespaces that they may look into; `None` for all.
    pub namespaces: Option<Arc<BTreeSet<String>>>,
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

/// Why somebody is not let in, each with what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody knows the token: 401.
    Unknown(String),
    /// Its owner lacks a right: 403.
    Forbidden(String),
    /// Who would know does not answer: 503.
    Unavailable(String),
}

/// Tells who asks.
pub trait Access: Send + Sync {
    /// Whose a token is; whoever has to ask for that keeps the answers for a moment.
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Reader, Refusal>>;

    /// Where to get a token, for whoever shows none.
    fn invitation(&self) -> &str;
}

/// A part of a server.
pub trait Pages: Send + Sync {
    /// `None` for a path that is not its own.
    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Option<Page>>;
}

impl Secret {
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Refusal {
    pub fn page(&self) -> Page {
        let (status, message) = match self {
            Refusal::Unknown(message) => (401, message),
            Refusal::Forbidden(message) => (403, message),
            Refusal::Unavailable(message) => (503, message),
        };
        Page::problem(status, message)
    }
}

impl Reader {
    /// The user's name, as the API knows it.
    pub fn user(&self) -> Option<&str> {
        match self {
            Reader::Owner => None,
            Reader::User(user) => Some(&user.name),
        }
    }

    /// The only namespaces that they may look into; `None` for all.
    pub fn confined_to(&self) -> Option<&Arc<BTreeSet<String>>> {
        match self {
            Reader::Owner => None,
            Reader::User(user) => user.namespaces.as_ref(),
        }
    }
}

impl Ask {
    /// A GET by the owner.
    pub fn get(path: &str, query: &str) -> Self {
        Self {
            method: Method::GET,
            path: path.to_owned(),
            query: query.to_owned(),
            content_type: String::new(),
            accept: String::new(),
            body: Bytes::new(),
            reader: Reader::Owner,
        }
    }

    pub fn is_reading(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }

    /// The body of a POST.
    ///
    /// # Errors
    /// A page that says what is wrong with it.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Page> {
        if self.content_type != "application/json" {
            let text =
                format!("the content-type is {:?}: send application/json", self.content_type);
            return Err(Page::problem(415, text));
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| Page::problem(400, format!("the body cannot be read: {error}")))
    }
}

impl Page {
    /// What every answer of an API is that is not a success.
    pub fn problem(status: u16, message: impl Into<String>) -> Self {
        Self::problem_of(status, message, Vec::new())
    }

    /// The same, with what is wrong with an object.
    pub fn problem_of(status: u16, message: impl Into<String>, issues: Vec<Value>) -> Self {
        let mut problem = json!({ "status": status, "message": message.into() });
        if !issues.is_empty() {
            problem["issues"] = Value::Array(issues);
        }
        Self::json(&problem).with_status(status)
    }
}

/// Pages that have their answers at hand.
pub fn at_once<F>(answer: F) -> Arc<dyn Pages>
where
    F: Fn(&Ask) -> Option<Page> + Send + Sync + 'static,
{
    struct AtOnce<F>(F);
    impl<F: Fn(&Ask) -> Option<Page> + Send + Sync> Pages for AtOnce<F> {
        fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Option<Page>> {
            Box::pin(std::future::ready((self.0)(ask)))
        }
    }
    Arc::new(AtOnce(answer))
}

/// Pages that are only read.
pub fn reading(handler: Handler) -> Arc<dyn Pages> {
    at_once(move |ask| {
        let page = handler(&ask.path, &ask.query)?;
        Some(if ask.is_reading() { page } else { only("GET") })
    })
}

/// These pages, without what they would change.
pub fn unchanging(pages: Arc<dyn Pages>) -> Arc<dyn Pages> {
    struct Unchanging(Arc<dyn Pages>);
    impl Pages for Unchanging {
        fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Option<Page>> {
            match ask.is_reading() {
                true => self.0.answer(ask),
                false => Box::pin(std::future::ready(Some(only("GET")))),
            }
        }
    }
    Arc::new(Unchanging(pages))
}

/// For a method that a page does not know.
pub fn only(methods: &str) -> Page {
    Page::problem(405, format!("this page answers {methods} only"))
}

/// The pages of all of these; of two that have the same one the first answers.
pub fn all(parts: Vec<Arc<dyn Pages>>) -> Arc<dyn Pages> {
    struct All(Vec<Arc<dyn Pages>>);
    impl Pages for All {
        fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Option<Page>> {
            Box::pin(async move {
                for part in &self.0 {
                    if let Some(page) = part.answer(ask).await {
                        return Some(page);
                    }
                }
                None
            })
        }
    }
    Arc::new(All(parts))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use http::Method;

    use super::{Ask, Reader, Secret, User, all, at_once, reading, unchanging};
    use crate::admin::{Handler, Page};

    fn page(known: &'static str) -> Handler {
        Arc::new(move |path, _| (path == known).then(|| Page::text(known)))
    }

    #[tokio::test]
    async fn the_first_part_that_has_a_page_answers_and_reads_only() {
        let parts = all(vec![reading(page("/a")), reading(page("/b"))]);
        let status = async |ask: Ask| parts.answer(&ask).await.map(|page| page.status);
        assert_eq!(status(Ask::get("/b", "")).await, Some(200));
        let post = Ask { method: Method::POST, ..Ask::get("/b", "") };
        assert_eq!(status(post).await, Some(405));
        assert_eq!(status(Ask::get("/c", "")).await, None);
    }

    #[tokio::test]
    async fn nothing_is_changed_where_pages_are_only_read() {
        let pages = unchanging(at_once(|_| Some(Page::text("done"))));
        let status = async |method| {
            pages.answer(&Ask { method, ..Ask::get("/a", "") }).await.map(|page| page.status)
        };
        assert_eq!(status(Method::GET).await, Some(200));
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            assert_eq!(status(method).await, Some(405));
        }
    }

    #[test]
    fn a_body_is_json_or_a_problem() {
        let ask = |content_type: &str, body: &'static str| Ask {
            content_type: content_type.to_owned(),
            body: Bytes::from_static(body.as_bytes()),
            ..Ask::get("/", "")
        };
        assert_eq!(ask("application/json", "[1]").json::<Vec<u8>>(), Ok(vec![1]));
        assert_eq!(ask("text/plain", "[1]").json::<Vec<u8>>().unwrap_err().status, 415);
        assert_eq!(ask("application/json", "{").json::<Vec<u8>>().unwrap_err().status, 400);
    }

    #[test]
    fn a_readers_token_is_not_shown() {
        let (name, groups) = ("jane".to_owned(), Vec::new());
        let reader =
            Reader::User(User { name, groups, token: Secret::new("abc"), namespaces: None });
        assert!(!format!("{reader:?}").contains("abc"));
    }
}
