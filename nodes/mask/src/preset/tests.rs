//! Tests of the presets.
