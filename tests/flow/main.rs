//! Data through the CloudTrail pack: genuine samples, broken input, documents of any size.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod broken;
mod chained;
mod concatenated;
mod counted;
mod large;
mod recipes;
mod samples;
