//! The messages of OTLP, as the program in `generate` wrote them. Their modules are nested as their packages are, because
//! they refer to each other by these paths.

pub mod opentelemetry {
    pub mod proto {
        pub mod collector {
            pub mod logs {
                pub mod v1 {
                    include!("messages/opentelemetry.proto.collector.logs.v1.rs");
                }
            }
            pub mod metrics {
                pub mod v1 {
                    include!("messages/opentelemetry.proto.collector.metrics.v1.rs");
                }
            }
            pub mod trace {
                pub mod v1 {
                    include!("messages/opentelemetry.proto.collector.trace.v1.rs");
                }
            }
        }
        pub mod common {
            pub mod v1 {
                include!("messages/opentelemetry.proto.common.v1.rs");
            }
        }
        pub mod logs {
            pub mod v1 {
                include!("messages/opentelemetry.proto.logs.v1.rs");
            }
        }
        pub mod metrics {
            pub mod v1 {
                include!("messages/opentelemetry.proto.metrics.v1.rs");
            }
        }
        pub mod resource {
            pub mod v1 {
                include!("messages/opentelemetry.proto.resource.v1.rs");
            }
        }
        pub mod trace {
            pub mod v1 {
                include!("messages/opentelemetry.proto.trace.v1.rs");
            }
        }
    }
}
