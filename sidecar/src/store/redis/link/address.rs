//! Where Redis is: a URL as a value, each host with what it takes to be let in.

use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, TlsCertificates};

use super::super::settings::{RedisSettings, RedisTls};

/// Where a Sentinel listens when the URL does not say.
const SENTINEL_PORT: u16 = 26379;

/// A way to Redis that cannot be. Never quotes it: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRedis {
    /// Of no known form.
    #[error(
        "expected redis://…, redis+unix://…, redis+sentinel://HOST,…/NAME or redis+cluster://HOST,… (rediss… for TLS)"
    )]
    Url,
    /// Sentinel without a name.
    #[error("a redis+sentinel:// URL names the primary: …/NAME or …/NAME/DB")]
    Name,
    /// A cluster's database.
    #[error("a redis+cluster:// URL has no database")]
    Database,
    /// Trust in anybody.
    #[error(
        "TLS without a check of the server's certificate (#insecure) is not supported; name its authority"
    )]
    Unchecked,
    /// A file that holds something else.
    #[error("a certificate or key for Redis is no PEM of its kind")]
    Certificates,
}

/// What there is to connect to.
#[derive(Clone)]
pub(super) enum Address {
    /// One server.
    Server(ConnectionInfo),
    /// Whichever server the Sentinels call the primary of `name`; it is `server` at another host.
    Sentinel { sentinels: Vec<ConnectionInfo>, name: String, server: ConnectionInfo },
    /// The nodes that are asked first for all the others.
    Cluster(Vec<ConnectionInfo>),
}

impl Address {
    pub(super) fn parse(settings: &RedisSettings) -> Result<Self, InvalidRedis> {
        let (scheme, rest) = settings.url.split_once("://").ok_or(InvalidRedis::Url)?;
        let Some((plain, kind)) = scheme.split_once('+').filter(|(_, kind)| *kind != "unix") else {
            return Ok(Self::Server(info(&settings.url, &settings.tls)?));
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = hosts.rsplit_once('@').map_or(("", hosts), |(user, hosts)| (user, hosts));
        let at = |host: &str, user: &str, path: &str| {
            let at = if user.is_empty() { "" } else { "@" };
            info(&format!("{plain}://{user}{at}{host}/{path}"), &settings.tls)
        };
        match kind {
            "sentinel" => {
                let (name, db) = path.split_once('/').unwrap_or((path, ""));
                if name.is_empty() {
                    return Err(InvalidRedis::Name);
                }
                let sentinels: Result<_, _> =
                    hosts.split(',').map(|host| at(&ported(host), "", "")).collect();
                let sentinels: Vec<ConnectionInfo> = sentinels?;
                let password = settings.sentinel_password.as_deref();
                Ok(Self::Sentinel {
                    sentinels: sentinels.into_iter().map(|sentinel| let_in(sentinel, password)).collect(),
                    name: name.to_owned(),
                    server: at("127.0.0.1", user, db)?,
                })
            }
            "cluster" if path.trim_matches('0').is_empty() => {
                Ok(Self::Cluster(hosts.split(',').map(|host| at(host, user, "")).collect::<Result<_, _>>()?))
            }
            "cluster" => Err(InvalidRedis::Database),
            _ => Err(InvalidRedis::Url),
        }
    }
}

/// The same server elsewhere: user, database and trust stay as they are.
pub(super) fn elsewhere(server: &ConnectionInfo, host: &str, port: u16) -> ConnectionInfo {
    let addr = match server.addr().clone() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure, tls_params }
        }
        ConnectionAddr::Tcp(..) | ConnectionAddr::Unix(_) | _ => ConnectionAddr::Tcp(host.to_owned(), port),
    };
    server.clone().set_addr(addr)
}

/// Host and port, of a server that has them.
pub(super) fn host_and_port(server: &ConnectionInfo) -> Option<(&str, u16)> {
    match server.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => Some((host, *port)),
        ConnectionAddr::Unix(_) | _ => None,
    }
}

/// The same server by another protocol.
pub(super) fn speaking(server: ConnectionInfo, protocol: ProtocolVersion) -> ConnectionInfo {
    let settings = server.redis_settings().clone().set_protocol(protocol);
    server.set_redis_settings(settings)
}

fn let_in(sentinel: ConnectionInfo, password: Option<&str>) -> ConnectionInfo {
    let Some(password) = password else { return sentinel };
    let settings = sentinel.redis_settings().clone().set_password(password);
    sentinel.set_redis_settings(settings)
}

/// With the port of Sentinels, when there is none. An IPv6 host stands in brackets.
fn ported(host: &str) -> String {
    let after = host.rsplit_once(']').map_or(host, |(_, after)| after);
    if after.contains(':') { host.to_owned() } else { format!("{host}:{SENTINEL_PORT}") }
}

fn info(url: &str, tls: &RedisTls) -> Result<ConnectionInfo, InvalidRedis> {
    let info = url.into_connection_info().or(Err(InvalidRedis::Url))?;
    match info.addr() {
        ConnectionAddr::TcpTls { insecure: true, .. } => Err(InvalidRedis::Unchecked),
        ConnectionAddr::TcpTls { .. } => trusting(info, tls),
        ConnectionAddr::Tcp(..) | ConnectionAddr::Unix(_) | _ => Ok(info),
    }
}

fn trusting(info: ConnectionInfo, tls: &RedisTls) -> Result<ConnectionInfo, InvalidRedis> {
    // the library takes the process's provider; one that is there already is as good
    let _already_there = rustls::crypto::ring::default_provider().install_default().is_err();
    let client_tls = tls
        .identity
        .clone()
        .map(|(client_cert, client_key)| redis::ClientTlsConfig { client_cert, client_key });
    let certificates = TlsCertificates { client_tls, root_cert: tls.ca.clone() };
    let client = Client::build_with_tls(info, certificates).or(Err(InvalidRedis::Certificates))?;
    Ok(client.get_connection_info().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Address, InvalidRedis> {
        Address::parse(&RedisSettings { sentinel_password: Some("own".to_owned()), ..RedisSettings::at(url) })
    }

    /// `user:password@host:port/db`
    fn words(info: &ConnectionInfo) -> String {
        let redis = info.redis_settings();
        let (user, password) = (redis.username().unwrap_or(""), redis.password().unwrap_or(""));
        format!("{user}:{password}@{}/{}", info.addr(), redis.db())
    }

    fn all(url: &str) -> Vec<String> {
        match parse(url).unwrap() {
            Address::Server(server) => vec![words(&server)],
            Address::Sentinel { sentinels, name, server } => {
                sentinels.iter().map(words).chain([name, words(&server)]).collect()
            }
            Address::Cluster(seeds) => seeds.iter().map(words).collect(),
        }
    }

    #[test]
    fn a_url_says_where_and_as_whom() {
        let table: [(&str, &[&str]); 6] = [
            ("redis://u:p%40@h/3", &["u:p@@h:6379/3"]),
            ("redis+unix:///run/redis", &[":@/run/redis/0"]),
            ("redis+sentinel://a,b:7/main", &[":own@a:26379/0", ":own@b:7/0", "main", ":@127.0.0.1:6379/0"]),
            ("redis+sentinel://u:p@[::1]/m/2", &[":own@::1:26379/0", "m", "u:p@127.0.0.1:6379/2"]),
            ("redis+cluster://u:p@a:1,b", &["u:p@a:1/0", "u:p@b:6379/0"]),
            ("rediss+cluster://a/0", &[":@a:6379/0"]),
        ];
        for (url, expected) in table {
            assert_eq!(all(url), expected, "{url}");
        }
    }

    #[test]
    fn a_url_that_says_too_little_is_refused() {
        let table = [
            ("", InvalidRedis::Url),
            ("http://h", InvalidRedis::Url),
            ("redis+other://h", InvalidRedis::Url),
            ("redis+sentinel://h", InvalidRedis::Name),
            ("redis+sentinel://h/", InvalidRedis::Name),
            ("redis+sentinel:///main", InvalidRedis::Url),
            ("redis+cluster://h/1", InvalidRedis::Database),
            ("redis+cluster://a,,b", InvalidRedis::Url),
            ("rediss://h/#insecure", InvalidRedis::Unchecked),
        ];
        for (url, expected) in table {
            assert_eq!(parse(url).err(), Some(expected), "{url}");
        }
    }

    #[test]
    fn another_host_keeps_user_database_and_trust() {
        let Ok(Address::Server(server)) = parse("rediss://u:p@a/3") else { panic!("a server") };
        let other = elsewhere(&server, "b", 7);
        assert_eq!(words(&other), "u:p@b:7/3");
        assert!(matches!(other.addr(), ConnectionAddr::TcpTls { tls_params: Some(_), .. }));
    }
}
