//! Writes a filter as it was read.

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::Number;

use super::{Comparison, Filter, Literal, Node, Pattern, Test};

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, node) in &self.fields {
            map.serialize_entry(name, node)?;
        }
        if !self.any.is_empty() {
            map.serialize_entry("$or", &self.any)?;
        }
        if let Some(not) = &self.not {
            map.serialize_entry("$not", not)?;
        }
        map.end()
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Inside(pattern) => pattern.serialize(serializer),
            Self::Tests(tests) => tests.serialize(serializer),
        }
    }
}

impl Serialize for Test {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Is(literal) => literal.serialize(serializer),
            Self::Prefix(text) => operator(serializer, "prefix", text),
            Self::Suffix(text) => operator(serializer, "suffix", text),
            Self::EqualsIgnoreCase(text) => operator(serializer, "equals-ignore-case", text),
            Self::AnythingBut(literals) => operator(serializer, "anything-but", literals),
            Self::Exists(wanted) => operator(serializer, "exists", wanted),
            Self::Numeric(range) => operator(serializer, "numeric", &Flat(range)),
        }
    }
}

fn operator<S: Serializer>(serializer: S, name: &str, operand: &impl Serialize) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(name, operand)?;
    map.end()
}

/// Pairs, one after the other.
struct Flat<'a>(&'a [(Comparison, Number)]);

impl Serialize for Flat<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        for (comparison, number) in self.0 {
            seq.serialize_element(comparison)?;
            seq.serialize_element(number)?;
        }
        seq.end()
    }
}

impl Serialize for Literal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}
