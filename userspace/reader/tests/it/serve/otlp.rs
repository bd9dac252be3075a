//! A collector made of the official protobufs, and what it gets.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dns_trace::clock::WallClock;
use dns_trace::interface::Interfaces;
use dns_trace::metrics::{Fate, Measures, Meter, Signal};
use dns_trace::pipeline::Pipeline;
use dns_trace::serve::Plan;
use dns_trace::serve::otlp::logs::{Lines, Sender};
use dns_trace::serve::otlp::{Exporter, Source, Target, Url};
use dns_trace::sink::json::JsonSink;
use dns_trace::spool::Spool;
use domain::base::Rtype;
use domain::base::iana::Rcode;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Metric, number_data_point};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use super::{MS, limits, measured};
use crate::memory::options;
use crate::records::{Rec, query, response};

/// What has come.
#[derive(Clone, Default)]
struct Received {
    metrics: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
    logs: Arc<Mutex<Vec<LogRecord>>>,
    refuses: Arc<AtomicBool>,
}

#[tonic::async_trait]
impl MetricsService for Received {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.metrics.lock().unwrap().push(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Received {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        if self.refuses.load(Ordering::Relaxed) {
            return Err(Status::invalid_argument("not these"));
        }
        let resources = request.into_inner().resource_logs.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_logs);
        let records = scopes.flat_map(|scope| scope.log_records);
        self.logs.lock().unwrap().extend(records);
        Ok(Response::new(Default::default()))
    }
}

/// A collector that runs.
struct Collector {
    end: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Collector {
    fn start(address: SocketAddr, received: &Received) -> Self {
        let (end, ended) = oneshot::channel();
        let received = received.clone();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind(address).await.unwrap();
                ready.send(()).unwrap();
                let server = Server::builder()
                    .add_service(MetricsServiceServer::new(received.clone()))
                    .add_service(LogsServiceServer::new(received));
                tokio::select! {
                    result = server.serve_with_incoming(TcpIncoming::from(listener)) => result.unwrap(),
                    _ = ended => {}
                }
            });
            // Its connections end with it.
        });
        is_ready.recv().unwrap();
        Self { end, thread }
    }

    fn stop(self) {
        self.end.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

fn target(address: SocketAddr) -> Target {
    let url: Url = format!("http://{address}").parse().unwrap();
    url.find().unwrap()
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Attributes as text, `key=value`.
fn told(attributes: &[KeyValue]) -> BTreeSet<String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        Value::BoolValue(value) => value.to_string(),
        Value::ArrayValue(array) => format!("{} values", array.values.len()),
        other => format!("{other:?}"),
    };
    let value = |pair: &KeyValue| text(pair.value.as_ref().unwrap().value.as_ref().unwrap());
    attributes
        .iter()
        .map(|pair| format!("{}={}", pair.key, value(pair)))
        .collect()
}

fn find<'r>(request: &'r ExportMetricsServiceRequest, name: &str) -> &'r Metric {
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    metrics.iter().find(|metric| metric.name == name).unwrap()
}

#[test]
fn metrics_have_the_names_of_the_conventions() {
    let (address, received) = (free_address(), Received::default());
    let measures = measured(limits());
    let interval = Duration::from_millis(20);
    let source = Source::this_host("default");
    let exporter = Exporter::new(target(address), source, Arc::clone(&measures), interval);
    let plan = Plan::new(None, Arc::clone(&measures)).unwrap();
    let server = plan.with_exporter(Some(exporter)).start().unwrap();
    // The collector comes later than we do, goes, and another one comes.
    wait_until("a failure", || {
        measures.exports.messages(Signal::Metrics).1 > 0
    });
    Collector::start(address, &received).stop();
    let collector = Collector::start(address, &received);
    wait_until("a message", || !received.metrics.lock().unwrap().is_empty());
    let before = received.metrics.lock().unwrap().len();
    server.stop().unwrap();
    let all = received.metrics.lock().unwrap();
    assert!(all.len() > before, "nothing came at the end");
    collector.stop();
    let request = all.last().unwrap();
    let resource = request.resource_metrics[0].resource.as_ref().unwrap();
    assert!(told(&resource.attributes).contains("service.name=dns-trace"));
    let durations = find(request, "dns.lookup.duration");
    assert_eq!(durations.unit, "s");
    let Some(Data::Histogram(histogram)) = &durations.data else {
        panic!("{durations:?}");
    };
    assert_eq!(histogram.aggregation_temporality, 2, "cumulative");
    assert_eq!(
        histogram
            .data_points
            .iter()
            .map(|point| point.count)
            .sum::<u64>(),
        5
    );
    let point = &histogram.data_points[0];
    assert_eq!((point.count, point.sum), (2, Some(0.002_05)));
    assert_eq!(point.bucket_counts.iter().sum::<u64>(), 2);
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    assert!(point.time_unix_nano >= point.start_time_unix_nano);
    let wanted = [
        "dns.question.type=A",
        "dns.response_code=NOERROR",
        "network.transport=udp",
        "server.address=10.0.0.1",
    ];
    assert_eq!(told(&point.attributes), wanted.map(str::to_owned).into());
    let failed = histogram
        .data_points
        .iter()
        .map(|point| told(&point.attributes));
    let failed = failed.filter(|told| told.contains("error.type=NXDOMAIN"));
    assert_eq!(failed.count(), 1);
    let Some(Data::Sum(queries)) = &find(request, "dns.queries").data else {
        panic!("no sum");
    };
    assert!(queries.is_monotonic);
    let value = queries.data_points[0].value.unwrap();
    assert_eq!(value, number_data_point::Value::AsInt(7));
    let Some(Data::Sum(lost)) = &find(request, "dns_trace.lost_messages").data else {
        panic!("no sum");
    };
    assert_eq!(
        told(&lost.data_points[0].attributes),
        ["reason=ring_full".to_owned()].into()
    );
    assert!(matches!(
        find(request, "dns_trace.reader_lag").data,
        Some(Data::Gauge(_))
    ));
}

/// Sends a log record each for so many lookups, and calls `between` after half of them and once more before
/// the end.
fn log(address: SocketAddr, number: u32, mut between: impl FnMut(&Measures)) -> Arc<Measures> {
    let measures = Meter::new(limits()).measures();
    let source = Source::this_host("default");
    let sender = Sender::new(&target(address), source, Arc::clone(&measures)).unwrap();
    let spool = Spool::start(Box::new(sender), || {}).unwrap();
    let lines = Lines::new(spool, Arc::clone(&measures));
    let mut sink = JsonSink::new(lines, Interfaces::fixed(&[(2, "eth0")]));
    let mut pipeline = Pipeline::new(options(), &mut sink);
    pipeline.set_clock(WallClock::with_offset(1_767_323_045_000_000_000));
    for index in 0..number {
        let (id, time) = (index as u16, u64::from(index) * MS);
        let name = format!("host{index}.example.com");
        let ask = Rec::query(time, query(id, &name, Rtype::A));
        let addresses = [[192, 0, 2, 1], [192, 0, 2, 2]];
        let reply = response(id, &name, Rtype::A, Rcode::NOERROR, &addresses);
        pipeline.record(&ask.bytes()).unwrap();
        pipeline
            .record(&Rec::response(time + MS, reply).bytes())
            .unwrap();
        if index == number / 2 {
            pipeline.drained().unwrap();
            between(&measures);
            pipeline.set_clock(WallClock::with_offset(1_767_323_045_000_000_000));
        }
    }
    pipeline.finish().unwrap();
    between(&measures);
    drop(sink);
    measures
}

fn fates(measures: &Measures) -> [u64; 3] {
    [Fate::Exported, Fate::Dropped, Fate::Refused].map(|fate| measures.exports.log_records(fate))
}

#[test]
fn a_log_record_has_all_of_a_lookup() {
    let (address, received) = (free_address(), Received::default());
    let collector = Collector::start(address, &received);
    let measures = log(address, 3000, |_| {});
    assert_eq!(fates(&measures), [3000, 0, 0]);
    collector.stop();
    let logs = received.logs.lock().unwrap();
    assert_eq!(logs.len(), 3000);
    let record = &logs[0];
    assert_eq!(record.time_unix_nano, 1_767_323_045_000_000_000);
    assert_eq!(
        (record.event_name.as_str(), record.severity_number),
        ("dns.lookup", 9)
    );
    let body = record.body.as_ref().unwrap().value.as_ref().unwrap();
    assert_eq!(
        *body,
        Value::StringValue("host0.example.com A NOERROR".to_owned())
    );
    let told = told(&record.attributes);
    for wanted in [
        "dns.question.name=host0.example.com",
        "dns.question.type=A",
        "dns.response_code=NOERROR",
        "dns.answers=2 values",
        "dns_trace.answers=2 values",
        "dns.lookup.duration=0.001",
        "client.address=10.0.0.2",
        "server.address=10.0.0.1",
        "server.port=53",
        "network.transport=udp",
        "network.protocol.name=dns",
        "observer.egress.interface.name=eth0",
        "dns_trace.truncated=false",
    ] {
        assert!(told.contains(wanted), "no {wanted} in {told:?}");
    }
}

/// Meanwhile records wait; nothing is lost, and nothing comes twice.
#[test]
fn a_collector_may_go_and_come_back() {
    let (address, received) = (free_address(), Received::default());
    let mut first = Some(Collector::start(address, &received));
    let mut second = None;
    let mut before = 0;
    let measures = log(address, 1000, |measures| match first.take() {
        Some(collector) => {
            wait_until("the first ones", || fates(measures)[0] > 0);
            collector.stop();
            before = fates(measures)[0];
        }
        None => {
            wait_until("a failure", || {
                measures.exports.messages(Signal::Logs).1 > 0
            });
            second = Some(Collector::start(address, &received));
            wait_until("more of them", || fates(measures)[0] > before);
        }
    });
    second.unwrap().stop();
    assert_eq!(fates(&measures), [1000, 0, 0]);
    let logs = received.logs.lock().unwrap();
    let bodies: BTreeSet<String> = logs.iter().map(|log| format!("{:?}", log.body)).collect();
    assert_eq!((logs.len(), bodies.len()), (1000, 1000));
}

/// Nobody is there at all: everything is counted, memory has its bound, and the end is not held up.
#[test]
fn without_a_collector_everything_is_counted() {
    let began = Instant::now();
    let measures = log(free_address(), 40_000, |_| {});
    let [exported, dropped, refused] = fates(&measures);
    assert_eq!((exported, dropped + refused), (0, 40_000));
    assert!(dropped > 10_000, "{dropped}");
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn what_a_collector_refuses_is_not_sent_again() {
    let (address, received) = (free_address(), Received::default());
    received.refuses.store(true, Ordering::Relaxed);
    let collector = Collector::start(address, &received);
    let measures = log(address, 100, |_| {});
    collector.stop();
    assert_eq!(fates(&measures), [0, 0, 100]);
    assert_eq!(received.logs.lock().unwrap().len(), 0);
}
