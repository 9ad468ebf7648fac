//! By what a connection proves who we are: a client certificate and its key, read and found to belong together.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Formatter};
use std::sync::{Arc, Mutex, PoisonError};

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::SendError;
use crate::model::{ClientCertificate, Failure};

/// TLS sessions that one identity remembers.
const SESSIONS: usize = 64;

/// Why there is no identity in two texts. Shows neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentity {
    /// The first text.
    #[error("expected 1–8 certificates in PEM")]
    Certificate,
    /// The second.
    #[error("expected a private key in PEM, RSA, ECDSA or Ed25519, not encrypted")]
    Key,
    /// Both are sound, each for itself.
    #[error("expected the private key of the first certificate")]
    Mismatch,
}

/// A name for a certificate and its key by which a client is found again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Fingerprint([u8; SHA256_OUTPUT_LEN]);

impl Fingerprint {
    pub(super) fn of(certificate: &ClientCertificate) -> Self {
        let both = [certificate.certificate_pem.as_str(), "\0", &certificate.key_pem.0].concat();
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(digest(&SHA256, both.as_bytes()).as_ref());
        Self(bytes)
    }
}

impl Debug for Fingerprint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(…)")
    }
}

/// Checks a client certificate, early and with a clear answer.
///
/// # Errors
/// Which of the two is not what it should be.
pub fn check_identity(certificate: &ClientCertificate) -> Result<(), InvalidIdentity> {
    read(certificate).map(drop)
}

/// The TLS settings of every identity that was used of late.
#[derive(Debug, Default)]
pub(super) struct Identities(Mutex<BTreeMap<Fingerprint, Arc<ClientConfig>>>);

impl Identities {
    /// Identities kept; beyond it any one is forgotten, and read again when it is needed.
    const MOST: usize = 256;

    /// These settings, or the same with an identity: and without a session in common, for one that is resumed is not
    /// asked who it is again.
    pub(super) fn tls(
        &self,
        tls: &Arc<ClientConfig>,
        identity: Option<&ClientCertificate>,
    ) -> Result<Arc<ClientConfig>, SendError> {
        let Some(certificate) = identity else { return Ok(Arc::clone(tls)) };
        let fingerprint = Fingerprint::of(certificate);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(identified) = known.get(&fingerprint) {
            return Ok(Arc::clone(identified));
        }
        if known.len() >= Self::MOST {
            known.pop_first();
        }
        let identified = identified(tls, certificate).map(Arc::new).map_err(|error| SendError {
            failure: Failure::Unsendable,
            detail: format!("the client certificate is not usable: {error}"),
        })?;
        known.insert(fingerprint, Arc::clone(&identified));
        Ok(identified)
    }
}

fn identified(tls: &ClientConfig, certificate: &ClientCertificate) -> Result<ClientConfig, InvalidIdentity> {
    let mut tls = tls.clone();
    tls.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(read(certificate)?));
    tls.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(tls)
}

fn read(certificate: &ClientCertificate) -> Result<CertifiedKey, InvalidIdentity> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate.certificate_pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_not_pem| InvalidIdentity::Certificate)?;
    if !(1..=8).contains(&chain.len()) {
        return Err(InvalidIdentity::Certificate);
    }
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.0.as_bytes())
        .map_err(|_not_pem| InvalidIdentity::Key)?;
    let key =
        rustls::crypto::ring::sign::any_supported_type(&key).map_err(|_unknown| InvalidIdentity::Key)?;
    let both = CertifiedKey::new(chain, key);
    match both.keys_match() {
        Ok(()) => Ok(both),
        Err(rustls::Error::InconsistentKeys(_)) => Err(InvalidIdentity::Mismatch),
        Err(_no_certificate) => Err(InvalidIdentity::Certificate),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::model::Secret;

    fn pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    #[test]
    fn a_certificate_and_its_key_are_checked_together() {
        let ((one, its_key), (other, other_key)) = (pair(), pair());
        let table = [
            ("a pair", one.clone(), &its_key, Ok(())),
            ("a chain", format!("{one}{other}"), &its_key, Ok(())),
            ("the wrong way round", format!("{other}{one}"), &its_key, Err(InvalidIdentity::Mismatch)),
            ("another's key", one.clone(), &other_key, Err(InvalidIdentity::Mismatch)),
            ("a key for a certificate", its_key.clone(), &its_key, Err(InvalidIdentity::Certificate)),
            ("nothing", String::new(), &its_key, Err(InvalidIdentity::Certificate)),
            ("too long a chain", one.repeat(9), &its_key, Err(InvalidIdentity::Certificate)),
            ("no key", one.clone(), &one, Err(InvalidIdentity::Key)),
            (
                "a certificate that is none",
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
                &its_key,
                Err(InvalidIdentity::Certificate),
            ),
        ];
        for (promise, certificate_pem, key, expected) in table {
            let certificate = ClientCertificate { certificate_pem, key_pem: Secret(key.clone()) };
            assert_eq!(check_identity(&certificate), expected, "{promise}");
        }
    }
}
