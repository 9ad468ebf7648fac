//! Networks in the file: a list, one entry each.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::delivery::egress::AllowList;

/// A list of CIDRs or addresses.
pub(super) fn allow_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AllowList, D::Error> {
    let entries = Vec::<String>::deserialize(deserializer)?;
    if entries.iter().any(|entry| entry.contains(',')) {
        return Err(D::Error::custom("expected one address range an entry"));
    }
    entries.join(",").parse().map_err(D::Error::custom)
}
