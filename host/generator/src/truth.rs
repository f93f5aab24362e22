//! Counts of the generator's output; tests compare the result of a pipeline with them.

/// Counts of the records that were generated so far.
///
/// A *secret* is a value of `accessKeyId`, `assumedRoleId` or `sessionToken`. The three counts
/// named after these keys include readable values (neither empty nor hidden by AWS) in the JSON of
/// the record itself, at any depth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Truth {
    /// Documents: calls of `next_document`.
    pub documents: u64,
    /// Records, within documents or separate.
    pub records: u64,
    /// Records with at least one readable `accessKeyId`.
    pub records_with_access_key: u64,
    /// Readable values of `accessKeyId`.
    pub access_key_ids: u64,
    /// Readable values of `assumedRoleId`.
    pub assumed_role_ids: u64,
    /// Readable values of `sessionToken`.
    pub session_tokens: u64,
    /// Readable secrets in JSON that is a string value of the record, so that its quotes are
    /// escaped.
    pub escaped_secrets: u64,
    /// Values of `accessKeyId` that are the empty string.
    pub empty_access_key_ids: u64,
    /// Values of `sessionToken` that AWS has hidden (`HIDDEN_DUE_TO_SECURITY_REASONS`).
    pub hidden_session_tokens: u64,
    /// Records whose `eventName` starts with `Get`, `List` or `Describe`.
    pub get_list_describe: u64,
    /// Records with an `errorCode`.
    pub errors: u64,
}

impl Truth {
    /// Returns the number of all readable secrets, in the JSON of records and in their string
    /// values.
    pub fn secrets(&self) -> u64 {
        self.access_key_ids + self.assumed_role_ids + self.session_tokens + self.escaped_secrets
    }
}
