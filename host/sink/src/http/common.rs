//! Defines the options of a sink over HTTP: its own ones, and those that all of them have.

/// Defines a struct of options. `address` is the option that has the address of the server, and `dead_letter` says what
/// the file has of an event. `serde(flatten)` would do without a macro, but accepts unknown options, and its errors do
/// not say which option is wrong.
macro_rules! destination_options {
    ($(#[$meta:meta])* $name:ident { $($own:tt)* } address = $address:ident, dead_letter = $dead_letter:literal) => {
        $(#[$meta])*
        #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            $($own)*
            /// Additional headers of every request. They replace headers that the sink sets. Default: none.
            #[serde(default)]
            headers: std::collections::BTreeMap<String, wattle_options::Secret>,
            /// Trusted servers, and the client certificate.
            #[serde(default)]
            tls: wattle_tls::TlsOptions,
            /// The proxy that requests go through: an address such as `http://user:password@proxy.example.com:3128`, or
            /// a table. Default: the environment variables `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, as
            /// in curl.
            proxy: Option<wattle_http_client::ProxyOptions>,
            /// When a request is full.
            #[serde(default)]
            batch: $crate::http::server::BatchOptions,
            /// Timeout, concurrency and retries.
            #[serde(default)]
            request: $crate::http::server::RequestOptions,
            #[doc = concat!(
                "File for rejected events, one JSON object per line: `time`, `sink`, `status`, `reason`, and ",
                $dead_letter,
                ". Default: none; rejected events are counted and discarded."
            )]
            dead_letter: Option<std::path::PathBuf>,
        }

        impl $name {
            /// Takes the options that all sinks over HTTP have. The others are those of a `POST` without credentials
            /// and without compression.
            fn server(&mut self, content_type: &'static str) -> $crate::http::server::ServerOptions {
                $crate::http::server::ServerOptions {
                    address: (stringify!($address), std::mem::take(&mut self.$address)),
                    path: std::borrow::Cow::Borrowed(""),
                    method: "POST".to_owned(),
                    content_type,
                    headers: std::mem::take(&mut self.headers),
                    auth: None,
                    tls: std::mem::take(&mut self.tls),
                    proxy: self.proxy.take(),
                    batch: std::mem::take(&mut self.batch),
                    compression: $crate::compress::Compression::None,
                    request: std::mem::take(&mut self.request),
                    concurrency: None,
                    dead_letter: self.dead_letter.take(),
                }
            }
        }
    };
}
pub(super) use destination_options;
