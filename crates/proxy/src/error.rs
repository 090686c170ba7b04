//! Why a connection failed, as a value. In: what went wrong. Out: Envoy's response flags, by an
//! exhaustive match, and words for people.

use std::borrow::Cow;
use std::io;

use lateen_telemetry::Flag;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    NoFilterChain,
    NoCluster,
    NoHealthyEndpoint,
    ConnectFailed,
    ConnectTimeout,
    Overflow,
    IdleTimeout,
    MaxDuration,
    UpstreamReset,
    DownstreamReset,
}

/// Who is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    Downstream,
    Proxy,
    Upstream,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct DataError {
    pub kind: Kind,
    pub side: Side,
    /// Another endpoint may succeed.
    pub retryable: bool,
    pub cause: Cow<'static, str>,
}

impl Kind {
    pub fn flags(self) -> &'static [Flag] {
        match self {
            Self::NoFilterChain => &[Flag::NoRouteFound],
            Self::NoCluster => &[Flag::NoClusterFound],
            Self::NoHealthyEndpoint => &[Flag::NoHealthyUpstream],
            Self::ConnectFailed | Self::ConnectTimeout => {
                &[Flag::UpstreamConnectionFailure, Flag::UpstreamRetryLimitExceeded]
            }
            Self::Overflow => &[Flag::UpstreamOverflow],
            Self::IdleTimeout => &[Flag::StreamIdleTimeout],
            Self::MaxDuration => &[Flag::DurationTimeout],
            Self::UpstreamReset => &[Flag::UpstreamReset],
            Self::DownstreamReset => &[Flag::DownstreamTermination],
        }
    }

    fn side(self) -> Side {
        match self {
            Self::NoFilterChain
            | Self::NoCluster
            | Self::Overflow
            | Self::IdleTimeout
            | Self::MaxDuration => Side::Proxy,
            Self::NoHealthyEndpoint
            | Self::ConnectFailed
            | Self::ConnectTimeout
            | Self::UpstreamReset => Side::Upstream,
            Self::DownstreamReset => Side::Downstream,
        }
    }
}

impl DataError {
    pub fn new(kind: Kind, cause: impl Into<Cow<'static, str>>) -> Self {
        let retryable = matches!(kind, Kind::ConnectFailed | Kind::ConnectTimeout);
        Self { kind, side: kind.side(), retryable, cause: cause.into() }
    }

    /// With the operating system's words.
    pub fn io(kind: Kind, error: &io::Error) -> Self {
        Self::new(kind, words(error))
    }

    /// True if it kept the upstream connection from being made.
    pub fn is_connect_failure(&self) -> bool {
        matches!(self.kind, Kind::ConnectFailed | Kind::ConnectTimeout)
    }
}

/// `connection refused`, without the number that std adds.
pub fn words(error: &io::Error) -> Cow<'static, str> {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Cow::Borrowed("connection refused"),
        io::ErrorKind::ConnectionReset => Cow::Borrowed("connection reset"),
        io::ErrorKind::BrokenPipe => Cow::Borrowed("connection closed by the peer"),
        _ => Cow::Owned(error.to_string().to_lowercase()),
    }
}
