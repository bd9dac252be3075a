//! What every message says beside its numbers.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;

/// Name of the service and of what measures.
const NAME: &str = "dns-trace";

/// Who sends.
#[derive(Clone, Debug)]
pub struct Source {
    host: String,
    instance: String,
}

impl Source {
    /// This host, reading an instance.
    #[must_use]
    pub fn this_host(instance: &str) -> Self {
        let uname = rustix::system::uname();
        Self {
            host: uname.nodename().to_string_lossy().into_owned(),
            instance: instance.to_owned(),
        }
    }

    pub(super) fn resource(&self) -> Resource {
        Resource {
            attributes: vec![
                text("service.name", NAME),
                text("service.version", env!("CARGO_PKG_VERSION")),
                text("host.name", &self.host),
                text("dns_trace.instance", &self.instance),
            ],
            ..Resource::default()
        }
    }
}

pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: NAME.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

pub(super) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

pub(super) fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(any(value)),
        ..KeyValue::default()
    }
}

pub(super) const fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}
