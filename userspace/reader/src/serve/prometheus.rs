//! The text formats of Prometheus: its own (0.0.4) and OpenMetrics.

use std::fmt;
use std::sync::Arc;

use dns_trace_event::ABI_VERSION;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet, prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::metrics::{
    BOUNDS_NS, Counter, ERROR_LABELS, Gauge, LABELS, Labels, Measures, counters, gauges,
};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own, which everything understands.
    Text,
    /// OpenMetrics.
    OpenMetrics,
}

impl Format {
    /// What a client accepts, by its header `Accept`.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// Header `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What a scrape gets.
#[derive(Debug)]
pub struct Exposition(Registry);

impl Exposition {
    /// Of these measures.
    #[must_use]
    pub fn new(measures: Arc<Measures>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Collected(measures)));
        Self(registry)
    }

    /// Everything as of now.
    ///
    /// # Errors
    /// None that is known.
    pub fn text(&self, format: Format) -> Result<String, fmt::Error> {
        let mut text = String::new();
        match format {
            Format::Text => prometheus_text::encode(&mut text, &self.0)?,
            Format::OpenMetrics => text::encode(&mut text, &self.0)?,
        }
        Ok(text)
    }
}

#[derive(Debug)]
struct Collected(Arc<Measures>);

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let measures = &*self.0;
        self.durations(&mut encoder)?;
        self.errors(&mut encoder)?;
        let state = measures.board.read();
        for counter in counters(&state.summary, &measures.exports) {
            encode_counter(&mut encoder, &counter)?;
        }
        for gauge in gauges(&state, measures) {
            encode_gauge(&mut encoder, &gauge)?;
        }
        let abi = ABI_VERSION.to_string();
        let labels = [("version", env!("CARGO_PKG_VERSION")), ("abi", &abi)];
        let help = "Version of the reader, and of the contract with the kernel part.";
        let mut metric =
            encoder.encode_descriptor("dns_trace_build_info", help, None, MetricType::Gauge)?;
        metric.encode_family(&labels)?.encode_gauge(&1_u32)
    }
}

impl Collected {
    fn durations(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "From the first query to the response, of answered lookups that the filters let through. \
                    As captured, see dns_estimated.";
        let (kind, unit) = (MetricType::Histogram, Unit::Seconds);
        let mut metric =
            encoder.encode_descriptor("dns_lookup_duration", help, Some(&unit), kind)?;
        for (labels, durations) in self.0.durations.iter() {
            let labels = self.labels(labels, LABELS, false);
            let counts = durations.buckets();
            let bounds = BOUNDS_NS.iter().map(|bound| *bound as f64 / 1e9);
            let buckets: Vec<(f64, u64)> = bounds.chain([f64::INFINITY]).zip(counts).collect();
            metric
                .encode_family(&labels)?
                .encode_histogram::<NoLabelSet>(
                    durations.sum(),
                    counts.iter().sum(),
                    &buckets,
                    None,
                )?;
        }
        Ok(())
    }

    fn errors(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Lookups and messages with an error that the filters let through: without a response in \
                    time, without a query (orphan), without room to wait (evicted), or malformed. As captured, \
                    see dns_estimated.";
        let kind = MetricType::Counter;
        let mut metric = encoder.encode_descriptor("dns_lookup_errors", help, None, kind)?;
        for (labels, count) in self.0.errors.iter() {
            let labels = self.labels(labels, ERROR_LABELS, true);
            count_one(metric.encode_family(&labels)?, count.get())?;
        }
        Ok(())
    }

    fn labels(
        &self,
        labels: &Labels,
        names: [&'static str; 5],
        errors: bool,
    ) -> Vec<(&'static str, &str)> {
        let values = labels.values(&self.0, errors);
        let pairs = names.into_iter().zip(values);
        pairs
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

fn count_one(mut metric: MetricEncoder<'_>, count: u64) -> fmt::Result {
    metric.encode_counter::<NoLabelSet, u64, u64>(&count, None)
}

fn encode_counter(encoder: &mut DescriptorEncoder<'_>, counter: &Counter) -> fmt::Result {
    let Counter {
        name,
        help,
        label,
        values,
    } = counter;
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (value, count) in values {
        let labels = [(*label, *value)];
        let labels = if label.is_empty() { &[][..] } else { &labels };
        count_one(family(&mut metric, &labels)?, *count)?;
    }
    Ok(())
}

fn family<'s>(
    metric: &'s mut MetricEncoder<'_>,
    labels: &'s impl EncodeLabelSet,
) -> Result<MetricEncoder<'s>, fmt::Error> {
    metric.encode_family(labels)
}

fn encode_gauge(encoder: &mut DescriptorEncoder<'_>, gauge: &Gauge) -> fmt::Result {
    let kind = MetricType::Gauge;
    let mut metric = encoder.encode_descriptor(gauge.name, gauge.help, None, kind)?;
    metric.encode_gauge(&gauge.value)
}
