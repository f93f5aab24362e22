//! The operation of CloudTrail that checks of integrity need, over the JSON protocol.

use std::time::Duration;

use bytes::Bytes;
use hyper::{HeaderMap, Method, Uri};
use jiff::Timestamp;
use serde_json::json;

use crate::client::Call;
use crate::endpoint::Service;
use crate::error::{Error, ErrorKind};
use crate::session::Session;

/// Maximum bytes of a response. A key has less than 1 KiB.
const MAX_BYTES: usize = 1 << 20;

/// A client of CloudTrail.
#[derive(Clone, Debug)]
pub struct CloudTrail {
    session: Session,
}

impl CloudTrail {
    /// A client of this session.
    pub fn new(session: &Session) -> Self {
        Self { session: session.clone() }
    }

    /// The public keys of a region that signed digests in this time: the JSON of `ListPublicKeys`.
    ///
    /// # Errors
    ///
    /// The credentials lack the permission `cloudtrail:ListPublicKeys`, or there was no response.
    pub async fn public_keys(&self, region: &str, from: Timestamp, to: Timestamp) -> Result<Bytes, Error> {
        let operation = "ListPublicKeys";
        let body = json!({ "StartTime": from.as_second(), "EndTime": to.as_second() });
        let mut call = Call {
            operation,
            resource: region.to_owned(),
            service: Service::CloudTrail,
            region: region.to_owned(),
            method: Method::POST,
            uri: Uri::default(),
            headers: HeaderMap::new(),
            body: Bytes::from(body.to_string()),
            wait: Duration::ZERO,
        };
        if !crate::region::is_region(region) {
            return Err(call.error(ErrorKind::Rejected, "it is not the name of a region"));
        }
        call.uri = format!("{}/", self.session.endpoint(Service::CloudTrail, region))
            .parse()
            .map_err(|_| call.error(ErrorKind::Rejected, "the address of CloudTrail is not valid"))?;
        call.set("content-type", "application/x-amz-json-1.1")?;
        call.set("x-amz-target", &format!("com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.{operation}"))?;
        let response = self.session.call(&call).await?;
        response.body.collect(MAX_BYTES).await.map_err(|error| call.http_error(&error))
    }
}
