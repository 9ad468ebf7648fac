//! What happens to the headers of a request that goes on.

use super::*;

#[test]
fn headers_are_edited_before_they_go_on() {
    for mode in ["stream", "hold"] {
        let (mut host, mut stream) = stream(mode, "envoy", "/in/demo");
        sign(&mut host, BODY, BODY);
        host.set_line("x-hookgate-tenant", "forged");
        play(&mut host, &mut stream, &[HEAD]);
        assert_eq!(statuses(&host), [] as [u16; 0], "{mode}");
        assert!(!host.lines.iter().any(|(name, _)| name.starts_with(b"x-hookgate")), "{mode}");
        assert!(
            host.lines.iter().any(|(name, value)| name == b"x-request-id" && !value.is_empty()),
            "{mode}"
        );
    }
}

#[test]
fn a_passthrough_path_is_left_to_the_inner_door() {
    for mode in ["stream", "hold"] {
        let (mut host, mut stream) = stream(mode, "envoy", "/v1/events");
        host.set_line("x-hookgate-tenant", "forged");
        assert_eq!(play(&mut host, &mut stream, &[HEAD, held(5), TRAILERS]), [Continue; 3], "{mode}");
        assert!(!host.lines.iter().any(|(name, _)| name.starts_with(b"x-hookgate")), "{mode}");
        host.properties.insert("response.code_details".to_owned(), b"via_upstream".to_vec());
        assert_eq!(stream.response_headers(&mut host), Continue, "{mode}");
        assert!(!host.response.is_empty(), "{mode}");
    }
}
