//! The macro that declares operations.

/// Declares the struct of each operation. All have `if`.
macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $operation:literal { $($parameters:tt)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Deserialize)]
            #[serde(deny_unknown_fields)]
            #[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
            pub struct $name {
                $($parameters)*
                /// Condition, as in the node `route`; the step skips events for which it does not hold. It sees what the
                /// steps before changed. Default: none. Example: `{ field = "attributes.level", equals = "debug" }`.
                #[serde(default, rename = "if")]
                pub condition: Option<Condition>,
            }

            impl Named for $name {
                const OPERATION: &'static str = $operation;
            }
        )*
    };
}

/// Declares everything that has one entry for each operation.
macro_rules! steps {
    ($($name:ident = $operation:literal,)*) => {
        /// One step: an operation, whose value is the field that it works on, and its parameters.
        #[derive(Clone, Debug)]
        #[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
        #[cfg_attr(not(target_arch = "wasm32"), schemars(untagged))]
        #[expect(missing_docs, reason = "each variant has the documentation of its struct")]
        pub enum Step {
            $($name($name),)*
        }

        impl Step {
            /// The names of all operations.
            pub const OPERATIONS: &'static [&'static str] = &[$($operation),*];

            /// Reads a step whose operation is known.
            pub(crate) fn read(operation: &str, step: Map<String, Value>) -> Result<Self, Vec<StepError>> {
                match operation {
                    $($operation => read_step(step).map(Self::$name),)*
                    _ => Err(Vec::new()),
                }
            }

            /// The condition of the step.
            pub(crate) fn condition(&self) -> Option<&Condition> {
                match self {
                    $(Self::$name(step) => step.condition.as_ref(),)*
                }
            }
        }
    };
}

pub(super) use {operations, steps};
