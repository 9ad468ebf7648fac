//! TLS to endpoints: who is trusted, and who a connection must prove to reach.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::TlsConnector;
use url::Host;

use super::EgressError;
use super::dial::Pipe;

/// TLS 1.2 and 1.3 by ring, HTTP/2 where the endpoint speaks it, the machine's authorities and `extra_roots`.
pub(super) fn config(
    extra_roots: impl IntoIterator<Item = CertificateDer<'static>>,
) -> Result<ClientConfig, EgressError> {
    let mut roots = rustls::RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "a certificate authority of the system could not be read");
    }
    roots.add_parsable_certificates(system.certs);
    for root in extra_roots {
        roots
            .add(root)
            .map_err(|source| EgressError { what: "an extra root certificate", source: source.into() })?;
    }
    if roots.is_empty() {
        tracing::warn!("no certificate authorities found: deliveries over https will fail");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| EgressError { what: "TLS versions", source: source.into() })?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The same without HTTP/2: a proxy is spoken to in HTTP/1.1.
pub(super) fn without_h2(config: &ClientConfig) -> ClientConfig {
    let mut config = config.clone();
    config.alpn_protocols.clear();
    config
}

/// Shakes hands with `host` over a stream. Whether HTTP/2 was agreed on comes along.
pub(super) async fn wrap(
    config: &Arc<ClientConfig>,
    host: Host<&str>,
    pipe: Pipe,
) -> io::Result<(Pipe, bool)> {
    let name = match host {
        Host::Domain(name) => ServerName::try_from(name.to_owned()).map_err(io::Error::other)?,
        Host::Ipv4(ip) => ServerName::IpAddress(std::net::IpAddr::from(ip).into()),
        Host::Ipv6(ip) => ServerName::IpAddress(std::net::IpAddr::from(ip).into()),
    };
    let stream = TlsConnector::from(Arc::clone(config)).connect(name, pipe).await?;
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok((Box::new(stream), h2))
}
