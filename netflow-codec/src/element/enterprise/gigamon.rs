//! Elements of enterprise 26866, `Gigamon`. Generated: `tests/registry.rs` says how.

use super::{Entry, S, T, U, e};

#[rustfmt::skip]
pub(super) static ELEMENTS: [Entry; 23] = [
    e(3, "http_user_agent", T::String, S::DEFAULT, U::NONE),
    e(101, "ssl_common_name", T::String, S::DEFAULT, U::NONE),
    e(105, "ssl_validity_not_before", T::String, S::DEFAULT, U::NONE),
    e(106, "ssl_validity_not_after", T::String, S::DEFAULT, U::NONE),
    e(107, "ssl_serial_number", T::String, S::DEFAULT, U::NONE),
    e(112, "ssl_server_name", T::String, S::DEFAULT, U::NONE),
    e(1958, "dns_query", T::String, S::DEFAULT, U::NONE),
    e(2228, "http2_header_raw", T::String, S::DEFAULT, U::NONE),
    e(2237, "http2_method", T::String, S::DEFAULT, U::NONE),
    e(2238, "http2_mime_type", T::String, S::DEFAULT, U::NONE),
    e(2250, "http2_user_agent", T::String, S::DEFAULT, U::NONE),
    e(2531, "ssl_server_hello_extension_type", T::Unsigned32, S::DEFAULT, U::NONE),
    e(2532, "ssl_request_size", T::Unsigned32, S::DEFAULT, U::NONE),
    e(2533, "ssl_handshake_type", T::Unsigned32, S::DEFAULT, U::NONE),
    e(2535, "ssl_client_hello_extension_type", T::Unsigned32, S::DEFAULT, U::NONE),
    e(2539, "ssl_server_name_raw", T::String, S::DEFAULT, U::NONE),
    e(2545, "ssl_issuer", T::String, S::DEFAULT, U::NONE),
    e(2548, "ssl_server_name_raw", T::String, S::DEFAULT, U::NONE),
    e(4676, "http_host", T::String, S::DEFAULT, U::NONE),
    e(4681, "http_uri_raw", T::String, S::DEFAULT, U::NONE),
    e(4702, "http_server_agent", T::String, S::DEFAULT, U::NONE),
    e(4721, "http_uri_full", T::String, S::DEFAULT, U::NONE),
    e(4745, "http_uri", T::String, S::DEFAULT, U::NONE),
];
