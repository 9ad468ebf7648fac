//! Signing, from the same parameters and with the same code as verification.

use super::{Key, Place, Scheme};

impl Scheme {
    /// The most keys a message is signed with; older ones are left out.
    pub const MAX_SIGNATURES: usize = 3;

    /// The headers, lower-case names, that make `body` a signed message.
    ///
    /// - `keys`: the live ones, newest first. One signature each, at most [`Self::MAX_SIGNATURES`]; a scheme whose
    ///   header holds a single signature takes the newest. Without a key there is nothing to sign with and the answer
    ///   is empty.
    /// - `id`: 1–256 visible ASCII bytes without what follows the id in the signed text (a `.` in Standard Webhooks);
    ///   the same for every attempt. Other ids are signed as they are, and refused by who verifies them.
    /// - `timestamp_s`: unix seconds of this attempt; the tolerance of who verifies it counts from there.
    /// - `body`: the exact bytes that are sent.
    ///
    /// ```
    /// # use hookgate_policy::Scheme;
    /// let scheme = Scheme::preset("x-webhook-signature").ok_or("no such preset")?;
    /// let key = scheme.key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").map_err(|_| "not a secret")?;
    /// let headers = scheme.sign(&[key], "msg_1", 1_760_000_000, b"{}");
    /// assert_eq!(headers[0].0, "x-webhook-signature");
    /// assert!(headers[0].1.starts_with("t=1760000000,v1="));
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn sign(&self, keys: &[Key], id: &str, timestamp_s: u64, body: &[u8]) -> Vec<(String, String)> {
        if keys.is_empty() {
            return Vec::new();
        }
        let timestamp = self.timestamp.as_ref().map(|rule| rule.unit.write(timestamp_s)).unwrap_or_default();
        let mut headers = Vec::with_capacity(3);
        if let Some(rule) = &self.id {
            headers.push((rule.header.to_string(), id.to_owned()));
        }
        let mut items = Vec::new();
        match self.timestamp.as_ref().map(|rule| &rule.place) {
            Some(Place::Header(name)) => headers.push((name.to_string(), timestamp.clone())),
            Some(Place::Item(tag)) => items.push(format!("{tag}{timestamp}")),
            None => {}
        }
        let opening = self.signed.opening(id.as_bytes(), timestamp.as_bytes());
        items.extend(keys.iter().take(self.signatures()).map(|key| self.signature_of(key, &opening, body)));
        headers.push((self.signature.header.to_string(), self.join(&items)));
        headers
    }

    const fn signatures(&self) -> usize {
        if self.signature.items.is_some() { Self::MAX_SIGNATURES } else { 1 }
    }

    fn signature_of(&self, key: &Key, opening: &[u8], body: &[u8]) -> String {
        let mut mac = key.start();
        mac.update(opening);
        mac.update(body);
        format!("{}{}", self.signature.tag, self.signature.encoding.encode(&mac.finish()))
    }

    fn join(&self, items: &[String]) -> String {
        let separator = self.signature.items.map(|separator| char::from(separator.byte()).to_string());
        items.join(&separator.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(preset: &str, secrets: &[&str]) -> Vec<(String, String)> {
        let scheme = Scheme::preset(preset).unwrap();
        let keys: Vec<_> = secrets.iter().map(|secret| scheme.key(secret).unwrap()).collect();
        scheme.sign(&keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#)
    }

    #[test]
    fn standard_webhooks_are_signed_as_the_specification_shows() {
        assert_eq!(
            sign("standard-webhooks", &["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]),
            [
                ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                ("webhook-timestamp", "1614265330"),
                ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn every_live_key_signs_up_to_three_newest_first() {
        let one = sign("x-webhook-signature", &["new"]);
        let four = sign("x-webhook-signature", &["new", "old", "older", "oldest"]);
        assert_eq!(four[0].1.matches(",v1=").count(), 3);
        assert!(four[0].1.starts_with(&one[0].1));
    }

    #[test]
    fn a_header_for_one_signature_gets_the_newest() {
        assert_eq!(sign("github", &["new", "old"]), sign("github", &["new"]));
        assert_eq!(sign("github", &["new"])[0].0, "x-github-delivery");
    }

    #[test]
    fn nothing_is_signed_without_a_key() {
        assert!(sign("stripe", &[]).is_empty());
    }
}
