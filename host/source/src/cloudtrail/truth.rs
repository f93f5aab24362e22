//! What the generator has put into its output: the figures that a test compares a pipeline's result with.

/// Counts of what was generated so far.
///
/// A *secret* is a value of `accessKeyId`, `assumedRoleId` or `sessionToken`. The three counts named after these keys
/// hold values that are readable (neither empty nor hidden by AWS) and stand in the record's own JSON, at any depth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Truth {
    /// Documents: calls of `next_document`.
    pub documents: u64,
    /// Records, in documents or alone.
    pub records: u64,
    /// Records with at least one readable `accessKeyId`.
    pub records_with_access_key: u64,
    /// Readable values of `accessKeyId`.
    pub access_key_ids: u64,
    /// Readable values of `assumedRoleId`.
    pub assumed_role_ids: u64,
    /// Readable values of `sessionToken`.
    pub session_tokens: u64,
    /// Readable secrets in JSON that is itself a string of the record, so that their quotes are escaped.
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
    /// Returns all readable secrets: in the record's own JSON and in strings of it.
    pub fn secrets(&self) -> u64 {
        self.access_key_ids + self.assumed_role_ids + self.session_tokens + self.escaped_secrets
    }
}
