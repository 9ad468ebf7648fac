//! Which payloads an endpoint wants, as a pattern over their JSON. The language is that of Amazon's `EventBridge`
//! event patterns, as far as it goes here, because people know it:
//!
//! ```json
//! {"data": {"currency": ["EUR", {"prefix": "U"}], "amount": [{"numeric": [">=", 100, "<", 1000]}]}}
//! ```
//!
//! - An object asks for all of its fields; a list is of tests, of which one must hold.
//! - A test is a text, number, `true`, `false` or `null` that the value must equal, or one of `{"prefix": "a"}`,
//!   `{"suffix": "a"}`, `{"equals-ignore-case": "a"}`, `{"anything-but": "a"}` or a list of such (the value is there
//!   and none of them), `{"exists": true}` or `false`, `{"numeric": [">=", 1, "<", 2]}` with `<`, `<=`, `=`, `>=`, `>`.
//! - `"$or": [{…}, {…}]` beside the fields asks that one of these patterns holds, `"$not": {…}` that this one does not.
//! - Where the payload has an array, one of its elements must fit; an empty one counts as absent.
//! - A payload that is not JSON fits no filter.
//!
//! Bounded on both sides: a pattern has at most 100 parts, 8 levels and texts of 256 bytes, and judging one looks at
//! no more than 10 000 values; a payload that needs more does not fit.

mod judge;
mod read;
mod write;

use serde::{Deserialize, Serialize};
use serde_json::Number;

/// A pattern over a payload. Whoever has one has one that is within its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Pattern);

/// What an object must be like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Pattern {
    fields: Vec<(String, Node)>,
    /// One of these, if there are any.
    any: Vec<Pattern>,
    /// Not this one.
    not: Option<Box<Pattern>>,
}

/// What a field must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Inside(Pattern),
    /// One of these holds.
    Tests(Vec<Test>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Is(Literal),
    Prefix(String),
    Suffix(String),
    EqualsIgnoreCase(String),
    AnythingBut(Vec<Literal>),
    Exists(bool),
    /// All of these hold.
    Numeric(Vec<(Comparison, Number)>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Literal {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Comparison {
    #[serde(rename = "<")]
    Less,
    #[serde(rename = "<=")]
    AtMost,
    #[serde(rename = "=")]
    Equal,
    #[serde(rename = ">=")]
    AtLeast,
    #[serde(rename = ">")]
    More,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_filter_is_written_as_it_was_read() {
        let pattern = json!({"data": {"a": [1, -2, 1.5, "x", true, null, {"prefix": "p"}, {"suffix": "s"},
            {"equals-ignore-case": "é"}, {"anything-but": ["x", 1]}, {"exists": false},
            {"numeric": [">=", 1, "<", 2.5]}]}, "$or": [{"b": [1]}, {"$not": {"c": {"d": [2]}}}]});
        let filter: Filter = serde_json::from_value(pattern.clone()).unwrap();
        assert_eq!(serde_json::to_value(&filter).unwrap(), pattern);
        let again: Filter = serde_json::from_str(&serde_json::to_string(&filter).unwrap()).unwrap();
        assert_eq!(again, filter);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let deep = |levels: usize| (0..levels).fold(json!([1]), |inner, _| json!({"a": inner}));
        let table = [
            (json!([]), ".", "expected an object of fields"),
            (json!({}), ".", "at least one field"),
            (json!({"a": 1}), "a", "a list of tests, or an object"),
            (json!({"a": []}), "a", "at least one"),
            (json!({"a": [[1]]}), "a[0]", "expected a text, a number"),
            (json!({"a": ["x", {"like": "y"}]}), "a[1]", "expected one of prefix"),
            (json!({"a": [{}]}), "a[0]", "expected one of prefix"),
            (json!({"a": [{"prefix": "x", "suffix": "y"}]}), "a[0]", "one operator"),
            (json!({"a": [{"prefix": 1}]}), "a[0].prefix", "expected a string"),
            (json!({"a": {"b": [{"numeric": [">", "1"]}]}}), "a.b[0].numeric[1]", "expected a JSON number"),
            (json!({"a": [{"numeric": ["~", 1]}]}), "a[0].numeric[0]", "unknown variant"),
            (json!({"a": [{"numeric": [">", 1, "<"]}]}), "a[0].numeric", "a number behind each"),
            (json!({"a": [{"anything-but": [{"prefix": "x"}]}]}), "a[0].anything-but[0]", "expected a text"),
            (json!({"a": [{"exists": "yes"}]}), "a[0].exists", "expected a boolean"),
            (json!({"$or": {"a": [1]}}), "$or", "expected a list"),
            (json!({"$or": [{"a": [1]}, {"b": 2}]}), "$or[1].b", "a list of tests"),
            (json!({"$and": [{"a": [1]}]}), ".", "expected `$or`"),
            (deep(9), "a.a.a.a.a.a.a.a", "at most 8 levels"),
            (json!({"a": vec![1; 100]}), "a[99]", "at most 100"),
            (json!({"a": ["x".repeat(257)]}), "a[0]", "at most 256 bytes"),
        ];
        for (pattern, place, problem) in table {
            let text = pattern.to_string();
            let read: Result<Filter, _> =
                serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(&text));
            let error = read.unwrap_err();
            let told = (error.path().to_string(), error.inner().to_string());
            assert!(told.0 == place && told.1.contains(problem), "{text}: {told:?}");
        }
        assert!(serde_json::from_value::<Filter>(deep(8)).is_ok(), "eight levels are no nine");
        let most: Value = json!({"a": vec![1; 99]});
        assert!(serde_json::from_value::<Filter>(most).is_ok(), "a hundred parts are no more");
        assert!(serde_json::from_str::<Filter>(r#"{"a":[1],"a":[2]}"#).is_err(), "a field once");
    }
}
