//! Questions and answers as bytes: pure.
//!
//! In: a query's bytes and what is known of its name. Out: the answer's bytes. Whatever is not one
//! well-formed question is not answered at all. What the mesh says is authoritative, and a negative
//! answer carries an SOA record, so that it is kept for as long as it may be (RFC 2308).

use std::net::IpAddr;

use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::{LARGEST_UDP, Limit, TTL, Zone};

/// RFC 1035, 4.2.1: without EDNS a UDP answer has at most this many bytes.
const PLAIN_UDP: u16 = 512;

/// One question, decoded.
pub(super) struct Question {
    message: Message,
    query: Query,
}

/// What is known of the name that was asked for, or of the last one that it stands for.
pub(super) enum End {
    Addresses(Vec<IpAddr>),
    /// A name without records of its own, above others.
    Empty,
    NoSuchName,
    /// Somebody else's answer.
    Elsewhere(Box<Message>),
    /// Nothing can be said.
    Failure,
    /// Nothing more was asked for than the chain of names.
    Chain,
}

impl End {
    /// A name of the cluster domain that the mesh does not have.
    pub(super) fn absent(name: &str, zone: &Zone) -> End {
        if zone.has_names_below(name) { End::Empty } else { End::NoSuchName }
    }
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
    /// The name to look up in the mesh, if the mesh can answer: a question for addresses, or any
    /// question about the cluster domain, which nobody else knows.
    pub(super) fn mesh_name(&self, zone: &Zone) -> Option<String> {
        let asks_for_addresses = matches!(
            self.query.query_type(),
            RecordType::A
                | RecordType::AAAA
                | RecordType::ANY
                | RecordType::CNAME
                | RecordType::HTTPS
                | RecordType::SVCB
        );
        let name = self.query.name().to_ascii().to_ascii_lowercase();
        let name = name.trim_end_matches('.');
        let ours = (asks_for_addresses && !name.is_empty()) || zone.contains(name);
        (ours && self.query.query_class() == DNSClass::IN).then(|| name.to_owned())
    }

    /// Whether the name that another stands for is the whole answer.
    pub(super) fn asks_for_alias(&self) -> bool {
        matches!(self.query.query_type(), RecordType::CNAME | RecordType::ANY)
    }

    /// The same question about another name, for another resolver; `None` if that is no name.
    pub(super) fn about(&self, name: &str) -> Option<Vec<u8>> {
        let mut query = Message::query();
        query.metadata.recursion_desired = true;
        query.add_query(Query::query(absolute(name).ok()?, self.query.query_type()));
        query.to_vec().ok()
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

/// The answer: the chain of names, if the one asked for stands for others, and what the last one means.
pub(super) fn mesh(
    question: &Question,
    chain: &[String],
    end: &End,
    zone: &Zone,
    limit: Limit,
) -> Vec<u8> {
    let reply = build(question, chain, end, zone).unwrap_or_else(|error| {
        tracing::debug!(%error, name = %question.query.name(), "a name of the mesh is no DNS name");
        question.reply(ResponseCode::ServFail)
    });
    fit(question, encode(&reply), limit)
}

fn build(
    question: &Question,
    chain: &[String],
    end: &End,
    zone: &Zone,
) -> Result<Message, ProtoError> {
    if matches!(end, End::Failure) {
        return Ok(question.reply(ResponseCode::ServFail));
    }
    let mut reply = question.reply(ResponseCode::NoError);
    reply.metadata.authoritative = true;
    let mut owner = question.query.name().clone();
    for target in chain {
        let target = absolute(target)?;
        reply.add_answer(Record::from_rdata(owner, TTL, RData::CNAME(CNAME(target.clone()))));
        owner = target;
    }
    match end {
        End::Addresses(addresses) => {
            let asked = question.query.query_type();
            let found = addresses.iter().filter_map(|address| record_data(asked, *address));
            let records: Vec<Record> =
                found.map(|data| Record::from_rdata(owner.clone(), TTL, data)).collect();
            // None of the family that was asked for is no data, not a missing name.
            if records.is_empty() {
                reply.authorities.push(zone.authority(&owner)?);
            }
            reply.answers.extend(records);
        }
        End::Empty => reply.authorities.push(zone.authority(&owner)?),
        End::NoSuchName => {
            reply.metadata.response_code = ResponseCode::NXDomain;
            reply.authorities.push(zone.authority(&owner)?);
        }
        End::Elsewhere(answered) => {
            reply.metadata.response_code = answered.metadata.response_code;
            reply.answers.extend(answered.answers.iter().cloned());
            reply.authorities.extend(answered.authorities.iter().cloned());
        }
        End::Failure | End::Chain => {}
    }
    Ok(reply)
}

/// Somebody else's answer, decoded.
pub(super) fn received(bytes: &[u8]) -> Option<End> {
    Some(End::Elsewhere(Box::new(Message::from_vec(bytes).ok()?)))
}

fn absolute(name: &str) -> Result<Name, ProtoError> {
    Name::from_ascii(format!("{name}."))
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
    reply.to_vec().expect("invariant: a reply is made of names and records that were decoded")
}
