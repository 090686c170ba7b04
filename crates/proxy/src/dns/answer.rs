//! Questions and answers as bytes: pure.
//!
//! In: a query's bytes and what is known of its name. Out: the answer's bytes. Whatever is not one
//! well-formed question is not answered at all.

use std::net::IpAddr;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};

use super::{LARGEST_UDP, Limit, TTL};

/// RFC 1035, 4.2.1: without EDNS a UDP answer has at most this many bytes.
const PLAIN_UDP: u16 = 512;

/// One question, decoded.
pub(super) struct Question {
    message: Message,
    query: Query,
}

/// `None` for garbage, answers, and messages with anything but one question of a standard query.
pub(super) fn parse(bytes: &[u8]) -> Option<Question> {
    let message = Message::from_vec(bytes).ok()?;
    let [query] = message.queries.as_slice() else { return None };
    let standard = message.metadata.message_type == MessageType::Query
        && message.metadata.op_code == OpCode::Query;
    let query = query.clone();
    standard.then_some(Question { message, query })
}

impl Question {
    /// The name to look up in the mesh, if the question is of a kind that the mesh can answer.
    pub(super) fn mesh_name(&self) -> Option<String> {
        let asks_for_addresses = matches!(
            self.query.query_type(),
            RecordType::A
                | RecordType::AAAA
                | RecordType::ANY
                | RecordType::HTTPS
                | RecordType::SVCB
        );
        if !asks_for_addresses || self.query.query_class() != DNSClass::IN {
            return None;
        }
        let name = self.query.name().to_ascii().to_ascii_lowercase();
        let name = name.trim_end_matches('.');
        (!name.is_empty()).then(|| name.to_owned())
    }

    fn reply(&self, code: ResponseCode) -> Message {
        let asked = &self.message.metadata;
        let mut reply = Message::response(asked.id, OpCode::Query);
        reply.metadata.recursion_desired = asked.recursion_desired;
        reply.metadata.recursion_available = true;
        reply.metadata.response_code = code;
        reply.add_query(self.query.clone());
        if self.message.edns.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(LARGEST_UDP);
            reply.set_edns(edns);
        }
        reply
    }

    fn largest(&self, limit: Limit) -> usize {
        let bytes = match limit {
            Limit::Tcp => u16::MAX,
            Limit::Udp => {
                let offered = self.message.edns.as_ref().map_or(PLAIN_UDP, Edns::max_payload);
                offered.clamp(PLAIN_UDP, LARGEST_UDP)
            }
        };
        usize::from(bytes)
    }
}

/// The addresses of the family that was asked for; none of that family is an empty answer (RFC 2308,
/// "NODATA"), not a missing name.
pub(super) fn mesh(question: &Question, addresses: &[IpAddr], limit: Limit) -> Vec<u8> {
    let mut reply = question.reply(ResponseCode::NoError);
    reply.metadata.authoritative = true;
    for address in addresses {
        if let Some(data) = record_data(question.query.query_type(), *address) {
            reply.add_answer(Record::from_rdata(question.query.name().clone(), TTL, data));
        }
    }
    fit(question, encode(&reply), limit)
}

fn record_data(asked: RecordType, address: IpAddr) -> Option<RData> {
    match (asked, address) {
        (RecordType::A | RecordType::ANY, IpAddr::V4(address)) => Some(RData::A(A(address))),
        (RecordType::AAAA | RecordType::ANY, IpAddr::V6(address)) => {
            Some(RData::AAAA(AAAA(address)))
        }
        _ => None,
    }
}

/// When no resolver of the host answers.
pub(super) fn server_failure(question: &Question) -> Vec<u8> {
    encode(&question.reply(ResponseCode::ServFail))
}

/// `answer`, or, if it is too long, an empty one that sends the asker to TCP.
pub(super) fn fit(question: &Question, answer: Vec<u8>, limit: Limit) -> Vec<u8> {
    if answer.len() <= question.largest(limit) {
        return answer;
    }
    let mut reply = question.reply(ResponseCode::NoError);
    reply.metadata.truncation = true;
    encode(&reply)
}

fn encode(reply: &Message) -> Vec<u8> {
    reply.to_vec().expect("a reply of a decoded name and addresses can be encoded")
}
