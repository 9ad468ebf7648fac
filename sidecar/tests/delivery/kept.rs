//! Connections that are kept: few, shared where they can be, judged again before every use.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use hookgate_sidecar::delivery::attempt::{HttpTransport, Transport};
use hookgate_sidecar::delivery::egress::{Egress, EgressSettings};
use hookgate_sidecar::model::{Failure, Outcome};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::egress::{Names, allowing, over, reaching};
use crate::support::{Receiver, TokioClock, http, lease_to, wait_until};
use crate::tls::{issuer, server};

const OK: Outcome = Outcome::Answered(200);
const AT_ONCE: usize = 10;

/// So many attempts, ten at once; all must succeed.
async fn deliver(transport: &HttpTransport, url: &str, attempts: usize) {
    let lease = lease_to(url);
    let outcomes = stream::iter(0..attempts)
        .map(|_| async { transport.send(&lease).await })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    for sent in outcomes {
        assert_eq!(sent.reply.outcome, OK, "{sent:?}");
    }
}

/// An HTTP/2 endpoint that leaves its first `silent` requests without an answer.
struct Http2 {
    port: u16,
    root: CertificateDer<'static>,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Http2 {
    async fn start(silent: usize) -> Self {
        let (issuer, listener) = (issuer(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let mut config = server(Some(&issuer), |_| {});
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (port, connections) = (listener.local_addr().unwrap().port(), Arc::<AtomicUsize>::default());
        let (counted, requests) = (Arc::clone(&connections), Arc::<AtomicUsize>::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut serving = JoinSet::new();
            loop {
                let stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
                counted.fetch_add(1, SeqCst);
                let requests = Arc::clone(&requests);
                let service = service_fn(move |_request| answer(requests.fetch_add(1, SeqCst) < silent));
                let http = http2::Builder::new(TokioExecutor::new());
                serving.spawn(http.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { port, root: issuer.der().clone(), connections, _tasks: tasks }
    }
}

async fn answer(silent: bool) -> http::Result<http::Response<String>> {
    if silent {
        std::future::pending::<()>().await;
    }
    http::Response::builder().body("ok".to_owned())
}

fn over_tls(root: CertificateDer<'static>) -> HttpTransport {
    let settings = EgressSettings { names_fresh: Duration::from_secs(60), ..reaching("127.0.0.0/8") };
    let egress = Egress::with_resolver(settings, [root], Names::of([("good.example", &[&["127.0.0.1"]])]));
    HttpTransport::new(Arc::new(egress.unwrap()), TokioClock::start()).unwrap()
}

#[tokio::test]
async fn http1_opens_no_more_connections_than_there_are_attempts_at_once() {
    let receiver = Receiver::start(http("200 OK", "", "ok")).await;
    let transport = allowing("127.0.0.0/8", Names::of([]));
    deliver(&transport, &receiver.url(), 1_000).await;
    assert_eq!(receiver.requests().len(), 1_000);
    assert!(receiver.connections() <= AT_ONCE, "{}", receiver.connections());
}

#[tokio::test]
async fn http1_over_tls_does_as_well() {
    let issuer = issuer();
    let receiver = Receiver::start_tls(http("200 OK", "", "ok"), server(Some(&issuer), |_| {})).await;
    let transport = over_tls(issuer.der().clone());
    deliver(&transport, &format!("https://good.example:{}/", receiver.address.port()), 200).await;
    assert!(receiver.connections() <= AT_ONCE, "{}", receiver.connections());
}

#[tokio::test]
async fn http2_opens_one() {
    let endpoint = Http2::start(0).await;
    let transport = over_tls(endpoint.root.clone());
    deliver(&transport, &format!("https://good.example:{}/", endpoint.port), 1_000).await;
    assert_eq!(endpoint.connections.load(SeqCst), 1);
}

#[tokio::test]
async fn an_http2_connection_that_brought_no_answer_in_time_is_not_used_again() {
    let endpoint = Http2::start(1).await;
    let transport = over_tls(endpoint.root.clone());
    let mut lease = lease_to(&format!("https://good.example:{}/", endpoint.port));
    Arc::make_mut(&mut lease.endpoint).timeout_ms = 300;
    let outcomes =
        [transport.send(&lease).await, transport.send(&lease).await].map(|sent| sent.reply.outcome);
    assert_eq!(outcomes, [Outcome::Failed(Failure::Timeout), OK]);
    assert_eq!(endpoint.connections.load(SeqCst), 2);
}

#[tokio::test]
async fn a_kept_connection_is_judged_again_before_every_use() {
    let receiver = Receiver::start(http("200 OK", "", "")).await;
    let port = receiver.address.port();
    let names = Names::of([
        ("refused.example", &[&["127.0.0.1"], &["169.254.169.254"]]),
        ("mixed.example", &[&["127.0.0.1"], &["127.0.0.1", "10.0.0.1"]]),
        ("gone.example", &[&["127.0.0.1"]]),
        ("moved.example", &[&["127.0.0.1"], &["127.0.0.2"]]),
    ]);
    let transport = allowing("127.0.0.0/8", names);
    for (host, then) in [
        ("refused.example", Failure::Egress),
        ("mixed.example", Failure::Egress),
        ("gone.example", Failure::Dns),
        ("moved.example", Failure::Connect),
    ] {
        let (lease, before) = (lease_to(&format!("http://{host}:{port}/")), receiver.requests().len());
        assert_eq!(transport.send(&lease).await.reply.outcome, OK, "{host}");
        let again = transport.send(&lease).await;
        assert_eq!(again.reply.outcome, Outcome::Failed(then), "{host}: {again:?}");
        assert_eq!(receiver.requests().len(), before + 1, "{host}: nothing went over the old connection");
    }
}

#[tokio::test]
async fn a_kept_connection_to_what_became_our_own_listener_is_not_used() {
    let receiver = Receiver::start(http("200 OK", "", "")).await;
    let settings = reaching("127.0.0.0/8");
    let transport = over(settings.clone(), Names::of([]));
    assert_eq!(transport.send(&lease_to(&receiver.url())).await.reply.outcome, OK);
    settings.own.add(receiver.address);
    let again = transport.send(&lease_to(&receiver.url())).await;
    assert_eq!(again.reply.outcome, Outcome::Failed(Failure::Egress), "{again:?}");
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn a_changed_name_is_noticed_once_the_answer_is_no_longer_fresh() {
    let receiver = Receiver::start(http("200 OK", "", "")).await;
    let names = Names::of([("turns.example", &[&["127.0.0.1"], &["169.254.169.254"]])]);
    let defaults = EgressSettings { allow: "127.0.0.0/8".parse().unwrap(), ..EgressSettings::default() };
    let transport = over(defaults, names);
    let lease = lease_to(&format!("http://turns.example:{}/", receiver.address.port()));
    for _ in 0..3 {
        assert_eq!(transport.send(&lease).await.reply.outcome, OK);
    }
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(5)).await;
    tokio::time::resume();
    let later = transport.send(&lease).await;
    assert_eq!(later.reply.outcome, Outcome::Failed(Failure::Egress), "{later:?}");
    assert_eq!(receiver.requests().len(), 3);
}

#[tokio::test]
async fn what_rests_is_bounded_and_ends() {
    let receiver = Receiver::start(http("200 OK", "", "")).await;
    let transport = over(EgressSettings { kept: 2, ..reaching("127.0.0.0/8") }, Names::of([]));
    deliver(&transport, &receiver.url(), 50).await;
    let open =
        |count| move |receiver: &Receiver| (receiver.open() == count).then_some(()).ok_or(receiver.open());
    wait_until("all but two to be closed", || open(2)(&receiver)).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(6)).await;
    tokio::time::resume();
    wait_until("the rest to be closed after a while", || open(0)(&receiver)).await;
    deliver(&transport, &receiver.url(), 1).await;
}
