//! Headers of a request: how names compare, single lines, and the facts every request is judged by.

pub(crate) mod facts;
pub(crate) mod line;
pub(crate) mod name;
