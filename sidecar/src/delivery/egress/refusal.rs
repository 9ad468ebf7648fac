//! Why the guard says no, for the operator and for everybody else.

use std::fmt::{self, Display, Formatter};

/// Why a URL, or an address behind it, is not for deliveries. `Display` is safe to show to anybody: it never tells
/// whether an internal host or port exists. [`Self::label`] is the precise cause, for the operator's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EgressRefusal {
    /// Not in the form that every parser reads alike: a backslash, a control character, space around it.
    Noncanonical,
    /// Not an absolute URL.
    Unparsable,
    /// Neither `https` nor (where it is allowed) `http`.
    Scheme,
    /// A user or password in the URL.
    Userinfo,
    /// The address is not public, and not allowed.
    Address,
    /// The name is one that only private networks resolve, and nothing it resolves to is allowed.
    Name,
    /// A port that is not in the list.
    Port,
    /// One of our own listeners.
    OwnListener,
}

impl EgressRefusal {
    /// The precise cause in one word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Noncanonical => "noncanonical_url",
            Self::Unparsable => "unparsable",
            Self::Scheme => "scheme",
            Self::Userinfo => "userinfo",
            Self::Address => "address",
            Self::Name => "name",
            Self::Port => "port",
            Self::OwnListener => "own_listener",
        }
    }
}

impl Display for EgressRefusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Noncanonical => "the URL holds a backslash, a control character or outer space",
            Self::Unparsable => "not an absolute http or https URL",
            Self::Scheme => "the URL's scheme is not allowed",
            Self::Userinfo => "the URL must not hold a user or password: use headers",
            Self::Address | Self::Name | Self::Port | Self::OwnListener => {
                "deliveries may not go to this host and port"
            }
        })
    }
}

impl std::error::Error for EgressRefusal {}
