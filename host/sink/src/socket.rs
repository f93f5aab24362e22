//! The sinks `socket` and `syslog`: send events over TCP, TLS, UDP and Unix sockets.
//!
//! Workers encode and frame the events ([`format`]). The task sends them over one connection, in order: [`stream`] over
//! connections, [`datagram`] as datagrams.
//!
//! These protocols have no acknowledgements. Over a connection, the sink keeps each payload until the kernel of the server
//! has acknowledged its bytes ([`connection::Progress`]), and sends it again over the next connection otherwise.

mod address;
mod connection;
mod datagram;
mod failure;
mod format;
mod header;
mod options;
mod outage;
mod stream;

use std::sync::Arc;

use serde_json::Value;
use wattle_options::OptionError;

use self::datagram::Datagrams;
use self::options::{Checked, Mode, Settings};
use self::stream::Streams;
use crate::error::SinkError;
use crate::sink::{Built, Prepared, Running, Sink, SinkContext};
use wattle_tls::{ClientTls, Endpoint};

pub(crate) fn prepare_socket(options: &Value) -> Result<Prepared, Vec<OptionError>> {
    prepare(options::read_socket(options)?)
}

pub(crate) fn prepare_syslog(options: &Value) -> Result<Prepared, Vec<OptionError>> {
    prepare(options::read_syslog(options)?)
}

pub(crate) use self::options::{schema_of_socket, schema_of_syslog};

fn prepare(checked: Checked) -> Result<Prepared, Vec<OptionError>> {
    let Checked { format, settings } = checked;
    if let Some(tls) = &settings.tls {
        let created = wattle_tls::client_config(tls, true);
        created.map_err(|error| vec![OptionError::new(error.option().unwrap_or("tls"), error.to_string())])?;
    }
    Ok(Box::new(move |name: &Arc<str>| {
        let tls = match &settings.tls {
            Some(tls) => Some(ClientTls::new(Endpoint::Sink(name.clone()), tls.clone(), true).map_err(SinkError::Tls)?),
            None => None,
        };
        if settings.tls.as_ref().is_some_and(|tls| !tls.verify) {
            tracing::warn!(
                sink = %name,
                "`tls.verify` is false: the server's certificate is not verified, so others on the network path can read and change events"
            );
        }
        Ok(Built { encoder: Arc::new(format), sink: Box::new(SocketSink { settings, tls }) })
    }))
}

/// The sink, ready to run.
struct SocketSink {
    settings: Settings,
    tls: Option<ClientTls>,
}

impl Sink for SocketSink {
    fn run(self: Box<Self>, context: SinkContext) -> Running {
        let Self { settings, tls } = *self;
        Box::pin(async move {
            match settings.mode {
                Mode::Tcp | Mode::UnixStream => Streams::new(settings, tls, context).run().await,
                Mode::Udp | Mode::UnixDatagram => Datagrams::new(settings, context).run().await,
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod datagram_tests;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tls_tests;
