//! Measures as OTLP has them. Durations are the metric `dns.lookup.duration` of the semantic conventions, with
//! finer buckets below 5 ms than these recommend, since a cache on the host answers within one of theirs; names
//! are an attribute on request only. The rest has the name that it has in Prometheus, with dots where those
//! would be made of dots.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum,
};

use super::attributes::{Source, scope, text};
use crate::metrics::{BOUNDS_NS, Labels, Measures, counters, gauges};

const ATTRIBUTES: [&str; 5] = [
    "dns.question.type",
    "dns.response_code",
    "server.address",
    "network.transport",
    "dns.question.name",
];
const ERROR_ATTRIBUTES: [&str; 5] = [
    "dns.question.type",
    "error.type",
    "server.address",
    "network.transport",
    "dns.question.name",
];

/// Everything as of now; times are nanoseconds since 1970.
pub(super) fn request(
    measures: &Measures,
    source: &Source,
    started: u64,
    now: u64,
) -> ExportMetricsServiceRequest {
    let times = Times { started, now };
    let mut metrics = vec![times.durations(measures), times.errors(measures)];
    let state = measures.board.read();
    for counter in counters(&state.summary, &measures.exports) {
        let points = counter.values.iter().map(|(value, count)| {
            let attributes = match counter.label {
                "" => Vec::new(),
                label => vec![text(label, value)],
            };
            times.sum(*count, attributes)
        });
        metrics.push(sum(counter.name, counter.help, points.collect()));
    }
    for gauge in gauges(&state, measures) {
        let point = times.number(Value::AsDouble(gauge.value), Vec::new());
        let data = Data::Gauge(Gauge {
            data_points: vec![point],
        });
        let unit = if gauge.name.ends_with("_seconds") {
            "s"
        } else {
            "1"
        };
        metrics.push(metric(&dotted(gauge.name), gauge.help, unit, data));
    }
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(source.resource()),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(scope()),
                metrics,
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}

#[derive(Clone, Copy)]
struct Times {
    started: u64,
    now: u64,
}

impl Times {
    fn durations(self, measures: &Measures) -> Metric {
        let bounds: Vec<f64> = BOUNDS_NS.iter().map(|ns| *ns as f64 / 1e9).collect();
        let points = measures.durations.iter().map(|(labels, durations)| {
            let counts = durations.buckets();
            let mut attributes = attributes(labels, measures, false);
            // Whoever asked got no answer to their question.
            if let Some(rcode) = labels.values(measures, false)[1].filter(|code| *code != "NOERROR")
            {
                attributes.push(text("error.type", rcode));
            }
            HistogramDataPoint {
                attributes,
                start_time_unix_nano: self.started,
                time_unix_nano: self.now,
                count: counts.iter().sum(),
                sum: Some(durations.sum()),
                bucket_counts: counts.to_vec(),
                explicit_bounds: bounds.clone(),
                ..HistogramDataPoint::default()
            }
        });
        let data = Data::Histogram(Histogram {
            data_points: points.collect(),
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
        });
        let help = "From the first query to the response, of answered lookups. As captured, see dns_estimated.";
        metric("dns.lookup.duration", help, "s", data)
    }

    fn errors(self, measures: &Measures) -> Metric {
        let points = measures
            .errors
            .iter()
            .map(|(labels, count)| self.sum(count.get(), attributes(labels, measures, true)));
        sum(
            "dns_lookup.errors",
            "Lookups with an error. As captured, see dns_estimated.",
            points.collect(),
        )
    }

    fn sum(self, count: u64, attributes: Vec<KeyValue>) -> NumberDataPoint {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.number(Value::AsInt(count), attributes)
    }

    fn number(self, value: Value, attributes: Vec<KeyValue>) -> NumberDataPoint {
        NumberDataPoint {
            attributes,
            start_time_unix_nano: self.started,
            time_unix_nano: self.now,
            value: Some(value),
            ..NumberDataPoint::default()
        }
    }
}

fn attributes(labels: &Labels, measures: &Measures, errors: bool) -> Vec<KeyValue> {
    let names = if errors { ERROR_ATTRIBUTES } else { ATTRIBUTES };
    let values = labels.values(measures, errors);
    let pairs = names.into_iter().zip(values);
    pairs
        .filter_map(|(name, value)| Some(text(name, value?)))
        .collect()
}

fn sum(name: &str, help: &str, data_points: Vec<NumberDataPoint>) -> Metric {
    let data = Data::Sum(Sum {
        data_points,
        aggregation_temporality: AggregationTemporality::Cumulative.into(),
        is_monotonic: true,
    });
    metric(&dotted(name), help, "1", data)
}

fn metric(name: &str, description: &str, unit: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        description: description.to_owned(),
        unit: unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

/// `dns_trace_records` is `dns_trace.records`, `dns_queries` is `dns.queries`.
fn dotted(name: &str) -> String {
    for prefix in ["dns_trace", "dns"] {
        if let Some(rest) = name
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('_'))
        {
            let rest = rest.strip_suffix("_seconds").unwrap_or(rest);
            return format!("{prefix}.{rest}");
        }
    }
    name.to_owned()
}
