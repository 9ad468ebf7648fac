//! Where we run, told by what its platforms set. A function that lives for one call needs less of everything.

/// A kind of machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Host {
    /// A server, a pod, a laptop.
    #[default]
    Server,
    /// AWS Lambda.
    Lambda,
    /// Azure Functions.
    AzureFunctions,
    /// Google Cloud Functions or Cloud Run.
    GoogleCloud,
}

/// How large the pools are unless somebody says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Workers that deliver.
    pub workers: u16,
    /// Attempts that take long, at once, beside those.
    pub slow_attempts: u16,
    /// Connections kept.
    pub pool: u16,
}

const SIGNS: &[(Host, &[&str])] = &[
    (Host::Lambda, &["AWS_LAMBDA_FUNCTION_NAME"]),
    (Host::AzureFunctions, &["FUNCTION_APP", "FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_CUSTOMHANDLER_PORT"]),
    (Host::GoogleCloud, &["FUNCTION_NAME", "FUNCTION_TARGET", "K_SERVICE"]),
];

impl Host {
    /// The host whose sign is set; the first of several.
    pub fn detect(is_set: impl Fn(&str) -> bool) -> Self {
        let found = SIGNS.iter().find(|(_, names)| names.iter().any(|name| is_set(name)));
        found.map_or(Self::Server, |(host, _)| *host)
    }

    /// Its sizes.
    #[must_use]
    pub const fn sizes(self) -> Sizes {
        match self {
            Self::Server => Sizes { workers: 10, slow_attempts: 2_000, pool: 100 },
            Self::Lambda | Self::AzureFunctions | Self::GoogleCloud => {
                Sizes { workers: 2, slow_attempts: 50, pool: 5 }
            }
        }
    }

    /// For logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Lambda => "aws-lambda",
            Self::AzureFunctions => "azure-functions",
            Self::GoogleCloud => "google-cloud",
        }
    }
}
