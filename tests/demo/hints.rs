//! What to try once the tour is over, ready to paste.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::message::PATH;
use crate::screen::Screen;
use crate::stage::Stage;

/// Shows it.
pub(crate) fn show(screen: Screen, stage: &Stage) {
    let (admin, envoy) = (stage.sidecar.admin(), stage.envoy.admin());
    screen.title("It stays up. In another terminal:");
    screen.fact("endpoints", format!("curl -s http://{admin}/v1/endpoints"));
    screen.fact("deliveries", format!("curl -s http://{admin}/v1/deliveries"));
    screen.fact("metrics", format!("curl -s http://{admin}/metrics"));
    screen.fact("filter", format!("curl -s http://{envoy}/stats/prometheus | grep hookgate"));
    screen.title("An event of your own (the secret lives as long as this tour):");
    println!("{}", signed_curl(stage.envoy.address(), stage.secrets.demo()));
    screen.title("Ctrl-C stops everything.");
}

/// Lines for a shell that sign an event with openssl and send it: Standard Webhooks, an HMAC-SHA256 over
/// `id.timestamp.body` with the decoded secret, in base64.
pub(crate) fn signed_curl(gateway: SocketAddr, secret: &str) -> String {
    let key = STANDARD.decode(secret.trim_start_matches("whsec_")).expect("a secret as the tour makes them");
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        r#"   id=msg_$(date +%s)_$$; ts=$(date +%s); body='{{"type":"order.paid","data":{{"from":"curl"}}}}'
   sig=$(printf '%s.%s.%s' "$id" "$ts" "$body" | openssl dgst -sha256 -mac HMAC -macopt hexkey:{key} -binary | base64)
   curl -i http://{gateway}{PATH} -H "webhook-id: $id" -H "webhook-timestamp: $ts" \
     -H "webhook-signature: v1,$sig" -H 'content-type: application/json' -d "$body""#
    )
}
