//! Write a Wattle node in Rust: columns in, decisions out.
//!
//! A node is a type that implements [`Node`] (columns, fast) or [`event::EventNode`] (one event at a time, simple), and
//! one line, [`export_node!`], that makes a component of it:
//!
//! ```
//! use wattle_node::{Batch, Field, Form, Node, Setup, export_node};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! pub struct Options { field: String }
//!
//! pub struct DropEmpty { field: Field }
//!
//! impl Node for DropEmpty {
//!     const NAME: &'static str = "drop-empty";
//!     const VERSION: &'static str = env!("CARGO_PKG_VERSION");
//!     const SUMMARY: &'static str = "Drops events whose field is empty.";
//!     const OPTIONS_SCHEMA: &'static str = r#"{"type":"object","properties":{"field":{"type":"string"}}}"#;
//!     type Options = Options;
//!
//!     fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
//!         Some(Self { field: setup.read("field", &options.field)? })
//!     }
//!
//!     fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
//!         let column = batch.read(self.field, Form::Text);
//!         let empty: Vec<u32> = (0..).zip(column.rows()).filter(|(_, row)| row.is_empty()).map(|(i, _)| i).collect();
//!         batch.drop_rows(&empty, "empty");
//!         Ok(())
//!     }
//! }
//!
//! export_node!(DropEmpty);
//! ```
//!
//! The same code is tested natively with [`testing`], without any WebAssembly.

#[cfg(target_arch = "wasm32")]
pub mod bindings;

mod batch;
pub mod capabilities;
mod column;
pub mod event;
#[cfg(not(target_arch = "wasm32"))]
pub mod native;
mod node;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod tick;

pub use batch::{Batch, ChildSpans, Field, Form, Io, Reasons};
pub use column::{Column, ColumnWriter};
pub use node::{
    Fusible, Node, OptionError, Requested, Resolve, Setup, Sharing, Snapshot, Stateful, Timed, configure, fused_name,
    option_message, takes_any_value,
};
pub use tick::{Emit, EventKind, Events, Tick, write_object};
pub use wattle_json as json;
pub use wattle_pattern::bad_pattern;

/// Makes a component from a [`Node`]. Has no effect if the target is not WebAssembly.
///
/// `export_node!(N, state)`, `export_node!(N, timer)` and `export_node!(N, state, timer)` also export
/// the node's [`Stateful`] and [`Timed`], and `export_node!(N, fusion)` its [`Fusible`].
#[macro_export]
macro_rules! export_node {
    ($node:ty $(, $export:ident)*) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;
            ::std::thread_local! {
                static NODE: ::std::cell::RefCell<::std::option::Option<$node>> =
                    const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }
            impl $crate::bindings::Guest for Component {
                fn describe() -> $crate::bindings::Description {
                    $crate::bindings::describe::<$node>()
                }
                fn configure(
                    options: ::std::string::String,
                ) -> ::std::result::Result<$crate::bindings::Configured, ::std::vec::Vec<$crate::bindings::OptionError>>
                {
                    NODE.with_borrow_mut(|node| $crate::bindings::configure(node, &options))
                }
                fn process() -> ::std::result::Result<(), ::std::string::String> {
                    NODE.with_borrow_mut($crate::bindings::process)
                }
            }
            $crate::bindings::export!(Component with_types_in $crate::bindings);
            $($crate::__export!($export, $node, Component, NODE);)*
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    (state, $node:ty, $component:ident, $static:ident) => {
        impl $crate::bindings::state::Guest for $component {
            fn version() -> u32 {
                <$node as $crate::Stateful>::STATE_VERSION
            }
            fn save() -> $crate::bindings::state::Snapshot {
                $static.with_borrow($crate::bindings::save)
            }
            fn restore(
                snapshots: ::std::vec::Vec<$crate::bindings::state::Snapshot>,
            ) -> ::std::result::Result<(), ::std::string::String> {
                $static.with_borrow_mut(|node| $crate::bindings::restore(node, snapshots))
            }
        }
        $crate::bindings::state::export_state!($component with_types_in $crate::bindings::state);
    };
    (timer, $node:ty, $component:ident, $static:ident) => {
        impl $crate::bindings::timer::Guest for $component {
            fn tick(now: i64, last: bool) -> ::std::result::Result<(), ::std::string::String> {
                $static.with_borrow_mut(|node| $crate::bindings::tick(node, now, last))
            }
        }
        $crate::bindings::timer::export_timer!($component with_types_in $crate::bindings::timer);
    };
    (fusion, $node:ty, $component:ident, $static:ident) => {
        impl $crate::bindings::fusion::Guest for $component {
            fn configure(options: ::std::vec::Vec<::std::string::String>) -> bool {
                $static.with_borrow_mut(|node| $crate::bindings::fuse(node, &options))
            }
        }
        $crate::bindings::fusion::export_fusion!($component with_types_in $crate::bindings::fusion);
    };
}

/// Makes a component from a [`Node`] that is [`Stateful`].
#[macro_export]
macro_rules! export_stateful_node {
    ($node:ty) => {
        $crate::export_node!($node, state);
    };
}

/// Makes a component from a [`Node`] that is [`Stateful`] and [`Timed`].
#[macro_export]
macro_rules! export_timed_node {
    ($node:ty) => {
        $crate::export_node!($node, state, timer);
    };
}
