"""Signs, sends and verifies with the published packages of other people: standardwebhooks and stripe.

    independent.py send GATEWAY DEMO_SECRET STRIPE_SECRET   signs and sends; prints what came back, as JSON
    independent.py verify SECRET < deliveries.json          verifies [{"headers": {}, "body": "base64"}]; prints how many
"""

import base64
import json
import sys
import urllib.error
import urllib.request
from datetime import datetime, timezone

import stripe
from standardwebhooks import Webhook, WebhookVerificationError


def post(url, headers, body):
    """Status and body of one POST."""
    request = urllib.request.Request(url, data=body.encode(), headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return {"status": answer.status, "body": json.load(answer)}
    except urllib.error.HTTPError as answer:
        return {"status": answer.code, "body": json.load(answer)}


def standard_webhooks_headers(secret, message_id, body):
    now = datetime.now(timezone.utc)
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, now, body),
    }


def stripe_headers(secret, body):
    header = stripe.WebhookSignature.generate_signature_header(body, secret)
    return {"content-type": "application/json", "stripe-signature": header}


def send(gateway, demo_secret, stripe_secret):
    body = json.dumps({"type": "independent.sent", "object": "event", "text": "é – \u0001"}, ensure_ascii=False)
    altered = body.replace("sent", "bent")
    demo = standard_webhooks_headers(demo_secret, "msg_independent", body)
    of_stripe = stripe_headers(stripe_secret, body)
    results = {
        "standardwebhooks": post(gateway + "/in/demo", demo, body),
        "standardwebhooks, altered": post(gateway + "/in/demo", demo, altered),
        "stripe": post(gateway + "/in/stripe", of_stripe, body),
        "stripe, altered": post(gateway + "/in/stripe", of_stripe, altered),
    }
    json.dump(results, sys.stdout)


def refuses(check, *error):
    try:
        check()
    except error:
        return True
    return False


def verify(secret):
    deliveries = json.load(sys.stdin)
    for delivery in deliveries:
        headers, body = delivery["headers"], base64.b64decode(delivery["body"])
        Webhook(secret).verify(body, headers)
        stripe.Webhook.construct_event(body, headers["x-webhook-signature"], secret)
        # A verifier that takes anything would prove nothing.
        altered = body + b" "
        assert refuses(lambda: Webhook(secret).verify(altered, headers), WebhookVerificationError)
        assert refuses(
            lambda: stripe.Webhook.construct_event(altered, headers["x-webhook-signature"], secret),
            stripe.SignatureVerificationError,
        )
    json.dump({"verified": len(deliveries)}, sys.stdout)


{"send": send, "verify": verify}[sys.argv[1]](*sys.argv[2:])
