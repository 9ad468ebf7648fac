//! Networks and proxies in the file.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::delivery::egress::{AllowList, ProxyUrl};

/// A list of CIDRs or addresses.
pub(super) fn allow_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AllowList, D::Error> {
    let entries = Vec::<String>::deserialize(deserializer)?;
    if entries.iter().any(|entry| entry.contains(',')) {
        return Err(D::Error::custom("expected one address range an entry"));
    }
    entries.join(",").parse().map_err(D::Error::custom)
}

/// A proxy without user and password: those have no place in a file that others read.
pub(super) fn proxy<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ProxyUrl>, D::Error> {
    let proxy: ProxyUrl = String::deserialize(deserializer)?.parse().map_err(D::Error::custom)?;
    if proxy.has_login() {
        return Err(D::Error::custom("user and password belong in HOOKGATE_EGRESS_PROXY"));
    }
    Ok(Some(proxy))
}
