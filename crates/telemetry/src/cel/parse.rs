//! Tokens -> a tree of operations, by CEL's grammar. What could only fail when it is evaluated, such as an
//! unknown function, is refused here.

use regex::{Regex, RegexBuilder};

use super::lex::Token;
use super::value::Value;
use super::{CelError, ENVOYS, GROUPS, LOGGED, PEER};

/// Levels of nesting.
const DEEPEST: usize = 48;
/// Bytes of a compiled regular expression.
const PATTERN: usize = 256 << 10;
/// CEL's own functions that are not here: comprehensions, and what is of times, bytes and types.
const LACKING: [&str; 19] = [
    "all",
    "bytes",
    "dyn",
    "exists",
    "exists_one",
    "filter",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "map",
    "timestamp",
    "type",
];

/// A whole expression.
pub struct Parsed {
    pub root: Node,
    /// Names in it that are no attributes.
    pub strange: Vec<String>,
    /// Those of attributes that access logs alone have.
    pub logged: Vec<String>,
}

/// One operation.
#[derive(Clone)]
pub enum Node {
    Literal(Value),
    /// `GROUP.NAME`.
    Attribute(String, String),
    Member(Box<Node>, Box<Node>),
    /// Whether a member is there.
    Has(Box<Node>),
    Not(Box<Node>),
    Negative(Box<Node>),
    Both(Box<Node>, Box<Node>),
    Either(Box<Node>, Box<Node>),
    Choice(Box<Node>, Box<Node>, Box<Node>),
    Binary(Binary, Box<Node>, Box<Node>),
    Matches(Box<Node>, Regex),
    Call(Function, Box<Node>, Option<Box<Node>>),
    List(Vec<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Size,
    Text,
    Int,
    Uint,
    Double,
    Bool,
    Duration,
    Contains,
    StartsWith,
    EndsWith,
}

/// Parses a whole expression.
pub fn parse(tokens: Vec<Token>) -> Result<Parsed, CelError> {
    if tokens.is_empty() {
        return Err(CelError::Empty);
    }
    let tokens = tokens.into_iter().peekable();
    let (strange, logged, asked) = Default::default();
    let mut parser = Parser { tokens, depth: 0, strange, logged, asked };
    let root = parser.expression()?;
    let Parser { mut tokens, mut strange, mut logged, asked, .. } = parser;
    strange.retain(|name| !(is_envoys(name) && asked.contains(name)));
    logged.retain(|name| !asked.contains(name));
    match tokens.next() {
        None => Ok(Parsed { root, strange, logged }),
        Some(token) => Err(unexpected(&token)),
    }
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    depth: usize,
    strange: Vec<String>,
    logged: Vec<String>,
    /// Attributes of which it is asked whether they are there.
    asked: Vec<String>,
}

fn is_in(table: &[(&str, &[&str])], group: &str, name: &str) -> bool {
    table.iter().any(|(of, names)| *of == group && names.contains(&name))
}

fn is_known(group: &str, name: &str) -> bool {
    is_in(&GROUPS, group, name)
}

fn is_envoys(name: &str) -> bool {
    let (group, name) = name.split_once('.').unwrap_or_default();
    is_in(&ENVOYS, group, name)
}

impl Node {
    /// The attribute that it is, or is a member of.
    fn attribute(&self) -> Option<String> {
        match self {
            Self::Attribute(group, name) => Some(format!("{group}.{name}")),
            Self::Member(of, _) => of.attribute(),
            _ => None,
        }
    }

    /// Whether a value of its type can be true.
    pub fn may_be_true(&self) -> bool {
        match self {
            Self::Literal(value) => *value == Value::Bool(true),
            // Of those that are known one is a condition; a member may be one, but for those of peers.
            Self::Attribute(group, name) => !is_known(group, name) || name == "mtls",
            Self::Member(of, _) => of.peer().is_none(),
            Self::Has(_) | Self::Not(_) | Self::Matches(..) => true,
            Self::Both(a, b) => a.may_be_true() && b.may_be_true(),
            Self::Either(a, b) => a.may_be_true() || b.may_be_true(),
            Self::Choice(_, a, b) => a.may_be_true() || b.may_be_true(),
            Self::Binary(binary, ..) => binary.compares(),
            Self::Call(function, ..) => function.tells(),
            Self::Negative(_) | Self::List(_) => false,
        }
    }

    /// A peer in the filter state.
    fn peer(&self) -> Option<String> {
        match self {
            Self::Attribute(group, name) if group == "filter_state" && is_known(group, name) => {
                Some(format!("{group}.{name}"))
            }
            _ => None,
        }
    }

    /// Whether an attribute is named in it.
    pub fn names(&self, group: &str, name: &str) -> bool {
        let names = |node: &Self| node.names(group, name);
        match self {
            Self::Literal(_) => false,
            Self::Attribute(own, attribute) => own == group && attribute == name,
            Self::Has(a) | Self::Not(a) | Self::Negative(a) | Self::Matches(a, _) => names(a),
            Self::Member(a, b) | Self::Both(a, b) | Self::Either(a, b) | Self::Binary(_, a, b) => {
                names(a) || names(b)
            }
            Self::Choice(a, b, c) => names(a) || names(b) || names(c),
            Self::Call(_, a, b) => names(a) || b.as_ref().is_some_and(|b| names(b)),
            Self::List(all) => all.iter().any(names),
        }
    }
}

impl Binary {
    /// Whether its value is true or false.
    fn compares(self) -> bool {
        match self {
            Self::Equal | Self::Unequal | Self::Less | Self::AtMost => true,
            Self::More | Self::AtLeast | Self::In => true,
            Self::Add | Self::Subtract | Self::Multiply | Self::Divide | Self::Remainder => false,
        }
    }
}

impl Function {
    /// Whether its value is true or false.
    fn tells(self) -> bool {
        matches!(self, Self::Bool | Self::Contains | Self::StartsWith | Self::EndsWith)
    }
}

impl Parser {
    fn expression(&mut self) -> Result<Node, CelError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(CelError::TooDeep);
        }
        let condition = self.either()?;
        let node = match self.take("?") {
            false => condition,
            true => {
                let yes = self.either()?;
                self.expect(":")?;
                let no = self.expression()?;
                Node::Choice(condition.into(), yes.into(), no.into())
            }
        };
        self.depth -= 1;
        Ok(node)
    }

    fn either(&mut self) -> Result<Node, CelError> {
        let mut node = self.both()?;
        while self.take("||") {
            node = Node::Either(node.into(), self.both()?.into());
        }
        Ok(node)
    }

    fn both(&mut self) -> Result<Node, CelError> {
        let mut node = self.relation()?;
        while self.take("&&") {
            node = Node::Both(node.into(), self.relation()?.into());
        }
        Ok(node)
    }

    fn relation(&mut self) -> Result<Node, CelError> {
        let mut node = self.sum()?;
        while let Some(binary) = self.take_relation() {
            node = Node::Binary(binary, node.into(), self.sum()?.into());
        }
        Ok(node)
    }

    fn take_relation(&mut self) -> Option<Binary> {
        let binary = match self.tokens.peek()? {
            Token::Sign("==") => Binary::Equal,
            Token::Sign("!=") => Binary::Unequal,
            Token::Sign("<") => Binary::Less,
            Token::Sign("<=") => Binary::AtMost,
            Token::Sign(">") => Binary::More,
            Token::Sign(">=") => Binary::AtLeast,
            Token::Name(name) if name == "in" => Binary::In,
            _ => return None,
        };
        self.tokens.next();
        Some(binary)
    }

    fn sum(&mut self) -> Result<Node, CelError> {
        let mut node = self.product()?;
        loop {
            let binary = match self.tokens.peek() {
                Some(Token::Sign("+")) => Binary::Add,
                Some(Token::Sign("-")) => Binary::Subtract,
                _ => return Ok(node),
            };
            self.tokens.next();
            node = Node::Binary(binary, node.into(), self.product()?.into());
        }
    }

    fn product(&mut self) -> Result<Node, CelError> {
        let mut node = self.unary()?;
        loop {
            let binary = match self.tokens.peek() {
                Some(Token::Sign("*")) => Binary::Multiply,
                Some(Token::Sign("/")) => Binary::Divide,
                Some(Token::Sign("%")) => Binary::Remainder,
                _ => return Ok(node),
            };
            self.tokens.next();
            node = Node::Binary(binary, node.into(), self.unary()?.into());
        }
    }

    fn unary(&mut self) -> Result<Node, CelError> {
        let not = self.take("!");
        let negative = !not && self.take("-");
        if !not && !negative {
            return self.postfix();
        }
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(CelError::TooDeep);
        }
        let inner = self.unary()?.into();
        self.depth -= 1;
        Ok(if not { Node::Not(inner) } else { Node::Negative(inner) })
    }

    fn postfix(&mut self) -> Result<Node, CelError> {
        let mut node = self.primary()?;
        // A chain of members is a tree as deep as it is long.
        let mut links = 0;
        loop {
            links += 1;
            if links > DEEPEST {
                return Err(CelError::TooDeep);
            }
            if self.take("[") {
                let index = self.expression()?;
                self.expect("]")?;
                node = self.member(node, index);
            } else if self.take(".") {
                let name = self.name()?;
                node = match self.take("(") {
                    true => self.method(node, name)?,
                    false => self.member(node, Node::Literal(Value::text(name))),
                };
            } else {
                return Ok(node);
            }
        }
    }

    /// Of a peer in the filter state a member that no peer has is noted.
    fn member(&mut self, of: Node, index: Node) -> Node {
        if let (Some(attribute), Node::Literal(Value::Text(member))) = (of.peer(), &index)
            && !PEER.contains(&&**member)
        {
            self.strange.push(format!("{attribute}.{member}"));
        }
        Node::Member(of.into(), index.into())
    }

    fn primary(&mut self) -> Result<Node, CelError> {
        match self.tokens.next().ok_or(CelError::End)? {
            Token::Literal(value) => Ok(Node::Literal(value)),
            Token::Sign("(") => {
                let node = self.expression()?;
                self.expect(")")?;
                Ok(node)
            }
            Token::Sign("[") => Ok(Node::List(self.list("]")?)),
            Token::Sign("{") => Err(CelError::Lacking("a literal of a map".to_owned())),
            Token::Name(name) if self.take("(") => {
                let arguments = self.list(")")?;
                if name == "has" {
                    self.asked.extend(arguments.first().and_then(Node::attribute));
                }
                call(&name, arguments)
            }
            Token::Name(name) => self.attribute(name),
            token => Err(unexpected(&token)),
        }
    }

    /// A group of attributes is no value: what follows it is the attribute's name. What is no group is
    /// absent with all its members.
    fn attribute(&mut self, group: String) -> Result<Node, CelError> {
        let names = GROUPS.iter().find(|(known, _)| *known == group).map(|(_, names)| *names);
        let known = names.is_some();
        let name = match self.tokens.peek() {
            Some(Token::Sign(".")) if known => {
                self.tokens.next();
                self.name()?
            }
            Some(Token::Sign("[")) if known => {
                self.tokens.next();
                let index = self.expression()?;
                self.expect("]")?;
                match index {
                    Node::Literal(Value::Text(name)) => name.to_string(),
                    _ => return Err(CelError::Unexpected(format!("{group}["))),
                }
            }
            _ => {
                self.strange.push(group.clone());
                String::new()
            }
        };
        if names.is_some_and(|names| !names.contains(&name.as_str())) && !name.is_empty() {
            self.strange.push(format!("{group}.{name}"));
        }
        if is_in(&LOGGED, &group, &name) {
            self.logged.push(format!("{group}.{name}"));
        }
        Ok(Node::Attribute(group, name))
    }

    fn method(&mut self, on: Node, name: String) -> Result<Node, CelError> {
        // The arguments of a comprehension are no values.
        if LACKING.contains(&name.as_str()) {
            return Err(CelError::Lacking(name));
        }
        let mut arguments = vec![on];
        arguments.extend(self.list(")")?);
        call(&name, arguments)
    }

    fn list(&mut self, end: &'static str) -> Result<Vec<Node>, CelError> {
        let mut all = Vec::new();
        while !self.take(end) {
            if !all.is_empty() {
                self.expect(",")?;
            }
            all.push(self.expression()?);
        }
        Ok(all)
    }

    fn name(&mut self) -> Result<String, CelError> {
        match self.tokens.next().ok_or(CelError::End)? {
            Token::Name(name) => Ok(name),
            token => Err(unexpected(&token)),
        }
    }

    fn take(&mut self, sign: &'static str) -> bool {
        self.tokens.next_if_eq(&Token::Sign(sign)).is_some()
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), CelError> {
        match self.tokens.next() {
            Some(Token::Sign(found)) if found == sign => Ok(()),
            Some(token) => Err(unexpected(&token)),
            None => Err(CelError::End),
        }
    }
}

/// `name(a)` and `a.name()` are the same.
fn call(name: &str, arguments: Vec<Node>) -> Result<Node, CelError> {
    let mut arguments = arguments.into_iter();
    let (first, second, third) = (arguments.next(), arguments.next(), arguments.next());
    let (function, word, binary) = match name {
        "has" => return has(first, second),
        "matches" => return matching(first, second, third),
        "size" => (Function::Size, "size", false),
        "string" => (Function::Text, "string", false),
        "int" => (Function::Int, "int", false),
        "uint" => (Function::Uint, "uint", false),
        "double" => (Function::Double, "double", false),
        "bool" => (Function::Bool, "bool", false),
        "duration" => (Function::Duration, "duration", false),
        "contains" => (Function::Contains, "contains", true),
        "startsWith" => (Function::StartsWith, "startsWith", true),
        "endsWith" => (Function::EndsWith, "endsWith", true),
        name if LACKING.contains(&name) => return Err(CelError::Lacking(name.to_owned())),
        _ => return Err(CelError::Function(name.to_owned())),
    };
    match (first, second, third) {
        (Some(first), second, None) if second.is_some() == binary => {
            Ok(Node::Call(function, first.into(), second.map(Box::new)))
        }
        _ => Err(CelError::Arguments(word)),
    }
}

fn has(first: Option<Node>, second: Option<Node>) -> Result<Node, CelError> {
    match (first, second) {
        (Some(node @ (Node::Member(..) | Node::Attribute(..))), None) => Ok(Node::Has(node.into())),
        _ => Err(CelError::Arguments("has")),
    }
}

fn matching(
    first: Option<Node>,
    second: Option<Node>,
    third: Option<Node>,
) -> Result<Node, CelError> {
    match (first, second, third) {
        (Some(first), Some(Node::Literal(Value::Text(pattern))), None) => {
            let compiled = RegexBuilder::new(&pattern).size_limit(PATTERN).build();
            let compiled = compiled.map_err(|_| CelError::Pattern(pattern.to_string()))?;
            Ok(Node::Matches(first.into(), compiled))
        }
        (Some(_), Some(_), None) => {
            Err(CelError::Lacking("a pattern that is no literal".to_owned()))
        }
        _ => Err(CelError::Arguments("matches")),
    }
}

fn unexpected(token: &Token) -> CelError {
    CelError::Unexpected(match token {
        Token::Name(name) => name.clone(),
        Token::Literal(value) => value.print().to_string(),
        Token::Sign(sign) => (*sign).to_owned(),
    })
}
