//! A log record a lookup. On the reader's thread a lookup becomes a line of JSON in a chunk of the spool, of
//! which there are a fixed number; on the spool's thread lines become records, which are sent in batches.
//! The names of attributes are those of the JSON lines where OpenTelemetry has no other.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use serde_json::Value as Json;
use tokio::runtime::{Builder, Runtime};
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::attributes::{any, attribute, scope};
use super::{Health, Source, Target, unix_ns};
use crate::metrics::{Fate, Measures, Signal};
use crate::spool::{Chunk, Output, Queue, Spool};

/// Most records in one message, of which a collector takes 4 MiB unless told otherwise.
const BATCH: usize = 1000;
/// Time between two attempts, at first and at most.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Takes lines, whole ones, and never fails: what finds no room is counted.
#[derive(Debug)]
pub struct Lines {
    spool: Spool,
    measures: Arc<Measures>,
    taken: u64,
}

impl Lines {
    /// Into a spool.
    #[must_use]
    pub const fn new(spool: Spool, measures: Arc<Measures>) -> Self {
        Self {
            spool,
            measures,
            taken: 0,
        }
    }
}

impl Write for Lines {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        match self.spool.chunk() {
            Ok(Some(chunk)) => {
                chunk.bytes.extend_from_slice(lines);
                self.spool.filled();
                self.taken += count(lines);
            }
            _ => self.measures.exports.logs(Fate::Dropped, count(lines)),
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.spool.flush()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if let Err(error) = self.spool.close() {
            tracing::debug!(%error, "log records");
        }
        // What the time did not suffice for.
        let exports = &self.measures.exports;
        let known = exports.log_records(Fate::Exported) + exports.log_records(Fate::Refused);
        exports.logs(Fate::Dropped, self.taken.saturating_sub(known));
    }
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Sends them, on the thread of the spool.
#[derive(Debug)]
pub struct Sender {
    runtime: Runtime,
    client: LogsServiceClient<Channel>,
    source: Source,
    measures: Arc<Measures>,
    health: Health,
    retry: Duration,
}

impl Sender {
    /// To a collector.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(target: &Target, source: Source, measures: Arc<Measures>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let client = LogsServiceClient::new(target.channel());
        drop(entered);
        let health = Health::new(target.url.clone(), Signal::Logs, Arc::clone(&measures));
        Ok(Self {
            runtime,
            client,
            source,
            measures,
            health,
            retry: RETRY_MIN,
        })
    }

    /// Sends a batch until it is taken, or refused, or nothing more comes and it is not.
    fn send(&mut self, records: Vec<LogRecord>, queue: &Queue) {
        let number = records.len() as u64;
        let request = self.request(records);
        loop {
            // At the end there is one more attempt.
            let last = queue.wait_closed(Duration::ZERO);
            match self.runtime.block_on(self.client.export(request.clone())) {
                Ok(response) => {
                    let partial = response.into_inner().partial_success.unwrap_or_default();
                    let rejected = partial.rejected_log_records;
                    self.health.took(rejected, &partial.error_message);
                    let refused = u64::try_from(rejected).unwrap_or(0).min(number);
                    self.measures.exports.logs(Fate::Refused, refused);
                    self.measures.exports.logs(Fate::Exported, number - refused);
                    self.retry = RETRY_MIN;
                    return;
                }
                Err(status) if last || !may_be_repeated(&status) => {
                    self.health.failed(&status, "these are lost");
                    self.measures.exports.logs(Fate::Refused, number);
                    return;
                }
                Err(status) => {
                    self.health.failed(&status, "trying again");
                    let _ = queue.wait_closed(self.retry);
                    self.retry = RETRY_MAX.min(2 * self.retry);
                }
            }
        }
    }

    fn request(&self, log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
        ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs {
                resource: Some(self.source.resource()),
                scope_logs: vec![ScopeLogs {
                    scope: Some(scope()),
                    log_records,
                    ..ScopeLogs::default()
                }],
                ..ResourceLogs::default()
            }],
        }
    }
}

/// By the specification of OTLP, "Failures". What the channel itself reports comes as `Unknown`.
fn may_be_repeated(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
    ) || std::error::Error::source(status).is_some()
}

impl Output for Sender {
    fn begin(&mut self, _: &Queue) {}

    fn write(&mut self, chunk: &Chunk, queue: &Queue) -> io::Result<()> {
        let observed = unix_ns(SystemTime::now());
        let lines = chunk.bytes.split(|byte| *byte == b'\n');
        let mut lines = lines.filter(|line| !line.is_empty()).peekable();
        while lines.peek().is_some() {
            let batch = lines.by_ref().take(BATCH);
            let records: Vec<LogRecord> = batch.filter_map(|line| record(line, observed)).collect();
            self.send(records, queue);
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The record of a line, which is JSON, since we have written it.
fn record(line: &[u8], observed: u64) -> Option<LogRecord> {
    let Json::Object(mut fields) = serde_json::from_slice(line).ok()? else {
        return None;
    };
    let time = fields.remove("@timestamp");
    let time = time.as_ref().and_then(Json::as_str);
    let time = time.and_then(|time| time.parse::<Timestamp>().ok());
    let at = |path: &str| {
        let (first, rest) = path.split_once('/')?;
        fields.get(first)?.pointer(&format!("/{rest}"))?.as_str()
    };
    let error = at("error/type");
    let outcome = error.or_else(|| at("dns/response_code"));
    let words = [at("dns/question/name"), at("dns/question/type"), outcome];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    let severity = if error.is_some() {
        SeverityNumber::Warn
    } else {
        SeverityNumber::Info
    };
    let mut record = LogRecord {
        time_unix_nano: time.map_or(0, |time| u64::try_from(time.as_nanosecond()).unwrap_or(0)),
        observed_time_unix_nano: observed,
        severity_number: severity.into(),
        body: Some(any(Value::StringValue(words.join(" ")))),
        event_name: "dns.lookup".to_owned(),
        ..LogRecord::default()
    };
    flatten("", Json::Object(fields), &mut record.attributes);
    Some(record)
}

/// Objects become dotted names.
fn flatten(name: &str, value: Json, attributes: &mut Vec<KeyValue>) {
    match (name, value) {
        (_, Json::Object(fields)) => {
            for (key, value) in fields {
                let name = if name.is_empty() {
                    key
                } else {
                    format!("{name}.{key}")
                };
                flatten(&name, value, attributes);
            }
        }
        // Seconds, as the metric of that name has it.
        ("event.duration", value) => {
            let seconds = value.as_u64().unwrap_or(0) as f64 / 1e9;
            attributes.push(attribute(
                "dns.lookup.duration",
                Value::DoubleValue(seconds),
            ));
        }
        (name, value) => attributes.push(KeyValue {
            key: renamed(name).to_owned(),
            value: Some(converted(value)),
            ..KeyValue::default()
        }),
    }
}

/// Where OpenTelemetry's semantic conventions differ from the Elastic Common Schema.
fn renamed(name: &str) -> &str {
    match name {
        // Addresses there, whole records here.
        "dns.resolved_ip" => "dns.answers",
        "dns.answers" => "dns_trace.answers",
        "network.protocol" => "network.protocol.name",
        "process.executable" => "process.executable.path",
        name => name,
    }
}

fn converted(value: Json) -> AnyValue {
    let value = match value {
        Json::Null => return AnyValue::default(),
        Json::Bool(value) => Value::BoolValue(value),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::IntValue(number),
            None => Value::DoubleValue(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::StringValue(text),
        Json::Array(values) => Value::ArrayValue(ArrayValue {
            values: values.into_iter().map(converted).collect(),
        }),
        Json::Object(fields) => {
            let pairs = fields.into_iter().map(|(key, value)| KeyValue {
                key,
                value: Some(converted(value)),
                ..KeyValue::default()
            });
            Value::KvlistValue(KeyValueList {
                values: pairs.collect(),
            })
        }
    };
    any(value)
}
