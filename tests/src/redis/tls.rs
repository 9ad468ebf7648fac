//! A Redis that speaks TLS and asks for a certificate, with an authority of its own.

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use tempfile::TempDir;

use super::{Persistence, Redis, owned};
use crate::artefacts;
use crate::ports::Port;

/// Listens with TLS, and without it for the harness.
#[derive(Debug)]
pub struct TlsRedis {
    redis: Redis,
    port: Port,
    folder: TempDir,
}

impl TlsRedis {
    /// Starts one that lets in only who shows a certificate of its authority.
    ///
    /// # Panics
    /// When it does not come up: not every build of Redis has TLS.
    pub async fn start() -> Self {
        let (folder, port) = (TempDir::with_prefix("hookgate-tls-").expect("a folder"), Port::reserve());
        issue(&folder);
        let file = |name: &str| folder.path().join(name).display().to_string();
        let mut arguments = Persistence::Always.arguments();
        arguments.extend(owned(&["--tls-port", &port.number().to_string(), "--tls-auth-clients", "yes"]));
        arguments.extend(owned(&[
            "--tls-cert-file",
            &file("server.pem"),
            "--tls-key-file",
            &file("server.key"),
        ]));
        arguments.extend(owned(&["--tls-ca-cert-file", &file("ca.pem")]));
        Self { redis: Redis::start_binary(artefacts::redis_tls_server(), arguments).await, port, folder }
    }

    /// The same server, over the connection without TLS.
    pub fn plain(&mut self) -> &mut Redis {
        &mut self.redis
    }

    /// `rediss://…`
    #[must_use]
    pub fn url(&self) -> String {
        format!("rediss://{}", self.port.address())
    }

    /// Who vouches for it.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate that it lets in, and the key.
    #[must_use]
    pub fn client(&self) -> (PathBuf, PathBuf) {
        (self.folder.path().join("client.pem"), self.folder.path().join("client.key"))
    }
}

fn issue(folder: &TempDir) {
    let write =
        |name: &str, pem: String| std::fs::write(folder.path().join(name), pem).expect("an own folder");
    let mut authority = CertificateParams::default();
    // a name of its own: a certificate whose issuer has the same name counts as self-signed
    authority.distinguished_name.push(DnType::CommonName, "the authority of a test");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    write("ca.pem", authority.pem());
    for (name, purpose) in
        [("server", ExtendedKeyUsagePurpose::ServerAuth), ("client", ExtendedKeyUsagePurpose::ClientAuth)]
    {
        let mut params =
            CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        write(&format!("{name}.pem"), params.signed_by(&key, &authority).unwrap().pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}
