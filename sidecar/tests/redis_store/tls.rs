//! TLS to Redis: who may vouch for it, who we are, and as which user.

use hookgate_e2e::TlsRedis;
use hookgate_sidecar::store::redis::{RedisSettings, RedisStore, RedisTls};
use hookgate_sidecar::store::{Store, StoreFault, StoreSettings};

use crate::assert_delivers;
use crate::fixture::*;

async fn read(path: std::path::PathBuf) -> Vec<u8> {
    tokio::fs::read(path).await.unwrap()
}

fn connect(url: String, tls: RedisTls) -> RedisStore {
    RedisStore::connect(&RedisSettings { tls, ..RedisSettings::at(url) }, StoreSettings::default()).unwrap()
}

#[tokio::test]
async fn a_server_is_trusted_by_its_authority_and_trusts_by_our_certificate() {
    let mut server = TlsRedis::start().await;
    let acl = ["ACL", "SETUSER", "hook", "on", ">p@ss/word", "~hg:*", "&hg:*", "+@all"];
    assert_eq!(server.plain().command(&acl).await, "OK");
    let (certificate, key) = server.client();
    let identity = Some((read(certificate).await, read(key).await));
    let ca = Some(read(server.ca()).await);
    let good = RedisTls { ca, identity };

    let store = connect(server.url(), good.clone());
    put(&store, &endpoint("a")).await;
    assert_delivers(&store, 0, "with both").await;
    let as_user = server.url().replace("rediss://", "rediss://hook:p%40ss%2Fword@");
    assert_delivers(&connect(as_user, good.clone()), 1, "as a user").await;

    let table = [
        ("nobody vouches for it", RedisTls { ca: None, ..good.clone() }),
        ("we show no certificate", RedisTls { identity: None, ..good.clone() }),
    ];
    for (what, tls) in table {
        assert_eq!(
            connect(server.url(), tls).ping().await.unwrap_err().fault,
            StoreFault::Unavailable,
            "{what}"
        );
    }
    let stranger = server.url().replace("rediss://", "rediss://hook:secret-word@");
    let error = connect(stranger, good).ping().await.unwrap_err();
    assert_eq!(error.fault, StoreFault::Broken, "a wrong password");
    assert!(!format!("{error:?}").contains("secret-word"));
}

#[tokio::test]
async fn a_file_that_is_no_certificate_is_refused_at_once() {
    let ca = Some(b"-----BEGIN CERTIFICATE-----\nsecret\n-----END CERTIFICATE-----\n".to_vec());
    let redis = RedisSettings { tls: RedisTls { ca, identity: None }, ..RedisSettings::at("rediss://h") };
    let error = RedisStore::connect(&redis, StoreSettings::default()).unwrap_err();
    assert_eq!(error.fault, StoreFault::Broken);
    assert!(!format!("{error:?}").contains("secret"));
}
