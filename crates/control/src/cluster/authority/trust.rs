//! The authority in force and the one that comes after it. In: authorities as they are found, and the time. Out: the
//! roots to trust, and a TLS configuration whose certificate is renewed in memory.
//!
//! Proxies trust what the kubelet mounted last, so a new root is published some time before a certificate needs it. A
//! replica that starts meanwhile uses the new authority at once: proxies come again until another one takes them.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lateen_identity::{Authority, AuthorityPem, server_config};
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Material, Settings};

/// How long a new root is published before the first certificate, and an old one after the last: writing all
/// ConfigMaps and the kubelet's next look at them take less.
pub const GRACE: Duration = Duration::from_secs(2 * 60);
/// How long a server certificate lasts; it is renewed after half of that.
const LASTS: Duration = Duration::from_secs(24 * 60 * 60);
const ALPN: &[&[u8]] = &[b"h2", b"http/1.1"];

/// An authority and where it is from.
struct Found {
    /// The Secret's name.
    from: &'static str,
    pem: AuthorityPem,
    authority: Authority,
}

/// Who vouches for this server, and how long still.
pub struct Trust {
    settings: Settings,
    present: Found,
    renew_at: SystemTime,
    /// The next authority and when it signs.
    coming: Option<(Instant, Found)>,
    /// The roots of the one before and until when they are published.
    past: Option<(Instant, String)>,
    tls: watch::Sender<Arc<ServerConfig>>,
    roots: watch::Sender<Arc<str>>,
    ends: watch::Sender<SystemTime>,
}

impl Found {
    fn new(from: &'static str, pem: AuthorityPem) -> Result<Self, String> {
        let authority = Authority::from_pem(&pem).map_err(|error| error.to_string())?;
        Ok(Self { from, pem, authority })
    }
}

impl Trust {
    /// `ends` is told when the authority's certificate ends.
    pub fn new(
        settings: Settings,
        from: &'static str,
        pem: AuthorityPem,
        ends: watch::Sender<SystemTime>,
        now: SystemTime,
    ) -> Result<(Self, Material), String> {
        let present = Found::new(from, pem)?;
        let (config, renew_at) = issue(&present.authority, &settings, now)?;
        let (tls, tls_receiver) = watch::channel(config);
        let (roots, roots_receiver) = watch::channel(Arc::from(present.authority.roots()));
        ends.send_replace(present.authority.not_after());
        let (coming, past) = (None, None);
        let trust = Self { settings, present, renew_at, coming, past, tls, roots, ends };
        Ok((trust, Material { tls: tls_receiver, roots: roots_receiver }))
    }

    /// The Secret that the authority in force is from.
    pub fn from(&self) -> &'static str {
        self.present.from
    }

    /// The authority in force, as it is stored.
    pub fn pem(&self) -> &AuthorityPem {
        &self.present.pem
    }

    /// A Secret has this authority, which is to be in force.
    ///
    /// # Errors
    /// If it cannot sign; everything stays as it was.
    pub fn take(
        &mut self,
        from: &'static str,
        pem: AuthorityPem,
        wall: SystemTime,
        now: Instant,
    ) -> Result<(), String> {
        if pem == self.present.pem {
            self.present.from = from;
            if self.coming.take().is_some() {
                tracing::info!("the certificate authority stays");
                self.publish();
            }
            return Ok(());
        }
        if self.coming.as_ref().is_some_and(|(_, coming)| coming.pem == pem) {
            return Ok(());
        }
        let found = Found::new(from, pem)?;
        issue(&found.authority, &self.settings, wall)?;
        let is_trusted = found.authority.roots() == self.present.authority.roots();
        let is_useless = self.present.authority.not_after() <= wall + GRACE;
        if is_trusted || is_useless {
            return self.switch(found, wall, now);
        }
        let seconds = GRACE.as_secs();
        tracing::info!("the certificate authority has changed: it signs in {seconds} seconds");
        self.coming = Some((now + GRACE, found));
        self.publish();
        Ok(())
    }

    /// Does what is due.
    ///
    /// # Errors
    /// If no certificate can be made; the one that is there stays.
    pub fn advance(&mut self, wall: SystemTime, now: Instant) -> Result<(), String> {
        if self.past.take_if(|(until, _)| *until <= now).is_some() {
            self.publish();
        }
        if let Some((_, found)) = self.coming.take_if(|(at, _)| *at <= now) {
            return self.switch(found, wall, now);
        }
        if wall < self.renew_at {
            return Ok(());
        }
        let (config, renew_at) = issue(&self.present.authority, &self.settings, wall)?;
        tracing::info!("renewed the server's certificate");
        self.tls.send_replace(config);
        self.renew_at = renew_at;
        Ok(())
    }

    fn switch(&mut self, found: Found, wall: SystemTime, now: Instant) -> Result<(), String> {
        let (config, renew_at) = issue(&found.authority, &self.settings, wall)?;
        tracing::info!(secret = found.from, "the certificate authority signs");
        let before = std::mem::replace(&mut self.present, found);
        self.past = Some((now + GRACE, before.authority.roots().to_owned()));
        self.coming = None;
        self.renew_at = renew_at;
        self.publish();
        self.ends.send_replace(self.present.authority.not_after());
        self.tls.send_replace(config);
        Ok(())
    }

    /// All roots that are to be trusted, each once.
    fn publish(&self) {
        let coming = self.coming.as_ref().map(|(_, found)| found.authority.roots());
        let past = self.past.as_ref().map(|(_, roots)| roots.as_str());
        let mut all = vec![self.present.authority.roots()];
        for more in coming.into_iter().chain(past) {
            if !all.contains(&more) {
                all.push(more);
            }
        }
        let all = all.concat();
        self.roots.send_if_modified(|held| {
            let changes = **held != *all;
            *held = Arc::from(all);
            changes
        });
    }
}

/// The TLS configuration with a fresh certificate, and when to make the next one.
fn issue(
    authority: &Authority,
    settings: &Settings,
    now: SystemTime,
) -> Result<(Arc<ServerConfig>, SystemTime), String> {
    if authority.not_after() <= now {
        return Err("the authority's certificate has expired: replace it".to_owned());
    }
    let names: Vec<&str> = settings.names.iter().map(String::as_str).collect();
    let issued = authority.issue_server(&names, now, LASTS).map_err(|error| error.to_string())?;
    let config = server_config(issued, ALPN).map_err(|error| error.to_string())?;
    Ok((config, now + LASTS / 2))
}
