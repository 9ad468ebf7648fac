//! Reads a filter as people write it, where it stands: what is wrong is told by the deserialiser's own path, and
//! nothing is built that is out of bounds.

use std::cell::Cell;
use std::fmt::{self, Formatter};

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Number;

use super::{Comparison, Filter, Literal, Node, Pattern, Test};

/// Levels of a pattern.
const MOST_LEVELS: usize = 8;
/// Fields, tests and literals of a pattern, together.
const MOST_PARTS: usize = 100;
/// Bytes of a field's name or a text.
const MOST_BYTES: usize = 256;

/// What is left while one is read.
#[derive(Clone, Copy)]
struct Bounds<'a> {
    levels: usize,
    parts: &'a Cell<usize>,
}

impl Bounds<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        let levels = self.levels.checked_sub(1).ok_or_else(|| E::custom("expected at most 8 levels"))?;
        Ok(Self { levels, ..self })
    }

    fn part<E: Error>(self) -> Result<(), E> {
        let left = self.parts.get().checked_sub(1);
        self.parts.set(left.ok_or_else(|| E::custom("expected at most 100 fields, tests and values"))?);
        Ok(())
    }
}

fn bounded<E: Error>(text: &str) -> Result<String, E> {
    if text.len() > MOST_BYTES {
        return Err(E::custom("expected at most 256 bytes"));
    }
    Ok(text.to_owned())
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parts = Cell::new(MOST_PARTS);
        Read::<Pattern>::within(Bounds { levels: MOST_LEVELS, parts: &parts })
            .deserialize(deserializer)
            .map(Self)
    }
}

/// Reads one `T` within its bounds.
struct Read<'a, T> {
    bounds: Bounds<'a>,
    kind: std::marker::PhantomData<T>,
}

impl<'a, T> Read<'a, T> {
    const fn within(bounds: Bounds<'a>) -> Self {
        Self { bounds, kind: std::marker::PhantomData }
    }

    /// All of a list.
    fn list<'de, A: SeqAccess<'de>>(bounds: Bounds<'a>, mut seq: A) -> Result<Vec<T>, A::Error>
    where
        Self: DeserializeSeed<'de, Value = T>,
    {
        let mut list = Vec::new();
        while let Some(one) = seq.next_element_seed(Self::within(bounds))? {
            list.push(one);
        }
        if list.is_empty() { Err(A::Error::custom("expected at least one")) } else { Ok(list) }
    }
}

/// A list of `T`, with at least one.
struct List<'a, T>(Read<'a, T>);

impl<'de, 'a, T> DeserializeSeed<'de> for List<'a, T>
where
    Read<'a, T>: DeserializeSeed<'de, Value = T>,
{
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, 'a, T> Visitor<'de> for List<'a, T>
where
    Read<'a, T>: DeserializeSeed<'de, Value = T>,
{
    type Value = Vec<T>;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Vec<T>, A::Error> {
        Read::list(self.0.bounds, seq)
    }
}

macro_rules! read_any {
    ($($kind:ty),*) => {$(
        impl<'de> DeserializeSeed<'de> for Read<'_, $kind> {
            type Value = $kind;

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<$kind, D::Error> {
                deserializer.deserialize_any(self)
            }
        }
    )*};
}
read_any!(Pattern, Node, Test, Literal);

impl<'de> Visitor<'de> for Read<'_, Pattern> {
    type Value = Pattern;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("an object of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pattern, A::Error> {
        let (bounds, mut pattern) = (self.bounds.deeper()?, Pattern::default());
        while let Some(name) = map.next_key::<String>()? {
            bounds.part()?;
            match name.as_str() {
                "$or" => pattern.any = map.next_value_seed(List(Read::within(bounds)))?,
                "$not" => pattern.not = Some(Box::new(map.next_value_seed(Read::<Pattern>::within(bounds))?)),
                name if name.starts_with('$') => {
                    return Err(A::Error::custom("expected `$or`, `$not` or a field's name"));
                }
                name if pattern.fields.iter().any(|(other, _)| other == name) => {
                    return Err(A::Error::custom("expected each field once"));
                }
                name => {
                    pattern.fields.push((bounded(name)?, map.next_value_seed(Read::<Node>::within(bounds))?));
                }
            }
        }
        if pattern == Pattern::default() {
            Err(A::Error::custom("expected at least one field"))
        } else {
            Ok(pattern)
        }
    }
}

impl<'de> Visitor<'de> for Read<'_, Node> {
    type Value = Node;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a list of tests, or an object of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Node, A::Error> {
        Read::<Pattern>::within(self.bounds).visit_map(map).map(Node::Inside)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Node, A::Error> {
        Read::list(self.bounds, seq).map(Node::Tests)
    }
}

/// The visits of a literal, as what `$make` makes of it.
macro_rules! literals {
    ($value:ty, $make:expr) => {
        fn visit_unit<E: Error>(self) -> Result<$value, E> {
            self.bounds.part()?;
            Ok($make(Literal::Null))
        }

        fn visit_bool<E: Error>(self, value: bool) -> Result<$value, E> {
            self.bounds.part()?;
            Ok($make(Literal::Bool(value)))
        }

        fn visit_i64<E: Error>(self, value: i64) -> Result<$value, E> {
            self.bounds.part()?;
            Ok($make(Literal::Number(value.into())))
        }

        fn visit_u64<E: Error>(self, value: u64) -> Result<$value, E> {
            self.bounds.part()?;
            Ok($make(Literal::Number(value.into())))
        }

        fn visit_f64<E: Error>(self, value: f64) -> Result<$value, E> {
            self.bounds.part()?;
            let number = Number::from_f64(value).ok_or_else(|| E::custom("expected a finite number"))?;
            Ok($make(Literal::Number(number)))
        }

        fn visit_str<E: Error>(self, value: &str) -> Result<$value, E> {
            self.bounds.part()?;
            Ok($make(Literal::Text(bounded(value)?)))
        }
    };
}

impl<'de> Visitor<'de> for Read<'_, Literal> {
    type Value = Literal;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true, false or null")
    }

    literals!(Literal, |literal| literal);
}

impl<'de> Visitor<'de> for Read<'_, Test> {
    type Value = Test;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true, false, null or an object of one operator")
    }

    literals!(Test, Test::Is);

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Test, A::Error> {
        self.bounds.part()?;
        let unknown = "expected one of prefix, suffix, equals-ignore-case, anything-but, exists, numeric";
        let operator: String = map.next_key()?.ok_or_else(|| A::Error::custom(unknown))?;
        let test = match operator.as_str() {
            "prefix" => Test::Prefix(bounded(&map.next_value::<String>()?)?),
            "suffix" => Test::Suffix(bounded(&map.next_value::<String>()?)?),
            "equals-ignore-case" => {
                Test::EqualsIgnoreCase(bounded(&map.next_value::<String>()?)?.to_lowercase())
            }
            "anything-but" => Test::AnythingBut(map.next_value_seed(OneOrMore(self.bounds))?),
            "exists" => Test::Exists(map.next_value()?),
            "numeric" => Test::Numeric(map.next_value_seed(Range(self.bounds))?),
            _ => return Err(A::Error::custom(unknown)),
        };
        match map.next_key::<String>()? {
            None => Ok(test),
            Some(_) => Err(A::Error::custom("expected one operator")),
        }
    }
}

/// A literal, or a list of them.
struct OneOrMore<'a>(Bounds<'a>);

/// Comparisons, each with its number.
struct Range<'a>(Bounds<'a>);

impl<'de> DeserializeSeed<'de> for OneOrMore<'_> {
    type Value = Vec<Literal>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Literal>, D::Error> {
        let one_or_more = Read::<Vec<Literal>>::within(self.0);
        deserializer.deserialize_any(one_or_more)
    }
}

impl<'de> Visitor<'de> for Read<'_, Vec<Literal>> {
    type Value = Vec<Literal>;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true, false, null or a list of them")
    }

    literals!(Vec<Literal>, |literal| vec![literal]);

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Vec<Literal>, A::Error> {
        Read::list(self.bounds, seq)
    }
}

impl<'de> DeserializeSeed<'de> for Range<'_> {
    type Value = Vec<(Comparison, Number)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Range<'_> {
    type Value = Vec<(Comparison, Number)>;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a list of comparisons, each with its number")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut range = Vec::new();
        while let Some(comparison) = seq.next_element::<Comparison>()? {
            self.0.part()?;
            let number = seq.next_element::<Number>()?;
            range.push((
                comparison,
                number.ok_or_else(|| A::Error::custom("expected a number behind each comparison"))?,
            ));
        }
        if range.is_empty() { Err(A::Error::custom("expected at least one")) } else { Ok(range) }
    }
}
