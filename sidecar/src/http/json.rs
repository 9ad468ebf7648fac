//! A body as a value: not JSON is one problem, not this JSON another, and both say where.

use std::fmt::{self, Formatter};
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;

use super::Problem;

/// A JSON object. Left to itself serde takes an array of the fields' values as well.
#[derive(Debug)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// Reads a JSON body, which is an object.
pub(super) fn read<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let Object(value) = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| problem(error.inner(), &error.path().to_string()))?;
    deserializer.end().map_err(|error| problem(&error, "."))?;
    Ok(value)
}

fn problem(error: &serde_json::Error, path: &str) -> Problem {
    match error.classify() {
        Category::Data => {
            let (field, problem) = explain(&error.to_string(), path);
            Problem::InvalidField { field, problem }
        }
        Category::Syntax | Category::Eof | Category::Io => {
            Problem::BadJson { line: error.line(), column: error.column() }
        }
    }
}

/// The field and what is wrong with it. A missing field is named itself, not the object it is missing from; a text
/// that was found is not repeated, for it may be long or a secret.
fn explain(message: &str, path: &str) -> (String, String) {
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    match missing {
        Some(name) if path == "." => (name.to_owned(), "is missing".to_owned()),
        Some(name) => (format!("{path}.{name}"), "is missing".to_owned()),
        None => (bounded(path), bounded(&without_found(message))),
    }
}

fn without_found(message: &str) -> String {
    match (message.find(": string \""), message.rfind("\", expected")) {
        (Some(start), Some(end)) if start < end => {
            let (head, tail) = (message.get(..start).unwrap_or(""), message.get(end..).unwrap_or(""));
            format!("{head}: a string{}", tail.trim_start_matches('"'))
        }
        _ => message.to_owned(),
    }
}

pub(super) fn bounded(text: &str) -> String {
    text.chars().take(256).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Draft;

    #[test]
    fn a_problem_says_where() {
        let field = |field: &str, problem: &str| Problem::InvalidField {
            field: field.to_owned(),
            problem: problem.to_owned(),
        };
        let table = [
            ("", Problem::BadJson { line: 1, column: 0 }),
            ("{\n  \"url\" 1}", Problem::BadJson { line: 2, column: 9 }),
            ("{\"url\":\"u\"} x", Problem::BadJson { line: 1, column: 13 }),
            ("{}", field("url", "is missing")),
            (r#"["u"]"#, field(".", "invalid type: sequence, expected an object")),
            (r#"{"url":1}"#, field("url", "invalid type: integer `1`, expected a string")),
            (
                r#"{"url":"u","rate_limit":"secret"}"#,
                field("rate_limit", "invalid type: a string, expected a nonzero u16"),
            ),
            (
                r#"{"url":"u","event_types":["a","b c"]}"#,
                field("event_types[1]", "expected a pattern: 1–128 of A–Z a–z 0–9 _ - . / : *"),
            ),
        ];
        for (body, expected) in table {
            assert_eq!(read::<Draft>(body.as_bytes()).map(|_| ()), Err(expected), "{body}");
        }
        let Err(Problem::InvalidField { field, problem }) = read::<Draft>(br#"{"url":"u","urll":1}"#) else {
            panic!("accepted");
        };
        assert_eq!(field, "urll");
        assert!(problem.starts_with("unknown field `urll`, expected one of"), "{problem}");
    }
}
