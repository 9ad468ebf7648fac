//! Events of sources: the body's bytes as they came, the type where the source's rule finds it.

use hookgate_policy::{Accepted, EventTypeRule};
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::super::Problem;
use super::offer::{self, Content};
use super::terms::Wish;
use super::{Arrival, Reading, pointer};
use crate::model::EventType;
use crate::store::Offer;

/// The event that a source's message is.
pub(super) fn offer(
    arrival: &Arrival<'_>,
    accepted: &Accepted,
    reading: Reading<'_>,
) -> Result<Offer, Problem> {
    let source = reading.policy.source(&accepted.source).ok_or(Problem::Internal)?;
    let tenant = offer::tenant_of(accepted, reading.policy)?;
    let content = Content {
        event_type: event_type(source.event_type(), source.name(), &arrival.parts.headers, &arrival.body)?,
        payload: arrival.body.clone(),
        content_type: content_type(&arrival.parts.headers),
        ordering_key: None,
        terms: Wish::default().grant(arrival.now, reading.rules.ttl).or(Err(Problem::Internal))?,
    };
    Ok(offer::offer(arrival, tenant, content, offer::replay_keys(accepted, "")?, reading))
}

/// The type that the rule finds; the source's name where it finds none that can be one.
fn event_type(
    rule: &EventTypeRule,
    source: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<EventType, Problem> {
    let found = match rule {
        EventTypeRule::Json(pointer) => pointer::text_at(body, pointer),
        EventTypeRule::Header(name) => one_line(headers, name).map(str::to_owned),
        EventTypeRule::Fixed(text) => Some(text.clone()),
    };
    let found = found.and_then(|text| text.parse().ok());
    found.map_or_else(|| source.parse().or(Err(Problem::Internal)), Ok)
}

/// The `content-type` as it came, if it is one line that can be sent on; else bytes.
fn content_type(headers: &HeaderMap) -> String {
    let sound = one_line(headers, CONTENT_TYPE.as_str()).filter(|text| (1..=256).contains(&text.len()));
    sound.unwrap_or("application/octet-stream").to_owned()
}

fn one_line<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut lines = headers.get_all(name).into_iter();
    let (first, None) = (lines.next()?, lines.next()) else { return None };
    first.to_str().ok()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn a_type_that_cannot_be_falls_back_to_the_source() {
        let json = EventTypeRule::Json("/a/type".to_owned());
        let header = EventTypeRule::Header("x-github-event".to_owned());
        let fixed = EventTypeRule::Fixed("order.paid".to_owned());
        let table = [
            (&json, r#"{"a":{"type":"order.paid"}}"#, "order.paid"),
            (&json, r#"{"a":{"type":"no spaces"}}"#, "acme"),
            (&json, r#"{"a":{"type":7}}"#, "acme"),
            (&json, "not json", "acme"),
            (&header, "", "push"),
            (&fixed, "", "order.paid"),
        ];
        let headers: HeaderMap =
            [(HeaderName::from_static("x-github-event"), HeaderValue::from_static("push"))]
                .into_iter()
                .collect();
        for (rule, body, expected) in table {
            let found = event_type(rule, "acme", &headers, body.as_bytes()).unwrap();
            assert_eq!(found.as_str(), expected, "{rule:?} in {body}");
        }
        assert_eq!(event_type(&header, "acme", &HeaderMap::new(), b"").unwrap().as_str(), "acme");
    }
}
