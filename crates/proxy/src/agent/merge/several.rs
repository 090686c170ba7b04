//! An application with metrics in several places. In: the places. Out: their pages one after another behind the proxy's
//! own, as text: pages of different formats cannot be joined, and this is the one that every library writes. A page that
//! is not there in time, is too long or breaks off is left out and counted.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use futures::{StreamExt, stream};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::{BodyDataStream, BodyExt, Limited, StreamBody};
use hyper::body::Frame;
use lateen_telemetry::exposition::{Exposition, Format};

use super::super::paced::Paced;
use super::super::server::{Error, Reply};
use super::super::{State, status};
use super::{Target, failed, get, within};

/// Of one page, as in Istio.
const LONGEST: usize = 10 << 20;
const END: &[u8] = b"# EOF";

pub async fn answer(state: &State, targets: &[Target], asked: &HeaderMap) -> Reply {
    let mut asked = asked.clone();
    let text = HeaderValue::from_static(Format::Text.content_type());
    asked.insert(ACCEPT, text.clone());
    let within = within(&asked);
    let pages = join_all(targets.iter().map(|target| page(state, target, &asked, within))).await;
    let mut out = Exposition::new(Format::Text);
    status::own(state, &mut out);
    let own = BodyDataStream::new(Paced::new(state.view.metrics(out, true)));
    let own = own.map(|chunk| chunk.map(Frame::data));
    let theirs = pages.into_iter().flatten().map(|page| Ok(Frame::data(page)));
    let mut reply = Response::new(StreamBody::new(own.chain(stream::iter(theirs))).boxed_unsync());
    reply.headers_mut().insert(CONTENT_TYPE, text);
    reply
}

async fn page(state: &State, target: &Target, asked: &HeaderMap, time: Duration) -> Option<Bytes> {
    let read = tokio::time::timeout(time, read(state, target, asked)).await;
    match read.map_err(|_| "no answer in time".into()).flatten() {
        Ok(page) => Some(page),
        Err(reason) => {
            failed(state, target, &reason);
            None
        }
    }
}

async fn read(state: &State, target: &Target, asked: &HeaderMap) -> Result<Bytes, Error> {
    let _turn = state.turns.acquire().await?;
    let (format, response) = get(state, target, asked).await?;
    if format == Format::Protobuf {
        return Err("it answered in protobuf where text was asked for".into());
    }
    let body = Limited::new(response.into_body(), LONGEST).collect().await?;
    Ok(whole_lines(&body.to_bytes()))
}

/// The page with an end of line at its end, and without the mark by which OpenMetrics ends.
fn whole_lines(page: &[u8]) -> Bytes {
    let mut lines = Vec::with_capacity(page.len() + 1);
    for line in page.split_inclusive(|byte| *byte == b'\n') {
        if line.trim_ascii_end() != END {
            lines.extend_from_slice(line);
        }
    }
    if lines.last().is_some_and(|last| *last != b'\n') {
        lines.push(b'\n');
    }
    lines.into()
}

#[cfg(test)]
mod tests {
    use super::whole_lines;

    #[test]
    fn pages_can_follow_one_another() {
        assert_eq!(whole_lines(b"a 1\nb 2\n# EOF\n"), "a 1\nb 2\n");
        assert_eq!(whole_lines(b"a 1\n# EOF"), "a 1\n");
        assert_eq!(whole_lines(b"a 1"), "a 1\n");
        assert_eq!(whole_lines(b""), "");
    }
}
