//! What a request says, parsed once: its body, the name in its path, where a listing goes on. Whatever cannot be is a
//! [`Problem`] before the handler begins.

use std::num::NonZeroU16;
use std::str::FromStr;

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use bytes::Bytes;
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::{Problem, json};
use super::{AdminState, MAX_BODY};
use crate::model::Tenant;
use crate::store::Page;

/// A JSON body; an empty one stands for `{}`.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<AdminState> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AdminState) -> Result<Self, Problem> {
        let body = Bytes::from_request(request, state).await.map_err(|rejection| {
            let too_large = rejection.status() == http::StatusCode::PAYLOAD_TOO_LARGE;
            if too_large { Problem::BodyTooLarge { limit: MAX_BODY } } else { Problem::IncompleteBody }
        })?;
        json::read(if body.is_empty() { b"{}" } else { &body }).map(Self)
    }
}

/// The name in the path. What cannot be a name is the name of nothing.
pub(super) struct Named<T>(pub(super) T);

impl<T: FromStr, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(text) = path.map_err(|_undecodable| Problem::NotFound)?;
        text.parse().map(Self).map_err(|_unsound| Problem::NotFound)
    }
}

/// The query of a listing. Unknown parameters are refused: a filter that is misspelt must not show everything.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(rejection) => Err(Problem::InvalidField {
                field: "query".to_owned(),
                problem: json::bounded(&rejection.body_text()),
            }),
        }
    }
}

/// What every listing takes.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Listing {
    pub(super) tenant: Option<Tenant>,
    pub(super) limit: Option<NonZeroU16>,
    pub(super) cursor: Option<String>,
}

/// The page that is asked for: 50 rows unless it says otherwise, at most 250.
pub(super) fn page(limit: Option<NonZeroU16>, cursor: Option<String>) -> Result<Page, Problem> {
    let limit = limit.map_or(50, NonZeroU16::get);
    if limit > 250 {
        let problem = "expected a whole number, 1–250".to_owned();
        return Err(Problem::InvalidField { field: "limit".to_owned(), problem });
    }
    Ok(Page { cursor, limit })
}
