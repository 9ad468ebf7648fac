//! The harness holds what the other suites build on: real parts start, break and mend as told.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails loudly")]

use std::time::Duration;

use hookgate_e2e::client::NoAnswer;
use hookgate_e2e::envoy::Setup;
use hookgate_e2e::h2_client::H2Client;
use hookgate_e2e::prometheus::Prometheus;
use hookgate_e2e::redis::Persistence;
use hookgate_e2e::upstream::When;
use hookgate_e2e::{Answer, Client, Fault, Framing, Proxy, Receiver, Redis, Request, Upstream, wait_until};

const BOUND: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(100);

/// An Envoy without a filter, in front of one upstream.
const PLAIN: &str = r#"
admin: { address: { socket_address: { address: 127.0.0.1, port_value: 0 } } }
static_resources:
  listeners:
  - address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: plain
          codec_type: AUTO
          route_config:
            virtual_hosts:
            - { name: all, domains: ["*"], routes: [{ match: { prefix: / }, route: { cluster: upstream } }] }
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
  clusters:
  - name: upstream
    type: STATIC
    load_assignment:
      cluster_name: upstream
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: UPSTREAM } } } }] }]
"#;

fn plain_envoy(upstream: &Upstream) -> Setup {
    Setup::yaml(PLAIN).edit("UPSTREAM", &upstream.address().port().to_string())
}

#[tokio::test]
async fn the_receiver_plays_its_script_and_then_its_standing_answer() {
    let receiver = Receiver::start().await;
    receiver.answer(Answer::status(204));
    receiver.script([
        Answer::status(503).header("retry-after", "7").body("later"),
        Answer::Reset,
        Answer::Close,
        Answer::Hang,
        Answer::status(200).after(SHORT),
    ]);
    let request = Request::post("/hook?x=1").header("x-a", "1").body(b"\x00\xff bytes");
    let mut answers = Vec::new();
    for _ in 0..6 {
        let mut client = Client::connect(receiver.address()).await;
        for frame in request.frames() {
            client.write(&frame).await.unwrap();
        }
        answers.push(client.read(Duration::from_millis(500)).await.map(|answer| answer.status));
    }
    let told =
        [Ok(503), Err(NoAnswer::Reset), Err(NoAnswer::Closed), Err(NoAnswer::Silent), Ok(200), Ok(204)];
    assert_eq!(answers, told);
    let received = receiver.wait_for(6, BOUND).await;
    assert_eq!((received[5].method.as_str(), received[5].target.as_str()), ("POST", "/hook?x=1"));
    assert_eq!((received[5].header("x-a"), &received[5].body[..]), (Some("1"), &b"\x00\xff bytes"[..]));
    let statuses: Vec<_> = received.iter().map(|one| one.answered.map(|answered| answered.status)).collect();
    assert_eq!(statuses, [Some(Some(503)), Some(None), Some(None), None, Some(Some(200)), Some(Some(204))]);
    let took = received[4].answered.map(|answered| answered.at - received[4].at);
    assert!(took.is_some_and(|took| took >= SHORT), "{took:?}");
}

#[tokio::test]
async fn the_receiver_can_choose_its_answer_by_the_request() {
    let receiver = Receiver::start().await;
    receiver.answer_by(|number, request| {
        Answer::status(if request.target == "/first" && number == 0 { 201 } else { 404 })
    });
    for (target, status) in [("/first", 201), ("/first", 404)] {
        let answer = Client::call(receiver.address(), &Request::post(target)).await;
        assert_eq!(answer.status, status);
    }
}

#[tokio::test]
async fn the_upstream_shows_a_request_from_its_first_byte_on() {
    let upstream = Upstream::start().await;
    let frames = Request::post("/a").parts(["half", "rest"]).framing(Framing::Chunked).frames();
    let mut client = Client::connect(upstream.address()).await;
    client.write(&frames[0]).await.unwrap();
    client.write(&frames[1]).await.unwrap();
    let seen =
        upstream.wait_for("first half", BOUND, |seen| seen.iter().any(|one| one.message.body == b"half"));
    assert!(!seen.await[0].message.complete);
    client.reset();
    upstream.wait_for("cut request", BOUND, |seen| seen.iter().any(|one| one.cut_off)).await;
}

#[tokio::test]
async fn the_upstream_answers_when_it_is_told_to() {
    let upstream = Upstream::start().await;
    upstream.answer(When::Head, "HTTP/1.1 418 Early\r\ncontent-length: 0\r\n\r\n");
    let frames = Request::post("/a").body("never sent").frames();
    let mut client = Client::connect(upstream.address()).await;
    client.write(&frames[0]).await.unwrap();
    assert_eq!(client.read(BOUND).await.unwrap().status, 418);
}

#[tokio::test]
async fn the_proxy_breaks_and_mends() {
    let receiver = Receiver::start().await;
    let proxy = Proxy::start(receiver.address()).await;
    let request = Request::post("/").body("x");
    let mut kept = Client::connect(proxy.address()).await;
    assert_eq!(kept.send(&request).await.unwrap().status, 200, "no fault");

    proxy.set(Fault::Blackhole);
    for frame in request.frames() {
        kept.write(&frame).await.unwrap();
    }
    assert_eq!(kept.read(SHORT).await, Err(NoAnswer::Silent), "blackhole");
    assert_eq!(receiver.count(), 1, "nothing passes a blackhole");
    proxy.set(Fault::Delay(SHORT));
    assert_eq!(kept.read(BOUND).await.unwrap().status, 200, "what was held back passes when it mends");

    proxy.set(Fault::Cut);
    assert_eq!(kept.read(BOUND).await, Err(NoAnswer::Reset), "cut");
    let mut refused = Client::connect(proxy.address()).await;
    assert!(refused.send(&request).await.is_err(), "a cut proxy serves nobody");

    proxy.set(Fault::None);
    let mut half = Client::connect(proxy.address()).await;
    assert_eq!(half.send(&request).await.unwrap().status, 200, "mended");
    proxy.set(Fault::HalfClose);
    assert_eq!(half.read(BOUND).await, Err(NoAnswer::Closed), "the way back ended");
    let before = receiver.count();
    for frame in request.frames() {
        half.write(&frame).await.unwrap();
    }
    receiver.wait_for(before + 1, BOUND).await;
}

#[tokio::test]
async fn envoy_starts_on_free_ports_and_passes_requests_over_both_protocols() {
    let upstream = Upstream::start().await;
    let envoy = plain_envoy(&upstream).start().await;
    let request = Request::post("/in/a").header("x-a", "1").parts(["ab", "c"]).framing(Framing::Chunked);
    assert_eq!(Client::call(envoy.address(), &request).await.status, 200);
    let mut h2 = H2Client::connect(envoy.address()).await;
    assert_eq!(h2.call(&request).await.unwrap().status, 200);
    for seen in upstream.seen() {
        assert_eq!((seen.message.body.as_slice(), seen.message.header("x-a")), (&b"abc"[..], Some("1")));
    }
    assert_eq!(upstream.seen().len(), 2);
    assert_eq!(envoy.stat("http.plain.downstream_rq_2xx").await, 2);
    assert!(envoy.prometheus().await.contains("envoy_http_downstream_rq_total"));
}

#[tokio::test]
async fn an_envoy_with_a_bad_bootstrap_is_refused_and_says_why() {
    let upstream = Upstream::start().await;
    let bad = plain_envoy(&upstream).edit("stat_prefix", "stat_prefx");
    let refused = bad.try_start().await.expect_err("a misspelt field");
    assert!(refused.log.contains("stat_prefx"), "{}", refused.log);
    assert!(!bad.validate().status.success());
    assert!(plain_envoy(&upstream).validate().status.success());
}

#[tokio::test]
async fn redis_survives_kill_with_what_it_answered() {
    let mut redis = Redis::start(Persistence::Always).await;
    assert_eq!(redis.command(&["SET", "key", "value"]).await, "OK");
    redis.kill();
    redis.restart().await;
    assert_eq!(redis.command(&["GET", "key"]).await, "value");
    assert_eq!(redis.process().stop().await.code(), Some(0));
}

#[tokio::test]
async fn prometheus_scrapes_its_target() {
    let receiver = Receiver::start().await;
    receiver
        .answer(Answer::status(200).header("content-type", "text/plain; version=0.0.4").body("a_metric 7\n"));
    let prometheus = Prometheus::scraping(receiver.address()).await;
    let samples = wait_until("sample of a_metric", Duration::from_secs(30), || async {
        let result = prometheus.query("a_metric").await;
        if result.is_empty() { Err("no sample") } else { Ok(result) }
    });
    assert_eq!(samples.await[0].pointer("/value/1").unwrap(), "7");
}

#[tokio::test]
#[should_panic(expected = "no second request in 50ms; saw 1")]
async fn a_wait_says_what_it_awaited_and_what_it_saw() {
    wait_until("second request", Duration::from_millis(50), || async { Err::<(), _>(1) }).await;
}
