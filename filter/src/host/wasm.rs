//! The real gateway: [`Host`] over the ABI.

use hookgate_policy::UnixMicros;

use super::status::{CAS_MISMATCH, EMPTY, NOT_FOUND, OK, PARSE_FAILURE};
use super::{Host, HostError, Level, Line, MetricId, Reply, header, pairs};
use crate::abi::{self, kind};

/// The gateway this VM runs in. Carries nothing: the host knows whose callback is running.
#[derive(Debug, Clone, Copy)]
pub struct Gateway;

fn done(call: &'static str, status: u32) -> Result<(), HostError> {
    if status == OK { Ok(()) } else { Err(HostError { call, status }) }
}

impl Host for Gateway {
    fn now(&mut self) -> Result<UnixMicros, HostError> {
        let (status, nanoseconds) = abi::now_ns();
        done("get_current_time_nanoseconds", status).map(|()| UnixMicros(nanoseconds / 1_000))
    }

    fn entropy(&mut self) -> Result<u128, HostError> {
        let mut bytes = [0; 16];
        done("random_get", abi::random(&mut bytes)).map(|()| u128::from_le_bytes(bytes))
    }

    fn configuration(&mut self, len: usize) -> Result<Vec<u8>, HostError> {
        buffer(kind::PLUGIN_CONFIGURATION, 0, len)
    }

    #[expect(clippy::disallowed_methods, reason = "this is where the filter reads its environment")]
    fn variable(&mut self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn log(&mut self, level: Level, line: &str) {
        // A host that cannot log has nobody to tell.
        let _status = abi::log(level as u32, line.as_bytes());
    }

    fn request_headers(&mut self) -> Result<Vec<Line>, HostError> {
        const CALL: &str = "get_header_map_pairs";
        let (status, bytes) = abi::header_pairs(kind::REQUEST_HEADERS);
        done(CALL, status)?;
        pairs::decode(&bytes).ok_or(HostError { call: CALL, status: PARSE_FAILURE })
    }

    fn set_request_header(&mut self, name: &str, value: &str) -> Result<(), HostError> {
        replace(kind::REQUEST_HEADERS, name, value)
    }

    fn remove_request_header(&mut self, name: &str) -> Result<(), HostError> {
        done("remove_header_map_value", abi::remove_header(kind::REQUEST_HEADERS, name.as_bytes()))
    }

    fn request_body(&mut self, start: usize, max: usize) -> Result<Vec<u8>, HostError> {
        buffer(kind::REQUEST_BODY, start, max)
    }

    fn set_response_header(&mut self, name: &str, value: &str) -> Result<(), HostError> {
        replace(kind::RESPONSE_HEADERS, name, value)
    }

    fn property(&mut self, path: &[&str]) -> Result<Option<Vec<u8>>, HostError> {
        match abi::property(path.join("\0").as_bytes()) {
            (OK, value) => Ok(Some(value)),
            (NOT_FOUND | EMPTY, _) => Ok(None),
            (status, _) => Err(HostError { call: "get_property", status }),
        }
    }

    fn reply(&mut self, reply: &Reply) -> Result<(), HostError> {
        const CALL: &str = "send_local_response";
        for (name, value) in &reply.headers {
            header::check(CALL, name, value)?;
        }
        let lines: Vec<_> = reply.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let pairs = pairs::encode(&lines).ok_or(HostError { call: CALL, status: PARSE_FAILURE })?;
        done(
            CALL,
            abi::send_local_response(reply.status.into(), reply.details.as_bytes(), &reply.body, &pairs),
        )
    }

    fn shared(&mut self, key: &str) -> Result<Option<(Vec<u8>, u32)>, HostError> {
        match abi::shared(key.as_bytes()) {
            (OK, value, version) => Ok(Some((value, version))),
            (NOT_FOUND, _, _) => Ok(None),
            (status, _, _) => Err(HostError { call: "get_shared_data", status }),
        }
    }

    fn swap_shared(&mut self, key: &str, value: &[u8], version: u32) -> Result<bool, HostError> {
        match abi::set_shared(key.as_bytes(), value, version) {
            OK => Ok(true),
            CAS_MISMATCH => Ok(false),
            status => Err(HostError { call: "set_shared_data", status }),
        }
    }

    fn counter(&mut self, name: &str) -> Result<MetricId, HostError> {
        let (status, id) = abi::define_metric(kind::COUNTER, name.as_bytes());
        done("define_metric", status).map(|()| MetricId(id))
    }

    fn increment(&mut self, metric: MetricId) -> Result<(), HostError> {
        done("increment_metric", abi::increment_metric(metric.0, 1))
    }
}

/// Bytes of a buffer; one that does not exist is empty.
fn buffer(buffer: u32, start: usize, max: usize) -> Result<Vec<u8>, HostError> {
    match abi::buffer(buffer, start, max) {
        (OK, bytes) => Ok(bytes),
        (NOT_FOUND | EMPTY, _) => Ok(Vec::new()),
        (status, _) => Err(HostError { call: "get_buffer_bytes", status }),
    }
}

fn replace(map: u32, name: &str, value: &str) -> Result<(), HostError> {
    const CALL: &str = "replace_header_map_value";
    header::check(CALL, name, value)?;
    done(CALL, abi::replace_header(map, name.as_bytes(), value.as_bytes()))
}
