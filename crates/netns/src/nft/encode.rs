//! A [`Ruleset`] as an nf_tables batch.
//!
//! Each condition becomes a load into register 1 and a comparison; the action becomes an immediate
//! verdict, a redirect or a masquerade, as the kernel's `nf_tables.h` numbers them.

use ipnet::IpNet;

use super::wire::{Head, Writer};
use crate::rules::{Action, Base, Chain, Match, Op, Protocol, Rule, Ruleset};

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const FAMILY_INET: u8 = 1;

const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;

const REQUEST: u16 = 0x1;
const ACKNOWLEDGE: u16 = 0x4;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;

const REGISTER_VERDICT: u32 = 0;
const REGISTER_1: u32 = 1;

const BASE_NETWORK: u32 = 1;
const BASE_TRANSPORT: u32 = 2;

const META_MARK: u32 = 3;
const META_IN_NAME: u32 = 6;
const META_OUT_NAME: u32 = 7;
const META_UID: u32 = 10;
const META_GID: u32 = 11;
const META_NFPROTO: u32 = 15;
const META_L4PROTO: u32 = 16;

const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;
const NFPROTO_ANY: u32 = 0;
const CT_STATE: u32 = 0;
const CT_DIRECTION: u32 = 1;
const CT_MARK: u32 = 3;
const CT_ZONE: u32 = 17;
/// `NF_CT_STATE_INVALID_BIT`, and `NF_CT_STATE_BIT` of established and related.
const STATE_INVALID: u32 = 1;
const STATE_ESTABLISHED_RELATED: u32 = 2 | 4;
/// `IP_CT_DIR_REPLY`.
const DIRECTION_REPLY: u8 = 1;
const INTERFACE_NAME: usize = 16;

/// A finished transaction and what each of its messages was about.
pub(super) struct Batch {
    writer: Writer,
    subjects: Vec<String>,
}

impl Batch {
    pub(super) fn bytes(&self) -> &[u8] {
        self.writer.bytes()
    }

    /// How many messages the kernel acknowledges.
    pub(super) fn acknowledged(&self) -> usize {
        self.subjects.len()
    }

    pub(super) fn describe(&self, sequence: u32) -> String {
        // Sequence 0 is the batch's begin.
        let subject = (sequence as usize).checked_sub(1).and_then(|index| self.subjects.get(index));
        subject.cloned().unwrap_or_else(|| "the transaction".into())
    }

    fn build(fill: impl FnOnce(&mut Batch)) -> Batch {
        let mut batch = Batch { writer: Writer::default(), subjects: Vec::new() };
        batch.frame(BATCH_BEGIN, 0);
        fill(&mut batch);
        let end = u32::try_from(batch.subjects.len() + 1).expect("a ruleset is small");
        batch.frame(BATCH_END, end);
        batch
    }

    fn frame(&mut self, kind: u16, sequence: u32) {
        let head = Head { kind, flags: REQUEST, sequence, family: 0, resource: SUBSYSTEM };
        self.writer.message(head, |_| ());
    }

    fn push(&mut self, kind: u16, flags: u16, subject: String, body: impl FnOnce(&mut Writer)) {
        self.subjects.push(subject);
        let sequence = u32::try_from(self.subjects.len()).expect("a ruleset is small");
        let head = Head {
            kind: SUBSYSTEM << 8 | kind,
            flags: REQUEST | ACKNOWLEDGE | flags,
            sequence,
            family: FAMILY_INET,
            resource: 0,
        };
        self.writer.message(head, body);
    }

    fn table(&mut self, kind: u16, name: &str) {
        let flags = if kind == NEW_TABLE { CREATE } else { 0 };
        self.push(kind, flags, "the table".into(), |writer| {
            writer.text(1, name);
        });
    }
}

/// Creates the table first, so that deleting it cannot fail, and then builds it anew.
pub(super) fn replace(ruleset: &Ruleset) -> Batch {
    Batch::build(|batch| {
        batch.table(NEW_TABLE, &ruleset.table);
        batch.table(DELETE_TABLE, &ruleset.table);
        batch.table(NEW_TABLE, &ruleset.table);
        for chain in &ruleset.chains {
            new_chain(batch, &ruleset.table, chain);
        }
        for chain in &ruleset.chains {
            for rule in &chain.rules {
                new_rule(batch, &ruleset.table, &chain.name, rule);
            }
        }
    })
}

/// Creates the table first, so that deleting it cannot fail.
pub(super) fn remove(table: &str) -> Batch {
    Batch::build(|batch| {
        batch.table(NEW_TABLE, table);
        batch.table(DELETE_TABLE, table);
    })
}

fn new_chain(batch: &mut Batch, table: &str, chain: &Chain) {
    batch.push(NEW_CHAIN, CREATE, format!("chain {}", chain.name), |writer| {
        writer.text(1, table);
        writer.text(3, &chain.name);
        let Some(base) = chain.base else { return };
        let (kind, hook, priority) = hook(base);
        writer.nested(4, |writer| {
            writer.number(1, hook);
            writer.attribute(2, &priority.to_be_bytes());
        });
        writer.text(7, kind);
    });
}

fn hook(base: Base) -> (&'static str, u32, i32) {
    match base {
        Base::NatPrerouting => ("nat", 0, -100),
        Base::FilterForward => ("filter", 2, 0),
        Base::NatOutput => ("nat", 3, -100),
        Base::NatPostrouting => ("nat", 4, 100),
        Base::RawPrerouting => ("filter", 0, -300),
        Base::RawOutput => ("filter", 3, -300),
        Base::ManglePrerouting => ("filter", 0, -150),
        Base::MangleOutput => ("route", 3, -150),
    }
}

fn new_rule(batch: &mut Batch, table: &str, chain: &str, rule: &Rule) {
    batch.push(NEW_RULE, CREATE | APPEND, format!("rule \"{rule}\" of chain {chain}"), |writer| {
        writer.text(1, table);
        writer.text(2, chain);
        writer.nested(4, |list| {
            for condition in &rule.matches {
                encode_match(list, condition);
            }
            if rule.counter {
                expression(list, "counter", |_| ());
            }
            encode_action(list, &rule.action);
        });
    });
}

fn encode_match(list: &mut Writer, condition: &Match) {
    match condition {
        Match::InInterface(op, name) => {
            meta(list, META_IN_NAME);
            compare(list, *op, &interface(name));
        }
        Match::OutInterface(op, name) => {
            meta(list, META_OUT_NAME);
            compare(list, *op, &interface(name));
        }
        Match::OutInterfacePrefix(op, name) => {
            meta(list, META_OUT_NAME);
            // Without the zeros that fill the register up, only so many bytes are compared.
            compare(list, *op, name.as_bytes());
        }
        Match::Protocol(protocol) => {
            meta(list, META_L4PROTO);
            compare(
                list,
                Op::Is,
                &[match protocol {
                    Protocol::Tcp => 6,
                    Protocol::Udp => 17,
                }],
            );
        }
        Match::SourcePort(op, port) => {
            payload(list, BASE_TRANSPORT, 0, 2);
            compare(list, *op, &port.to_be_bytes());
        }
        Match::DestinationPort(op, port) => {
            payload(list, BASE_TRANSPORT, 2, 2);
            compare(list, *op, &port.to_be_bytes());
        }
        Match::Source(op, net) => address(list, *op, net, End::Source),
        Match::Destination(op, net) => address(list, *op, net, End::Destination),
        Match::Mark(op, mark) => meta_number(list, META_MARK, *op, *mark),
        Match::ConnectionMark(op, mark) => {
            conntrack(list, CT_MARK);
            compare(list, *op, &mark.to_ne_bytes());
        }
        Match::Uid(op, uid) => meta_number(list, META_UID, *op, *uid),
        Match::Gid(op, gid) => meta_number(list, META_GID, *op, *gid),
        Match::Established => state(list, STATE_ESTABLISHED_RELATED),
        Match::Reply => {
            conntrack(list, CT_DIRECTION);
            compare(list, Op::Is, &[DIRECTION_REPLY]);
        }
        Match::Invalid => state(list, STATE_INVALID),
    }
}

enum End {
    Source,
    Destination,
}

/// Asks for the family first: the same offset holds something else in a packet of the other one.
fn address(list: &mut Writer, op: Op, net: &IpNet, end: End) {
    let (family, octets, mask, offset) = match net {
        IpNet::V4(net) => {
            let offset = if matches!(end, End::Source) { 12 } else { 16 };
            (NFPROTO_IPV4, net.network().octets().to_vec(), net.netmask().octets().to_vec(), offset)
        }
        IpNet::V6(net) => {
            let offset = if matches!(end, End::Source) { 8 } else { 24 };
            (NFPROTO_IPV6, net.network().octets().to_vec(), net.netmask().octets().to_vec(), offset)
        }
    };
    meta(list, META_NFPROTO);
    compare(list, Op::Is, &[family]);
    let length = u32::try_from(octets.len()).expect("an address has 4 or 16 octets");
    payload(list, BASE_NETWORK, offset, length);
    if net.prefix_len() < net.max_prefix_len() {
        mask_register(list, &mask);
    }
    compare(list, op, &octets);
}

/// The state is a set of bits: one of `wanted` is "not none of these".
fn state(list: &mut Writer, wanted: u32) {
    conntrack(list, CT_STATE);
    mask_register(list, &wanted.to_ne_bytes());
    compare(list, Op::Not, &[0; 4]);
}

fn encode_action(list: &mut Writer, action: &Action) {
    match action {
        Action::Accept => verdict(list, 1, None),
        Action::Drop => verdict(list, 0, None),
        Action::Return => verdict(list, -5, None),
        Action::Jump(chain) => verdict(list, -3, Some(chain)),
        Action::Goto(chain) => verdict(list, -4, Some(chain)),
        Action::Masquerade => expression(list, "masq", |_| ()),
        Action::Zone(zone) => {
            load(list, &zone.to_ne_bytes());
            set_conntrack(list, CT_ZONE);
        }
        Action::SetMark(mark) => set_mark(list, *mark),
        Action::SaveMark => {
            meta(list, META_MARK);
            set_conntrack(list, CT_MARK);
        }
        Action::RestoreMark => {
            conntrack(list, CT_MARK);
            set_meta(list, META_MARK);
        }
        Action::Tproxy { port, mark } => {
            load(list, &port.to_be_bytes());
            expression(list, "tproxy", |data| {
                data.number(1, NFPROTO_ANY);
                data.number(3, REGISTER_1);
            });
            set_mark(list, *mark);
            verdict(list, 1, None);
        }
        Action::Redirect(port) => {
            load(list, &port.to_be_bytes());
            // NF_NAT_RANGE_PROTO_SPECIFIED: the register holds a port.
            expression(list, "redir", |data| {
                data.number(1, REGISTER_1);
                data.number(3, 2);
            });
        }
    }
}

fn load(list: &mut Writer, value: &[u8]) {
    expression(list, "immediate", |data| {
        data.number(1, REGISTER_1);
        data.nested(2, |inner| inner.attribute(1, value));
    });
}

fn verdict(list: &mut Writer, code: i32, chain: Option<&str>) {
    expression(list, "immediate", |data| {
        data.number(1, REGISTER_VERDICT);
        data.nested(2, |value| {
            value.nested(2, |verdict| {
                verdict.attribute(1, &code.to_be_bytes());
                if let Some(chain) = chain {
                    verdict.text(2, chain);
                }
            });
        });
    });
}

fn meta(list: &mut Writer, key: u32) {
    expression(list, "meta", |data| {
        data.number(1, REGISTER_1);
        data.number(2, key);
    });
}

/// NFTA_META_SREG: the register is read, not written.
fn set_meta(list: &mut Writer, key: u32) {
    expression(list, "meta", |data| {
        data.number(2, key);
        data.number(3, REGISTER_1);
    });
}

fn set_mark(list: &mut Writer, mark: u32) {
    load(list, &mark.to_ne_bytes());
    set_meta(list, META_MARK);
}

fn conntrack(list: &mut Writer, key: u32) {
    expression(list, "ct", |data| {
        data.number(1, REGISTER_1);
        data.number(2, key);
    });
}

/// NFTA_CT_SREG: the register is read, not written.
fn set_conntrack(list: &mut Writer, key: u32) {
    expression(list, "ct", |data| {
        data.number(2, key);
        data.number(4, REGISTER_1);
    });
}

/// Marks and ids lie in the register in host order.
fn meta_number(list: &mut Writer, key: u32, op: Op, value: u32) {
    meta(list, key);
    compare(list, op, &value.to_ne_bytes());
}

fn payload(list: &mut Writer, base: u32, offset: u32, length: u32) {
    expression(list, "payload", |data| {
        data.number(1, REGISTER_1);
        data.number(2, base);
        data.number(3, offset);
        data.number(4, length);
    });
}

fn mask_register(list: &mut Writer, mask: &[u8]) {
    expression(list, "bitwise", |data| {
        data.number(1, REGISTER_1);
        data.number(2, REGISTER_1);
        data.number(3, u32::try_from(mask.len()).expect("a mask has at most 16 octets"));
        data.nested(4, |value| value.attribute(1, mask));
        data.nested(5, |value| value.attribute(1, &vec![0; mask.len()]));
    });
}

fn compare(list: &mut Writer, op: Op, value: &[u8]) {
    let code = match op {
        Op::Is => 0,
        Op::Not => 1,
    };
    expression(list, "cmp", |data| {
        data.number(1, REGISTER_1);
        data.number(2, code);
        data.nested(3, |inner| inner.attribute(1, value));
    });
}

fn expression(list: &mut Writer, name: &str, data: impl FnOnce(&mut Writer)) {
    list.nested(1, |element| {
        element.text(1, name);
        element.nested(2, data);
    });
}

/// The kernel compares whole, zero-filled names.
fn interface(name: &str) -> [u8; INTERFACE_NAME] {
    let mut field = [0; INTERFACE_NAME];
    let length = name.len().min(INTERFACE_NAME - 1);
    field[..length].copy_from_slice(&name.as_bytes()[..length]);
    field
}
