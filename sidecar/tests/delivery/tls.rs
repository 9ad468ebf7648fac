//! TLS: only who proves to be the endpoint gets the event, and never in the clear instead.

use std::sync::Arc;

use hookgate_sidecar::delivery::attempt::{HttpTransport, Sent, Transport};
use hookgate_sidecar::delivery::egress::{Egress, EgressSettings};
use hookgate_sidecar::model::{ClientCertificate, Failure, Outcome, Secret};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::egress::Names;
use crate::support::{Receiver, TokioClock, http, lease_to};

pub(crate) type Issuer = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn issuer() -> Issuer {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server's certificate for `good.example`, with one thing changed.
pub(crate) fn server(issuer: Option<&Issuer>, change: impl FnOnce(&mut CertificateParams)) -> ServerConfig {
    let (mut params, key) =
        (CertificateParams::new(["good.example".to_owned()]).unwrap(), KeyPair::generate().unwrap());
    change(&mut params);
    let certificate = match issuer {
        Some(issuer) => params.signed_by(&key, issuer).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap()
}

/// The same, for those only who have a certificate of `clients`.
fn demanding(issuer: &Issuer, clients: &Issuer) -> ServerConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(clients.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let (params, key) =
        (CertificateParams::new(["good.example".to_owned()]).unwrap(), KeyPair::generate().unwrap());
    let certificate = params.signed_by(&key, issuer).unwrap().der().clone();
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![certificate], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap()
}

fn client_of(issuer: &Issuer) -> ClientCertificate {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([]).unwrap().signed_by(&key, issuer).unwrap();
    ClientCertificate { certificate_pem: certificate.pem(), key_pem: Secret(key.serialize_pem()) }
}

#[tokio::test]
async fn an_endpoint_that_asks_for_a_client_certificate_gets_its_own_and_no_other() {
    let (issuer, clients) = (issuer(), issuer());
    let config = demanding(&issuer, &clients);
    let receiver = Receiver::start_tls(http("200 OK", "", "ok"), config).await;
    let settings = EgressSettings { allow: "127.0.0.0/8".parse().unwrap(), ..EgressSettings::default() };
    let names = Names::of([("good.example", &[&["127.0.0.1"] as &[&str]; 8] as &[&[&str]])]);
    let egress = Egress::with_resolver(settings, [issuer.der().clone()], names).unwrap();
    let transport = HttpTransport::new(Arc::new(egress), TokioClock::start()).unwrap();
    let lease = |certificate: Option<ClientCertificate>| {
        let mut lease = lease_to(&format!("https://good.example:{}/", receiver.address.port()));
        Arc::make_mut(&mut lease.endpoint).client_certificate = certificate;
        lease
    };
    let good = client_of(&clients);
    for (promise, certificate, outcome, connections) in [
        ("its own", Some(good.clone()), Outcome::Answered(200), 1),
        ("over one connection", Some(good), Outcome::Answered(200), 1),
        ("none, though somebody else's connection is open", None, Outcome::Failed(Failure::Tls), 2),
        ("of another authority", Some(client_of(&issuer)), Outcome::Failed(Failure::Tls), 3),
        ("another of the same", Some(client_of(&clients)), Outcome::Answered(200), 4),
    ] {
        let sent = transport.send(&lease(certificate)).await;
        assert_eq!(sent.reply.outcome, outcome, "{promise}: {sent:?}");
        assert_eq!(receiver.connections(), connections, "{promise}");
    }
    assert_eq!(receiver.requests().len(), 3);
}

async fn deliver(port: u16, trusted: CertificateDer<'static>) -> Sent {
    let settings = EgressSettings { allow: "127.0.0.0/8".parse().unwrap(), ..EgressSettings::default() };
    let names = Names::of([("good.example", &[&["127.0.0.1"]])]);
    let egress = Egress::with_resolver(settings, [trusted], names).unwrap();
    let transport = HttpTransport::new(Arc::new(egress), TokioClock::start()).unwrap();
    transport.send(&lease_to(&format!("https://good.example:{port}/"))).await
}

#[tokio::test]
async fn an_endpoint_with_a_good_certificate_gets_the_event() {
    let issuer = issuer();
    let receiver = Receiver::start_tls(http("200 OK", "", "ok"), server(Some(&issuer), |_| {})).await;
    let sent = deliver(receiver.address.port(), issuer.der().clone()).await;
    assert_eq!((sent.reply.outcome, sent.response.as_str()), (Outcome::Answered(200), "ok"), "{sent:?}");
    assert_eq!(receiver.requests().len(), 1);
}

/// Serves HTTP/2 on one connection after another, and sends the head of every request on.
async fn serve_h2(
    listener: TcpListener,
    mut config: ServerConfig,
    heads: mpsc::Sender<http::request::Parts>,
) {
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    loop {
        let stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        let heads = heads.clone();
        let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let sent = heads.try_send(request.into_parts().0);
            std::future::ready(sent.map(|()| http::Response::new("ok".to_owned())))
        });
        let serving =
            http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
        serving.await.unwrap();
    }
}

#[tokio::test]
async fn http2_is_spoken_where_it_is_offered() {
    let (issuer, listener) = (issuer(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let (port, (heads, mut seen)) = (listener.local_addr().unwrap().port(), mpsc::channel(8));
    let mut serving = JoinSet::new();
    serving.spawn(serve_h2(listener, server(Some(&issuer), |_| {}), heads));
    let sent = deliver(port, issuer.der().clone()).await;
    assert_eq!((sent.reply.outcome, sent.response.as_str()), (Outcome::Answered(200), "ok"), "{sent:?}");
    let head = seen.recv().await.unwrap();
    assert_eq!(head.version, http::Version::HTTP_2);
    assert_eq!(head.uri.authority().unwrap().as_str(), format!("good.example:{port}"));
    assert!(head.headers.contains_key("webhook-signature") && !head.headers.contains_key("host"));
}

#[tokio::test]
async fn an_endpoint_without_one_gets_nothing() {
    let issuer = issuer();
    for (promise, config) in [
        ("self-signed", server(None, |_| {})),
        ("of an unknown authority", server(Some(&self::issuer()), |_| {})),
        (
            "for another name",
            server(Some(&issuer), |params| {
                params.subject_alt_names =
                    CertificateParams::new(["other.example".to_owned()]).unwrap().subject_alt_names;
            }),
        ),
        ("expired", server(Some(&issuer), |params| params.not_after = date_time_ymd(2020, 1, 1))),
    ] {
        let receiver = Receiver::start_tls(http("200 OK", "", ""), config).await;
        let sent = deliver(receiver.address.port(), issuer.der().clone()).await;
        assert_eq!(sent.reply.outcome, Outcome::Failed(Failure::Tls), "{promise}: {sent:?}");
        assert_eq!((receiver.requests().len(), receiver.connections()), (0, 1), "{promise}: no second way");
    }
}

#[tokio::test]
async fn an_endpoint_that_speaks_no_tls_gets_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut answering = JoinSet::new();
    answering.spawn(async move {
        let mut stream = listener.accept().await.unwrap().0;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).await.map(|_| received)
    });
    let sent = deliver(port, issuer().der().clone()).await;
    assert_eq!(sent.reply.outcome, Outcome::Failed(Failure::Tls), "{sent:?}");
    let received = answering.join_next().await.unwrap().unwrap().unwrap_or_default();
    assert!(!received.windows(7).any(|seven| seven == b"webhook"), "nothing in the clear");
}
