//! The way out through a proxy: the guard stays here, the endpoint stays who it is, the proxy costs one deadline.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hookgate_sidecar::delivery::attempt::{HttpTransport, Sent, Transport};
use hookgate_sidecar::delivery::egress::{Egress, EgressProxy, EgressSettings};
use hookgate_sidecar::model::{Failure, Outcome};
use hookgate_sidecar::store::Lease;
use rustls::pki_types::CertificateDer;

use crate::egress::{Names, reaching};
use crate::support::{Manner, Proxy, Receiver, TokioClock, http, lease_to, wait_until};
use crate::tls::{issuer, server};

/// Through `url`, with `bypass`.
fn through(url: &str, bypass: &str) -> EgressSettings {
    let (url, bypass) = (url.parse().unwrap(), bypass.parse().unwrap());
    EgressSettings { proxy: Some(EgressProxy { url, bypass, resolves: false }), ..reaching("127.0.0.0/8") }
}

fn names() -> Arc<Names> {
    Names::of([
        ("good.example", &[&["127.0.0.1"], &["127.0.0.1"], &["127.0.0.1"]]),
        ("inner.example", &[&["10.0.0.1"]]),
        ("proxy.example", &[&["127.0.0.1"], &["127.0.0.1"]]),
    ])
}

async fn send(settings: EgressSettings, root: Option<CertificateDer<'static>>, lease: &Lease) -> Sent {
    let egress = Egress::with_resolver(settings, root, names()).unwrap();
    HttpTransport::new(Arc::new(egress), TokioClock::start()).unwrap().send(lease).await
}

#[tokio::test]
async fn the_proxy_is_asked_for_the_checked_address_and_the_endpoint_keeps_its_name() {
    let receiver = Receiver::start(http("200 OK", "", "ok")).await;
    let port = receiver.address.port();
    let lease = lease_to(&format!("http://good.example:{port}/"));
    for (promise, scheme, login, manner) in [
        ("http", "http", "", Manner::Connect),
        ("http with a login", "http", "user:s3cret@", Manner::Connect),
        ("socks5", "socks5", "", Manner::Socks { login: false }),
        ("socks5 with a login", "socks5", "user:s3cret@", Manner::Socks { login: true }),
    ] {
        let proxy = Proxy::start(manner, receiver.address).await;
        let url = format!("{scheme}://{login}{}", proxy.address);
        let sent = send(through(&url, ""), None, &lease).await;
        assert_eq!(sent.reply.outcome, Outcome::Answered(200), "{promise}: {sent:?}");
        let basic = if promise == "http with a login" { " Basic dXNlcjpzM2NyZXQ=" } else { "" };
        assert_eq!(proxy.asked(), [format!("127.0.0.1:{port}{basic}")], "{promise}");
        let request = receiver.requests().pop().unwrap();
        assert_eq!(request.header("host"), format!("good.example:{port}"), "{promise}");
        assert!(request.head.starts_with("POST / HTTP/1.1"), "{promise}: {}", request.head);
        assert_eq!(request.all("proxy-authorization"), [""; 0], "{promise}: the login is the proxy's alone");
    }
}

#[tokio::test]
async fn the_proxy_is_asked_for_ipv6_in_its_own_form() {
    let receiver = Receiver::start(http("200 OK", "", "ok")).await;
    for (scheme, manner) in [("http", Manner::Connect), ("socks5", Manner::Socks { login: false })] {
        let proxy = Proxy::start(manner, receiver.address).await;
        let mut settings = through(&format!("{scheme}://{}", proxy.address), "");
        settings.allow = "fd00::/8".parse().unwrap();
        let sent = send(settings, None, &lease_to("http://[fd00::1]/")).await;
        assert_eq!(sent.reply.outcome, Outcome::Answered(200), "{scheme}: {sent:?}");
        assert_eq!(proxy.asked(), ["[fd00::1]:80"]);
        assert_eq!(receiver.requests().pop().unwrap().header("host"), "[fd00::1]");
    }
}

#[tokio::test]
async fn tls_to_the_endpoint_and_to_the_proxy_prove_two_different_names() {
    let issuer = issuer();
    let receiver = Receiver::start_tls(http("200 OK", "", "ok"), server(Some(&issuer), |_| {})).await;
    let at_proxy = server(Some(&issuer), |params| {
        params.subject_alt_names =
            rcgen::CertificateParams::new(["proxy.example".to_owned()]).unwrap().subject_alt_names;
    });
    let proxy = Proxy::start_tls(at_proxy, receiver.address).await;
    let lease = lease_to(&format!("https://good.example:{}/", receiver.address.port()));
    let url = format!("https://proxy.example:{}", proxy.address.port());
    let sent = send(through(&url, ""), Some(issuer.der().clone()), &lease).await;
    assert_eq!(sent.reply.outcome, Outcome::Answered(200), "{sent:?}");
    assert_eq!(proxy.asked(), [receiver.address.to_string()]);
    let url = format!("https://{}", proxy.address);
    let sent = send(through(&url, ""), Some(issuer.der().clone()), &lease).await;
    assert_eq!(sent.reply.outcome, Outcome::Failed(Failure::Connect), "not the proxy we meant: {sent:?}");
    assert_eq!(proxy.asked().len(), 1);
}

#[tokio::test]
async fn what_is_refused_is_not_even_asked_for() {
    let receiver = Receiver::start(http("200 OK", "", "")).await;
    let proxy = Proxy::start(Manner::Connect, receiver.address).await;
    let mut settings = through(&format!("http://{}", proxy.address), "");
    settings.allow = "192.168.0.0/16".parse().unwrap();
    settings.ports.push(receiver.address.port());
    for host in ["127.0.0.1", "inner.example", "good.example", "[::ffff:127.0.0.1]", "169.254.169.254"] {
        let lease = lease_to(&format!("http://{host}:{}/", receiver.address.port()));
        let sent = send(settings.clone(), None, &lease).await;
        assert_eq!(sent.reply.outcome, Outcome::Failed(Failure::Egress), "{host}: {sent:?}");
    }
    assert_eq!((proxy.asked().len(), receiver.connections()), (0, 0));
}

#[tokio::test]
async fn addresses_that_bypass_the_proxy_are_reached_without_it() {
    let receiver = Receiver::start(http("200 OK", "", "")).await;
    let proxy = Proxy::start(Manner::Connect, receiver.address).await;
    let settings = through(&format!("http://{}", proxy.address), "127.0.0.1");
    let sent = send(settings, None, &lease_to(&receiver.url())).await;
    assert_eq!(sent.reply.outcome, Outcome::Answered(200), "{sent:?}");
    assert_eq!(proxy.asked(), [""; 0]);
}

#[tokio::test]
async fn a_proxy_that_resolves_is_asked_for_the_name() {
    let receiver = Receiver::start(http("200 OK", "", "")).await;
    for (scheme, manner) in [("http", Manner::Connect), ("socks5", Manner::Socks { login: false })] {
        let proxy = Proxy::start(manner, receiver.address).await;
        let mut settings = through(&format!("{scheme}://{}", proxy.address), "");
        settings.proxy.as_mut().unwrap().resolves = true;
        let sent = send(settings.clone(), None, &lease_to("http://unknown.example/")).await;
        assert_eq!(sent.reply.outcome, Outcome::Answered(200), "{sent:?}");
        assert_eq!(proxy.asked(), ["unknown.example:80"]);
        for refused in ["http://10.0.0.1/", "http://db.internal/", "http://unknown.example:25/"] {
            let sent = send(settings.clone(), None, &lease_to(refused)).await;
            assert_eq!(sent.reply.outcome, Outcome::Failed(Failure::Egress), "{refused}: {sent:?}");
        }
        assert_eq!(proxy.asked().len(), 1, "URLs are judged here all the same");
    }
}

#[tokio::test]
async fn a_proxy_in_trouble_costs_one_bounded_attempt_and_shows_no_login() {
    let receiver = Receiver::start(http("200 OK", "", "")).await;
    let mut lease = lease_to(&receiver.url());
    Arc::make_mut(&mut lease.endpoint).timeout_ms = 300;
    for (promise, manner, scheme, failure) in [
        ("it says no", Manner::Refuse, "http", Failure::Connect),
        ("it never answers", Manner::Silent, "http", Failure::Timeout),
        ("its answer has no end", Manner::Endless, "http", Failure::Connect),
        ("it wants another login", Manner::Socks { login: true }, "socks5", Failure::Connect),
        ("it speaks another protocol", Manner::Connect, "socks5", Failure::Timeout),
    ] {
        let proxy = Proxy::start(manner, receiver.address).await;
        let sent = send(through(&format!("{scheme}://user:wr0ng@{}", proxy.address), ""), None, &lease).await;
        assert_eq!(sent.reply.outcome, Outcome::Failed(failure), "{promise}: {sent:?}");
        assert!(!sent.detail.unwrap().contains("wr0ng"), "{promise}");
        assert!(sent.duration < Duration::from_secs(2), "{promise}: {:?}", sent.duration);
    }
    let closed = Proxy::start(Manner::Connect, receiver.address).await.address;
    let sent = send(through(&format!("http://{closed}"), ""), None, &lease).await;
    assert_eq!(sent.reply.outcome, Outcome::Failed(Failure::Connect), "it is not there: {sent:?}");
    assert!(sent.detail.unwrap().starts_with("egress proxy: "), "the operator knows whom to ask");
    assert_eq!(receiver.connections(), 0, "there is no way around it");
}

/// Makes an attempt in a process whose environment names a proxy.
pub(crate) async fn proxies_of_the_environment_are_ignored() {
    let proxy = Proxy::start(Manner::Connect, ([127, 0, 0, 1], 9).into()).await;
    let url = format!("http://{}", proxy.address);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "attempts::retry_after_is_brought_back"]);
    for variable in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env(variable, &url).env(variable.to_lowercase(), &url);
    }
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && told.contains("1 passed"), "an attempt was made: {told}");
    assert_eq!(proxy.asked(), [""; 0]);
}

#[tokio::test]
async fn a_tunnel_is_kept_for_the_next_attempt() {
    let receiver = Receiver::start(http("200 OK", "", "")).await;
    let proxy = Proxy::start(Manner::Connect, receiver.address).await;
    let settings = through(&format!("http://{}", proxy.address), "");
    let egress = Arc::new(Egress::with_resolver(settings, [], names()).unwrap());
    let transport = HttpTransport::new(egress, TokioClock::start()).unwrap();
    for _ in 0..3 {
        let sent = transport.send(&lease_to(&receiver.url())).await;
        assert_eq!(sent.reply.outcome, Outcome::Answered(200), "{sent:?}");
    }
    assert_eq!((proxy.asked().len(), receiver.connections()), (1, 1));
    drop(transport);
    let closed = || if receiver.open() == 0 { Ok(()) } else { Err(receiver.open()) };
    wait_until("the tunnel to end with the way out", closed).await;
}
