//! What a scheme reads of a head: the signatures to compare with, the timestamp, the id. Everything that can be refused
//! without hashing is refused here.

use std::fmt;

use crate::{
    Header, Reason,
    headers::line::{one_line, trim},
};

use super::{Place, Scheme, SignatureRule, Timestamp};

/// The most items of a signature header, the timestamp's and empty ones counted.
const MAX_ITEMS: usize = 20;

/// The longest message id, in bytes.
const MAX_ID: usize = 256;

/// The head of a signed message.
pub(crate) struct Message {
    pub(crate) id: Option<String>,
    pub(crate) timestamp: Option<Timestamp>,
    /// Decoded signatures of the algorithm's length; at least one, at most [`MAX_ITEMS`].
    pub(crate) candidates: Vec<Vec<u8>>,
    /// The signed bytes before the body.
    pub(crate) opening: Vec<u8>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}

impl Scheme {
    /// Reads a message's head, cheapest checks first. `fresh` judges the timestamp, before any signature is looked at:
    /// a signature cannot make a stale message fresh.
    pub(crate) fn read(
        &self,
        headers: &[Header<'_>],
        fresh: impl FnOnce(Timestamp) -> Result<(), Reason>,
    ) -> Result<Message, Reason> {
        let signature = one_line(headers, &self.signature.header)?;
        let timestamp_line = self.timestamp_line(headers)?;
        let id = self.read_id(headers)?;
        let items = self.signature.split(signature.ok_or(Reason::MissingHeader)?)?;

        let digits = self.find_timestamp(timestamp_line, &items)?;
        let timestamp = self.parse_timestamp(digits)?;
        timestamp.map_or(Ok(()), fresh)?;
        let candidates = self.signature.decode(&items, self.algorithm.length())?;
        let opening = self.signed.opening(id.unwrap_or_default().as_bytes(), digits.unwrap_or_default());
        Ok(Message { id: id.map(str::to_owned), timestamp, candidates, opening })
    }

    /// The timestamp's own header, where the scheme has one.
    fn timestamp_line<'a>(&self, headers: &[Header<'a>]) -> Result<Option<&'a [u8]>, Reason> {
        match self.timestamp.as_ref().map(|rule| &rule.place) {
            Some(Place::Header(name)) => one_line(headers, name)?.ok_or(Reason::MissingHeader).map(Some),
            Some(Place::Item(_)) | None => Ok(None),
        }
    }

    /// The id: 1–256 visible ASCII bytes. One that is signed must be there, and end where it ends.
    fn read_id<'a>(&self, headers: &[Header<'a>]) -> Result<Option<&'a str>, Reason> {
        let Some(rule) = &self.id else { return Ok(None) };
        let Some(id) = one_line(headers, &rule.header)? else {
            return if rule.signed { Err(Reason::MissingHeader) } else { Ok(None) };
        };
        if id.len() > MAX_ID || !id.iter().all(u8::is_ascii_graphic) {
            return Err(Reason::MalformedId);
        }
        if rule.signed && self.signed.is_ambiguous(id) {
            return Err(Reason::AmbiguousId);
        }
        Ok(str::from_utf8(id).ok())
    }

    /// The timestamp's digits: its header, or the only item that begins with its tag.
    fn find_timestamp<'a>(
        &self,
        line: Option<&'a [u8]>,
        items: &[&'a [u8]],
    ) -> Result<Option<&'a [u8]>, Reason> {
        let Some(Place::Item(tag)) = self.timestamp.as_ref().map(|rule| &rule.place) else { return Ok(line) };
        let mut tagged = items.iter().filter_map(|item| item.strip_prefix(tag.as_bytes()));
        match (tagged.next(), tagged.next()) {
            (Some(only), None) => Ok(Some(only)),
            _ => Err(Reason::MalformedHeader),
        }
    }

    fn parse_timestamp(&self, digits: Option<&[u8]>) -> Result<Option<Timestamp>, Reason> {
        let (Some(rule), Some(digits)) = (&self.timestamp, digits) else { return Ok(None) };
        Timestamp::parse(digits, rule.unit).map(Some)
    }
}

impl SignatureRule {
    /// The items of the header, without the empty ones.
    fn split<'a>(&self, value: &'a [u8]) -> Result<Vec<&'a [u8]>, Reason> {
        let Some(separator) = self.items else { return Ok(vec![trim(value)]) };
        let items: Vec<_> =
            value.split(|byte| *byte == separator.byte()).take(MAX_ITEMS.saturating_add(1)).collect();
        if items.len() > MAX_ITEMS {
            return Err(Reason::MalformedHeader);
        }
        Ok(items.into_iter().filter(|item| !item.is_empty()).collect())
    }

    /// The signatures among `items`. Those of another version are skipped, those that do not decode are dropped.
    fn decode(&self, items: &[&[u8]], length: usize) -> Result<Vec<Vec<u8>>, Reason> {
        let mut tagged = items.iter().filter_map(|item| item.strip_prefix(self.tag.as_bytes())).peekable();
        tagged.peek().ok_or(Reason::NoSignature)?;
        let decoded = tagged.filter_map(|text| self.encoding.decode(text));
        let candidates: Vec<_> = decoded.filter(|bytes| bytes.len() == length).collect();
        if candidates.is_empty() { Err(Reason::BadSignature) } else { Ok(candidates) }
    }
}
