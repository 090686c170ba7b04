//! The kubelet's credentials for registries, `config.json` in its folder, of Docker's form. In: its text.
//! Out: the text with a registry's credentials added or removed
//! (<https://kubernetes.io/docs/concepts/containers/images/#using-a-private-registry>).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::{Error, Host, json};

const LIST: &str = "auths";

/// A user's name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub user: String,
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    /// Never shows the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Credentials {
    /// From a file of one line `USER:PASSWORD`, or from a Docker `config.json`.
    pub fn parse(text: &str, host: &Host) -> Result<Credentials, Error> {
        if text.trim_start().starts_with('{') {
            return of(text, host)?.ok_or(Error::Credentials("the contents of this config.json"));
        }
        pair(text.trim_end_matches(['\r', '\n']))
            .ok_or(Error::Credentials("the contents of this file"))
    }
}

fn pair(text: &str) -> Option<Credentials> {
    let (user, password) = text.split_once(':')?;
    let valid = !user.is_empty() && !password.is_empty() && !text.contains(['\n', '\r']);
    valid.then(|| Credentials { user: user.to_owned(), password: password.to_owned() })
}

/// The text with the registry's credentials.
pub fn set(text: &str, host: &Host, credentials: &Credentials) -> Result<String, Error> {
    if of(text, host)?.as_ref() == Some(credentials) {
        return Ok(text.to_owned());
    }
    let auth = STANDARD.encode(format!("{}:{}", credentials.user, credentials.password));
    let mut text = json::set(text, &[LIST, host.as_str(), "auth"], &json!(auth))?;
    // They would count instead.
    for key in ["username", "password"] {
        text = json::unset(&text, &[LIST, host.as_str(), key])?;
    }
    Ok(text)
}

/// The text without the registry's credentials.
pub fn unset(text: &str, host: &Host) -> Result<String, Error> {
    json::unset(text, &[LIST, host.as_str()])
}

/// The registry's credentials, under its host or under one of its URLs.
pub fn of(text: &str, host: &Host) -> Result<Option<Credentials>, Error> {
    let value = json::parse(text)?;
    let list = members(value.get(LIST), LIST)?;
    let keys = || list.into_iter().flatten().map(|(key, _)| key.as_str());
    let is_exact = |key: &&str| *key == host.as_str();
    let key = keys().find(is_exact).or_else(|| keys().find(|key| is_url(key, host)));
    let key = key.unwrap_or(host.as_str());
    let path = format!("{LIST}.{key}");
    let entry = members(list.and_then(|list| list.get(key)), &path)?;
    let part = |key: &str| match entry.and_then(|entry| entry.get(key)) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(part)) => Ok(Some(part.as_str()).filter(|part| !part.is_empty())),
        Some(_) => Err(Error::Type { key: format!("{path}.{key}"), wanted: "a text" }),
    };
    let (user, password, auth) = (part("username")?, part("password")?, part("auth")?);
    if let (Some(user), Some(password)) = (user, password) {
        return Ok(Some(Credentials { user: user.to_owned(), password: password.to_owned() }));
    }
    let decoded = auth.and_then(|auth| STANDARD.decode(auth).ok());
    Ok(decoded.and_then(|auth| String::from_utf8(auth).ok()).as_deref().and_then(pair))
}

/// Whether a key is the registry's URL, which Docker and the kubelet take with the path of an API.
fn is_url(key: &str, host: &Host) -> bool {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let path = rest.and_then(|rest| rest.strip_prefix(host.as_str()));
    path.is_some_and(|path| ["", "/", "/v1", "/v1/", "/v2", "/v2/"].contains(&path))
}

/// The registries with credentials.
pub fn hosts(text: &str) -> Result<Vec<String>, Error> {
    let value = json::parse(text)?;
    let list = members(value.get(LIST), LIST)?;
    Ok(list.into_iter().flatten().map(|(host, _)| host.clone()).collect())
}

/// What is in the object that `path` names, if it is there.
fn members<'a>(
    value: Option<&'a Value>,
    path: &str,
) -> Result<Option<&'a Map<String, Value>>, Error> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map)),
        Some(_) => Err(Error::Type { key: path.to_owned(), wanted: "an object" }),
    }
}

#[cfg(test)]
mod tests {
    use super::{Credentials, hosts, of, set, unset};
    use crate::Host;

    #[test]
    fn credentials_are_added_read_and_removed() {
        let host: Host = "r:5000".parse().unwrap();
        let credentials = Credentials::parse("me:pass:word\n", &host).unwrap();
        assert_eq!((credentials.user.as_str(), credentials.password.as_str()), ("me", "pass:word"));
        let text = set("{\"credsStore\": \"x\", \"auths\": {}}", &host, &credentials).unwrap();
        assert_eq!(of(&text, &host).unwrap(), Some(credentials.clone()));
        assert_eq!(set(&text, &host, &credentials).unwrap(), text);
        assert_eq!(hosts(&text).unwrap(), ["r:5000"]);
        assert_eq!(Credentials::parse(&text, &host).unwrap(), credentials);
        assert_eq!(unset(&text, &host).unwrap(), "{\"credsStore\": \"x\", \"auths\": {}}");
        assert!(!format!("{credentials:?}").contains("pass"));
    }

    #[test]
    fn credentials_under_a_url_are_the_hosts_unless_the_host_has_its_own() {
        let host: Host = "r:5000".parse().unwrap();
        for url in ["https://r:5000", "http://r:5000/", "https://r:5000/v1/", "https://r:5000/v2/"]
        {
            let text = format!(r#"{{"auths": {{"{url}": {{"auth": "dTpw"}}}}}}"#);
            let found = Credentials::parse(&text, &host).unwrap();
            assert_eq!((found.user.as_str(), found.password.as_str()), ("u", "p"), "{url}");
            let own = Credentials::parse("me:own", &host).unwrap();
            assert_eq!(of(&set(&text, &host, &own).unwrap(), &host).unwrap(), Some(own));
        }
        for url in ["https://r:50000", "https://r", "https://r:5000/team", "ftp://r:5000"] {
            let text = format!(r#"{{"auths": {{"{url}": {{"auth": "dTpw"}}}}}}"#);
            assert!(Credentials::parse(&text, &host).is_err(), "{url}");
        }
    }

    #[test]
    fn a_new_password_leaves_the_rest_of_an_entry() {
        let host: Host = "r".parse().unwrap();
        let before = r#"{"auths": {"r": {"email": "e", "auth": "dTpv", "password": "o"}}}"#;
        let credentials = Credentials::parse("u:p", &host).unwrap();
        let after = set(before, &host, &credentials).unwrap();
        assert_eq!(after, r#"{"auths": {"r": {"email": "e", "auth": "dTpw"}}}"#);
        assert_eq!(of(&after, &host).unwrap(), Some(credentials));
    }

    #[test]
    fn other_types_are_refused_by_their_paths() {
        let host: Host = "r".parse().unwrap();
        for (text, path) in [
            (r#"{"auths": "x"}"#, "auths is"),
            (r#"{"auths": {"r": "x"}}"#, "auths.r is"),
            (r#"{"auths": {"r": {"auth": 5}}}"#, "auths.r.auth is"),
        ] {
            let error = of(text, &host).unwrap_err().to_string();
            assert!(error.starts_with(path) && error.ends_with("correct it first"), "{error}");
        }
    }

    #[test]
    fn what_holds_no_credentials_is_refused_without_showing_it() {
        let host: Host = "r:5000".parse().unwrap();
        for text in
            ["", "secret", ":secret", "secret:", "a:secret\nb:c", "{\"auths\": {\"other\": {}}}"]
        {
            let error = Credentials::parse(text, &host).unwrap_err().to_string();
            assert!(error.contains("USER:PASSWORD") && !error.contains("secret"), "{error}");
        }
    }
}
