//! ServiceAccount tokens: in, claims and a secret; out, a signed JWT (HS256), and back again.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Signs and verifies; both sides are this server, so the key is symmetric.
pub struct Signer {
    key: hmac::Key,
    issuer: String,
}

/// Whom a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The ServiceAccount's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid: a token dies with the account it was made for.
    pub uid: String,
    /// For whom the token is meant.
    pub audiences: Vec<String>,
    /// Seconds since the epoch.
    pub issued: i64,
    /// Seconds since the epoch.
    pub expires: i64,
}

impl Signer {
    /// A signer over `secret`, whose tokens name `issuer`.
    pub fn new(secret: &[u8], issuer: &str) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret), issuer: issuer.to_owned() }
    }

    /// The issuer, which is also the audience of tokens meant for this server.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// A token that says `claims`.
    pub fn sign(&self, claims: &Claims) -> String {
        let Claims { namespace, name, uid, audiences, issued, expires } = claims;
        let header = json!({"alg": "HS256", "typ": "JWT"});
        let body = json!({
            "aud": audiences,
            "exp": expires,
            "iat": issued,
            "iss": self.issuer,
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": {"name": name, "uid": uid},
            },
            "nbf": issued,
            "sub": format!("system:serviceaccount:{namespace}:{name}"),
        });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&body));
        let tag = hmac::sign(&self.key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
    }

    /// The claims of a token that this server signed and that has not expired at `now`.
    pub fn verify(&self, token: &str, now: i64) -> Option<Claims> {
        let (signed, tag) = token.rsplit_once('.')?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        hmac::verify(&self.key, signed.as_bytes(), &tag).ok()?;
        let (_, body) = signed.split_once('.')?;
        let body: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
        let account = &body["kubernetes.io"];
        let word = |value: &Value| value.as_str().map(str::to_owned);
        let claims = Claims {
            namespace: word(&account["namespace"])?,
            name: word(&account["serviceaccount"]["name"])?,
            uid: word(&account["serviceaccount"]["uid"])?,
            audiences: body["aud"].as_array()?.iter().filter_map(word).collect(),
            issued: body["iat"].as_i64()?,
            expires: body["exp"].as_i64()?,
        };
        (body["iss"] == self.issuer.as_str() && now < claims.expires).then_some(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::{Claims, Signer};

    fn claims() -> Claims {
        Claims {
            namespace: "default".to_owned(),
            name: "web".to_owned(),
            uid: "u-1".to_owned(),
            audiences: vec!["istio-ca".to_owned()],
            issued: 100,
            expires: 200,
        }
    }

    #[test]
    fn a_token_says_what_was_signed_until_it_expires() {
        let signer = Signer::new(b"secret", "https://issuer");
        let token = signer.sign(&claims());
        assert_eq!(signer.verify(&token, 199), Some(claims()));
        assert_eq!(signer.verify(&token, 200), None);
    }

    #[test]
    fn a_token_of_another_key_issuer_or_with_a_changed_body_is_refused() {
        let signer = Signer::new(b"secret", "https://issuer");
        let token = signer.sign(&claims());
        assert_eq!(Signer::new(b"other", "https://issuer").verify(&token, 150), None);
        assert_eq!(Signer::new(b"secret", "https://else").verify(&token, 150), None);
        let mut parts: Vec<&str> = token.split('.').collect();
        let other = signer.sign(&Claims { name: "admin".to_owned(), ..claims() });
        parts[1] = other.split('.').nth(1).unwrap();
        assert_eq!(signer.verify(&parts.join("."), 150), None);
        assert_eq!(signer.verify("nonsense", 150), None);
    }
}
