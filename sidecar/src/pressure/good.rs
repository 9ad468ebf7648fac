//! Good values for the tests of this room.

use crate::model::Endpoint;

/// An endpoint without a rate limit, with room for ten attempts.
pub(super) fn endpoint(id: &str) -> Endpoint {
    serde_json::from_value(serde_json::json!({
        "id": id, "tenant": "default", "url": "https://a.example", "event_types": ["*"], "secrets": [],
        "headers": {}, "max_in_flight": 10, "rate_limit": null, "timeout_ms": 1000, "retry": {},
        "enabled": true, "declared": false, "description": "", "created_at": 0, "updated_at": 0,
    }))
    .unwrap()
}
