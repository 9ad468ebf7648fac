//! Listings are read in pages; a cursor says where the next one begins.

use std::str::FromStr;

use serde::Serialize;

/// Where a listing goes on and how much of it is wanted.
#[derive(Debug, Clone)]
pub struct Page {
    /// What [`Listed::next_cursor`] said, or `None` from the newest on. Opaque.
    pub cursor: Option<String>,
    /// 1–250.
    pub limit: u16,
}

/// A [`Page`] whose cursor no listing of this kind ever gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is none of this listing's")]
pub(crate) struct BadCursor;

impl Page {
    /// What the page comes after, read as this kind of listing writes it.
    pub(crate) fn after<T: FromStr>(&self) -> Result<Option<T>, BadCursor> {
        self.cursor.as_deref().map(|cursor| cursor.parse().ok().ok_or(BadCursor)).transpose()
    }
}

/// A page of a listing.
#[derive(Debug, Clone, Serialize)]
pub struct Listed<T> {
    /// The rows.
    pub data: Vec<T>,
    /// For the next page; `None` at the end.
    pub next_cursor: Option<String>,
}
