//! The counters by their names in Prometheus, less `_total`; what begins with `dns_trace` is about the
//! tracer itself.

use dns_trace_event::Stats;

use super::{Exports, Fate, Measures, Signal, State};
use crate::counts::{Summary, Totals};

/// Something that only grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Its name.
    pub name: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// Name of the label that tells its values apart; empty if there is one value.
    pub label: &'static str,
    /// Values of the label, and the counts.
    pub values: Vec<(&'static str, u64)>,
}

/// Something that goes up and down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gauge {
    /// Its name.
    pub name: &'static str,
    /// What it tells.
    pub help: &'static str,
    /// Its value.
    pub value: f64,
}

fn one(name: &'static str, help: &'static str, value: u64) -> Counter {
    by("", name, help, &[("", value)])
}

fn by(
    label: &'static str,
    name: &'static str,
    help: &'static str,
    values: &[(&'static str, u64)],
) -> Counter {
    Counter {
        name,
        help,
        label,
        values: values.to_vec(),
    }
}

/// All counters.
#[must_use]
pub fn counters(summary: &Summary, exports: &Exports) -> Vec<Counter> {
    let mut all = messages(summary);
    all.extend(kernel(&summary.kernel.0));
    all.extend(reader(summary));
    all.extend(sent(exports));
    all
}

/// What was asked and answered.
fn messages(summary: &Summary) -> Vec<Counter> {
    let counts = &summary.reader;
    let (raw, encrypted) = (&counts.raw, counts.encrypted);
    vec![
        one(
            "dns_queries",
            "Queries seen, those sent again included.",
            raw.queries,
        ),
        one("dns_responses", "Responses seen.", raw.responses),
        by(
            "outcome",
            "dns_lookups",
            "Lookups by how they ended. No filter holds for them.",
            &[
                ("answered", raw.answered),
                ("response_only", raw.responses_only),
                ("timeout", raw.timeouts),
                ("evicted", raw.evicted),
                ("orphan", raw.orphans),
                ("multicast", raw.multicast),
                ("announcement", raw.announcements),
            ],
        ),
        one(
            "dns_retransmissions",
            "Queries sent again while they waited.",
            raw.retransmissions,
        ),
        by(
            "what",
            "dns_hops",
            "Messages that a host-wide hook had seen at another device before.",
            &[
                ("query", raw.query_hops),
                ("response", raw.response_hops),
                ("malformed", raw.malformed_hops),
            ],
        ),
        one(
            "dns_malformed_messages",
            "Datagrams and stream messages that are no DNS message.",
            raw.malformed,
        ),
        one(
            "dns_malformed_answers",
            "Answered lookups whose answer cannot be read to its end or contradicts itself.",
            raw.malformed_answers,
        ),
        one(
            "dns_retries_of_truncated",
            "TCP lookups that follow a truncated answer over UDP.",
            raw.retries_of_truncated,
        ),
        one(
            "dns_zone_transfer_messages",
            "Further messages of zone transfers, after their first.",
            raw.axfr_messages,
        ),
        one(
            "dns_zone_transfer_records",
            "Answer records in these.",
            raw.axfr_records,
        ),
        estimated(&counts.scaled),
        by(
            "transport",
            "dns_encrypted_connections",
            "Connections to port 853, whose lookups cannot be seen.",
            &[
                ("tcp", encrypted.tcp_connections),
                ("udp", encrypted.udp_connections),
            ],
        ),
        one(
            "dns_trace_heartbeat_stops",
            "How often interfaces counted packets and the programs none, or an interface went.",
            counts.heartbeat_stops,
        ),
        one(
            "dns_trace_reloads",
            "How often the bundle was loaded anew.",
            counts.reloads,
        ),
        one(
            "dns_encrypted_packets",
            "Packets of these.",
            encrypted.packets,
        ),
        by(
            "kind",
            "dns_encrypted_bootstraps",
            "Lookups that lead to encrypted DNS: for a well-known resolver, for those that are offered, for the \
             canary of Firefox. As captured, see dns_estimated.",
            &[
                ("resolver", encrypted.bootstraps.resolvers),
                ("discovery", encrypted.bootstraps.discoveries),
                ("canary", encrypted.bootstraps.canaries),
            ],
        ),
    ]
}

/// The totals of messages and lookups, scaled. A match of every field: a new one has to have its place here.
fn estimated(scaled: &Totals) -> Counter {
    let Totals {
        malformed,
        queries,
        responses,
        query_hops,
        response_hops,
        malformed_hops,
        lookups,
        answered,
        responses_only,
        malformed_answers,
        retransmissions,
        timeouts,
        orphans,
        evicted,
        multicast,
        announcements,
        axfr_messages,
        axfr_records,
        retries_of_truncated,
    } = *scaled;
    by(
        "what",
        "dns_estimated",
        "What was seen, each times what it stands for where one lookup in so many is captured. Other metrics \
         of messages and lookups are as captured: times lookups here, divided by all dns_lookups, they are \
         estimates, too.",
        &[
            ("queries", queries),
            ("responses", responses),
            ("lookups", lookups),
            ("answered", answered),
            ("responses_only", responses_only),
            ("timeouts", timeouts),
            ("evicted", evicted),
            ("orphans", orphans),
            ("multicast", multicast),
            ("announcements", announcements),
            ("retransmissions", retransmissions),
            ("query_hops", query_hops),
            ("response_hops", response_hops),
            ("malformed_hops", malformed_hops),
            ("malformed", malformed),
            ("malformed_answers", malformed_answers),
            ("retries_of_truncated", retries_of_truncated),
            ("axfr_messages", axfr_messages),
            ("axfr_records", axfr_records),
        ],
    )
}

/// What the programs in the kernel count. A match of every field: a new one has to have its place here.
fn kernel(stats: &Stats) -> Vec<Counter> {
    let Stats {
        packets,
        submitted,
        ring_full,
        malformed,
        unreadable,
        truncated,
        later_fragments,
        unparsable,
        bare_acks,
        sampled_out,
        deselected,
        owners_lost,
    } = *stats;
    vec![
        one(
            "dns_trace_packets",
            "Packets that the kernel part has looked at, DNS or not. One that stands still says that it is \
             attached nowhere.",
            packets,
        ),
        one(
            "dns_trace_submitted_messages",
            "Messages and TCP segments handed to the ring.",
            submitted,
        ),
        by(
            "reason",
            "dns_trace_lost_messages",
            "Messages that were on the wire, or may have been, and are not reported.",
            &[
                ("ring_full", ring_full),
                ("malformed", malformed),
                ("unreadable", unreadable),
                ("later_fragment", later_fragments),
                ("unparsable", unparsable),
            ],
        ),
        by(
            "reason",
            "dns_trace_left_out_packets",
            "Packets on a DNS port that are left out by choice, or hold no message.",
            &[
                ("sampled_out", sampled_out),
                ("deselected", deselected),
                ("bare_ack", bare_acks),
            ],
        ),
        one(
            "dns_trace_truncated_messages",
            "Messages of which the ring holds the beginning only.",
            truncated,
        ),
        one(
            "dns_trace_lost_owners",
            "Announcements of processes that the ring had no room for.",
            owners_lost,
        ),
    ]
}

/// What the reader counts beside.
fn reader(summary: &Summary) -> Vec<Counter> {
    let counts = &summary.reader;
    let (tcp, owners) = (counts.tcp, counts.owners);
    vec![
        one(
            "dns_trace_records",
            "Records taken from the rings.",
            counts.records,
        ),
        by(
            "reason",
            "dns_trace_left_out_records",
            "Records that were left out.",
            &[
                ("stale", counts.stale),
                ("undecodable", counts.undecodable),
                ("duplicate", counts.duplicates),
                ("twin", counts.twins),
            ],
        ),
        by(
            "fate",
            "dns_trace_tcp_segments",
            "TCP segments by what became of them.",
            &[
                ("used", tcp.used),
                ("empty", tcp.empty),
                ("retransmitted", tcp.retransmitted),
                ("no_start", tcp.no_start),
                ("dropped", tcp.dropped),
            ],
        ),
        one(
            "dns_trace_tcp_messages",
            "Messages found in TCP streams.",
            tcp.messages,
        ),
        one(
            "dns_trace_tcp_truncated_messages",
            "Of these, messages of which bytes are missing.",
            tcp.truncated,
        ),
        by(
            "reason",
            "dns_trace_tcp_given_up",
            "Stretches of TCP streams that were given up, from which messages may be missing.",
            &[
                ("gap", tcp.given_up_gap),
                ("cut_off", tcp.given_up_cut_off),
                ("evicted", tcp.given_up_evicted),
            ],
        ),
        by(
            "process",
            "dns_trace_local_lookups",
            "Lookups of local sockets, by whether their process is known. As captured, see dns_estimated.",
            &[("known", owners.known), ("unknown", owners.unknown)],
        ),
        one(
            "dns_trace_shown_lookups",
            "Lookups and malformed messages that the filters let through. As captured, see dns_estimated.",
            counts.shown,
        ),
    ]
}

/// What was sent to a collector.
fn sent(exports: &Exports) -> Vec<Counter> {
    let (metrics, logs) = (
        exports.messages(Signal::Metrics),
        exports.messages(Signal::Logs),
    );
    vec![
        by(
            "signal",
            "dns_trace_otlp_exports",
            "Messages that the collector took.",
            &[("metrics", metrics.0), ("logs", logs.0)],
        ),
        by(
            "signal",
            "dns_trace_otlp_failed_exports",
            "Messages that the collector did not take, each attempt counted.",
            &[("metrics", metrics.1), ("logs", logs.1)],
        ),
        by(
            "fate",
            "dns_trace_otlp_log_records",
            "Log records that the collector has, that there was no room for, and that it refused.",
            &[
                ("exported", exports.log_records(Fate::Exported)),
                ("dropped", exports.log_records(Fate::Dropped)),
                ("refused", exports.log_records(Fate::Refused)),
            ],
        ),
    ]
}

/// All gauges.
#[must_use]
pub fn gauges(state: &State, measures: &Measures) -> Vec<Gauge> {
    let counts = &state.summary.reader;
    let gauge = |name, help, value| Gauge { name, help, value };
    let series = measures.durations.iter().count() + measures.errors.iter().count();
    let mut all = vec![
        gauge(
            "dns_waiting_responses",
            "Responses that wait for their query, or to come back to where it was seen first.",
            counts.waiting as f64,
        ),
        gauge(
            "dns_pending_queries",
            "Queries that wait for their response.",
            counts.pending as f64,
        ),
        gauge(
            "dns_trace_hook_up",
            "0 while the bundle is unloaded or unreadable, an interface is gone, or interfaces count packets and the programs none.",
            f64::from(u8::from(state.hook_up)),
        ),
        gauge(
            "dns_trace_ring_fill_ratio",
            "How full the fullest ring was at most within the last second.",
            state.ring_fill,
        ),
        gauge(
            "dns_trace_reader_lag_seconds",
            "From the kernel's stamp to the reading, as of the last answers that were read.",
            measures.lag_ns() as f64 / 1e9,
        ),
        gauge(
            "dns_trace_reader_lag_max_seconds",
            "The same, the longest since the start.",
            counts.max_lag_ns as f64 / 1e9,
        ),
        gauge(
            "dns_trace_label_series",
            "Series of durations and errors. When they reach the limit, new ones are counted as other.",
            series as f64,
        ),
        gauge(
            "dns_trace_label_servers",
            "Servers with a label of their own. When they reach the limit, new ones are counted as other.",
            measures.servers.len() as f64,
        ),
    ];
    if let Some(names) = &measures.names {
        all.push(gauge(
            "dns_trace_label_names",
            "Names with a label of their own. When they reach the limit, new ones are counted as other.",
            names.len() as f64,
        ));
    }
    all
}
