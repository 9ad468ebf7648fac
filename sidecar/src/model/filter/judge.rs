//! Whether a payload fits. Pure; linear in the values that the pattern leads to, of which it looks at a bounded number.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::{Comparison, Filter, Literal, Node, Pattern, Test};

/// Most values that one judgement looks at.
const MOST_LOOKS: u32 = 10_000;

/// Looks that are left.
struct Looks(u32);

impl Looks {
    /// Whether there is one more.
    fn spend(&mut self) -> bool {
        self.0 = self.0.saturating_sub(1);
        self.0 > 0
    }
}

impl Filter {
    /// Whether this payload fits. One that cannot be judged in so many looks does not, whatever the pattern.
    #[must_use]
    pub fn matches(&self, payload: &Value) -> bool {
        let mut looks = Looks(MOST_LOOKS);
        any_of(Some(payload), &mut looks, &mut |value, looks| self.0.matches(value, looks)) && looks.0 > 0
    }
}

/// Whether a value does, or one of an array's elements; `None`: there is none.
fn any_of(
    value: Option<&Value>,
    looks: &mut Looks,
    fits: &mut dyn FnMut(Option<&Value>, &mut Looks) -> bool,
) -> bool {
    if !looks.spend() {
        return false;
    }
    match value {
        Some(Value::Array(elements)) if elements.is_empty() => fits(None, looks),
        Some(Value::Array(elements)) => elements.iter().any(|element| any_of(Some(element), looks, fits)),
        one => fits(one, looks),
    }
}

impl Pattern {
    fn matches(&self, value: Option<&Value>, looks: &mut Looks) -> bool {
        looks.spend()
            && self.fields.iter().all(|(name, node)| node.matches(value.and_then(|v| v.get(name)), looks))
            && (self.any.is_empty() || self.any.iter().any(|pattern| pattern.matches(value, looks)))
            && !self.not.as_ref().is_some_and(|pattern| pattern.matches(value, looks))
    }
}

impl Node {
    fn matches(&self, value: Option<&Value>, looks: &mut Looks) -> bool {
        match self {
            Self::Inside(pattern) => any_of(value, looks, &mut |one, looks| pattern.matches(one, looks)),
            Self::Tests(tests) => any_of(value, looks, &mut |one, looks| {
                tests.iter().any(|test| looks.spend() && test.holds(one))
            }),
        }
    }
}

impl Test {
    fn holds(&self, value: Option<&Value>) -> bool {
        let Some(value) = value else { return *self == Self::Exists(false) };
        let text = value.as_str();
        match self {
            Self::Exists(wanted) => *wanted,
            Self::Is(literal) => literal.equals(value),
            Self::AnythingBut(literals) => !literals.iter().any(|literal| literal.equals(value)),
            Self::Prefix(prefix) => text.is_some_and(|text| text.starts_with(prefix)),
            Self::Suffix(suffix) => text.is_some_and(|text| text.ends_with(suffix)),
            Self::EqualsIgnoreCase(other) => text.is_some_and(|text| text.to_lowercase() == *other),
            Self::Numeric(bounds) => match value {
                Value::Number(number) => bounds.iter().all(|(how, bound)| how.holds(order(number, bound))),
                Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => false,
            },
        }
    }
}

impl Literal {
    fn equals(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(own), Value::Bool(other)) => own == other,
            (Self::Text(own), Value::String(other)) => own == other,
            (Self::Number(own), Value::Number(other)) => order(own, other) == Some(Ordering::Equal),
            (Self::Null | Self::Bool(_) | Self::Text(_) | Self::Number(_), _) => false,
        }
    }
}

impl Comparison {
    fn holds(self, order: Option<Ordering>) -> bool {
        order.is_some_and(|order| match self {
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::AtLeast => order.is_ge(),
            Self::More => order.is_gt(),
        })
    }
}

/// Whole numbers exactly; any other as floating point has them.
fn order(one: &Number, other: &Number) -> Option<Ordering> {
    let whole = |number: &Number| number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filter(pattern: &Value) -> Filter {
        serde_json::from_value(pattern.clone()).unwrap()
    }

    #[test]
    fn a_payload_fits_or_does_not() {
        let payload = json!({"type": "order.paid", "data": {
            "amount": 100, "rate": 1.5, "big": u64::MAX, "currency": "EUR", "note": null, "paid": true, "none": [],
            "tags": ["new", "vip"], "lines": [{"sku": "a", "n": 1}, {"sku": "b", "n": 9}], "deep": [[1, [2]]],
        }});
        let table = [
            ("all of it that is asked", json!({"type": ["order.paid"], "data": {"amount": [100]}}), true),
            ("and not the half", json!({"type": ["order.paid"], "data": {"amount": [99]}}), false),
            ("one of a list", json!({"data": {"currency": ["USD", "EUR"]}}), true),
            ("a number however it is written", json!({"data": {"amount": [100.0]}}), true),
            ("a large one exactly", json!({"data": {"big": [18_446_744_073_709_551_614_u64]}}), false),
            ("a text is no number", json!({"data": {"amount": ["100"]}}), false),
            ("true", json!({"data": {"paid": [true]}}), true),
            ("null is a value", json!({"data": {"note": [null]}}), true),
            ("that exists", json!({"data": {"note": [{"exists": true}]}}), true),
            ("what is absent is not null", json!({"data": {"nothing": [null]}}), false),
            ("it can be asked for", json!({"data": {"nothing": [{"exists": false}]}}), true),
            ("below what is absent too", json!({"x": {"y": {"z": [{"exists": false}]}}}), true),
            ("prefix", json!({"type": [{"prefix": "order."}]}), true),
            ("suffix", json!({"type": [{"suffix": ".created"}]}), false),
            ("whatever its case", json!({"data": {"currency": [{"equals-ignore-case": "eUr"}]}}), true),
            ("anything but", json!({"data": {"currency": [{"anything-but": ["USD", "CHF"]}]}}), true),
            ("not this", json!({"data": {"currency": [{"anything-but": "EUR"}]}}), false),
            ("what is absent is not anything", json!({"data": {"nothing": [{"anything-but": "x"}]}}), false),
            ("at least its bound", json!({"data": {"amount": [{"numeric": [">=", 100]}]}}), true),
            ("more than it", json!({"data": {"amount": [{"numeric": [">", 100]}]}}), false),
            ("between two", json!({"data": {"rate": [{"numeric": [">", 1, "<=", 1.5]}]}}), true),
            ("not both", json!({"data": {"rate": [{"numeric": [">", 1, "<", 1.5]}]}}), false),
            ("a text is not compared", json!({"data": {"currency": [{"numeric": ["<", 1]}]}}), false),
            ("an array's element", json!({"data": {"tags": ["vip"]}}), true),
            ("however deep", json!({"data": {"deep": [2]}}), true),
            ("of an empty one there is none", json!({"data": {"none": [{"exists": false}]}}), true),
            ("one element fits as a whole", json!({"data": {"lines": {"sku": ["b"], "n": [9]}}}), true),
            ("not two together", json!({"data": {"lines": {"sku": ["a"], "n": [9]}}}), false),
            ("one of two patterns", json!({"$or": [{"type": ["x"]}, {"data": {"paid": [true]}}]}), true),
            ("or none", json!({"$or": [{"type": ["x"]}, {"type": ["y"]}]}), false),
            ("beside a field", json!({"type": ["x"], "$or": [{"data": {"paid": [true]}}]}), false),
            ("not", json!({"$not": {"data": {"tags": ["old"]}}}), true),
            ("not, with an element that is", json!({"$not": {"data": {"tags": ["vip"]}}}), false),
            ("a field of what is no object", json!({"type": {"x": ["y"]}}), false),
        ];
        for (promise, pattern, expected) in table {
            assert_eq!(filter(&pattern).matches(&payload), expected, "{promise}: {pattern}");
        }
    }

    #[test]
    fn what_takes_too_many_looks_does_not_fit_whatever_is_asked() {
        let at = |count: usize| json!({"a": vec![1; count]});
        for (pattern, fits) in [(json!({"a": [2]}), false), (json!({"$not": {"a": [2]}}), true)] {
            assert_eq!(filter(&pattern).matches(&at(4_000)), fits, "{pattern}, in time");
            assert!(!filter(&pattern).matches(&at(10_000)), "{pattern}, too many");
        }
    }
}
