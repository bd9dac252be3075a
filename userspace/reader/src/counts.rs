//! Counters of the reader, and the summary that adds the kernel's. Every message ends in exactly
//! one of them, so that the sums of [`Counts`]' documentation hold and can be checked. What becomes of
//! messages and lookups is counted twice, see [`Totals`].

use std::fmt;
use std::io;

use dns_trace_event::Stats;
use serde::Serialize;

use crate::encrypted::EncryptedCounts;
use crate::encrypted::bootstrap::Bootstraps;
use crate::owners::OwnerCounts;
use crate::tap::TapCounts;
use crate::tcp::TcpCounts;

/// What became of what the reader took from the rings.
///
/// ```text
/// records                   = stale + undecodable + twins + duplicates + encrypted.packets
///                           + owners.records + tcp.segments + udp_messages
/// udp_messages + tcp.messages
///                           = queries + responses + malformed   (malformed_hops of these)
/// queries                   = answered + retransmissions + timeouts + evicted + multicast + pending
///                           + query_hops
/// responses                 = answered + responses_only + orphans + announcements + axfr_messages
///                           + response_hops + waiting
/// lookups                   = answered + responses_only + timeouts + evicted + multicast + orphans
///                           + announcements
/// ```
///
/// `pending` and `waiting` are as of now. `malformed` lines are shown but are no lookups. What becomes
/// of TCP segments stands at [`TcpCounts`], of what is recorded at [`TapCounts`].
///
/// The sums of queries, responses and lookups hold for `scaled` as for `raw`. All other counters are of what
/// was captured and have no scaled form: what `pending` and `waiting` stand for is what the sums leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Records taken from the rings.
    pub records: u64,
    /// Records from before the reader's start, left out.
    pub stale: u64,
    /// Records that break the contract.
    pub undecodable: u64,
    /// Packets told through another ring already, while programs were replaced side by side.
    pub twins: u64,
    /// Records forgotten although such a twin could still come, which is then told, too.
    pub twins_evicted: u64,
    /// Packets on a loopback device seen a second time, on the way in.
    pub duplicates: u64,
    /// Packets of encrypted DNS, the connections that they are of, and lookups that lead there.
    pub encrypted: EncryptedCounts,
    /// Which processes sockets belong to.
    pub owners: OwnerCounts,
    /// TCP segments, and the messages in them.
    pub tcp: TcpCounts,
    /// What a tap took.
    pub tap: TapCounts,
    /// Datagrams.
    pub udp_messages: u64,
    /// Messages and lookups, each once. As output they stand among the others here.
    #[serde(flatten)]
    pub raw: Totals,
    /// The same, each times what it stands for.
    pub scaled: Totals,
    /// Queries still pending.
    pub pending: u64,
    /// Responses that wait: for their query, which may be in another ring, or to come back to where the query
    /// was seen first. None at the end.
    pub waiting: u64,
    /// Lookups and malformed packets that the filters let through.
    pub shown: u64,
    /// Of these, those whose line the output has not taken; at the end, since it was slow or gone.
    pub unwritten: u64,
    /// Longest time from the kernel's stamp of a record to its reading, nanoseconds. Taken from
    /// the first packet of each drain.
    pub max_lag_ns: u64,
    /// How often devices counted packets and the programs none, or an interface went.
    pub heartbeat_stops: u64,
    /// How often the bundle was loaded anew.
    pub reloads: u64,
}

impl Counts {
    /// Adds to a total, raw and scaled: messages or lookups of which each stands for `sample`.
    #[inline]
    pub(crate) fn add(
        &mut self,
        number: u64,
        sample: u16,
        total: impl Fn(&mut Totals) -> &mut u64,
    ) {
        *total(&mut self.raw) += number;
        *total(&mut self.scaled) += number * u64::from(sample);
    }

    /// A response that has found its query stands for as many as that, as their lookup does: programs that
    /// sample otherwise may have been loaded in between, and the sums shall hold.
    #[inline]
    pub(crate) const fn matched(&mut self, query: u16, response: u16) {
        self.scaled.responses += query as u64;
        self.scaled.responses -= response as u64;
    }
}

/// Totals of messages and lookups. They are kept raw, as captured, and scaled: each times what it stands for
/// where one in so many is captured (`load --sample`), a message by its record, a lookup by that of its query, or
/// of its response where there is no query. Where every lookup is captured both are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Datagrams, or messages of a stream, that are no DNS message.
    pub malformed: u64,
    /// Queries, the ones sent again included.
    pub queries: u64,
    /// Responses.
    pub responses: u64,
    /// Of the queries, those that a host-wide hook had seen at another device before.
    pub query_hops: u64,
    /// Of the responses, likewise.
    pub response_hops: u64,
    /// Of what is malformed, likewise.
    pub malformed_hops: u64,
    /// Lookups of every outcome.
    pub lookups: u64,
    /// Lookups with query and response.
    pub answered: u64,
    /// Lookups of which only the response is captured, by choice.
    pub responses_only: u64,
    /// Answered lookups whose answer cannot be read to the end or holds data that contradicts its
    /// type.
    pub malformed_answers: u64,
    /// Queries sent again while pending.
    pub retransmissions: u64,
    /// Lookups without a response in time.
    pub timeouts: u64,
    /// Responses whose query was not seen.
    pub orphans: u64,
    /// Pending queries that had to make room.
    pub evicted: u64,
    /// Multicast queries that nobody answered.
    pub multicast: u64,
    /// Multicast responses that nobody asked for.
    pub announcements: u64,
    /// Further responses to a query for a zone transfer, which has many (RFC 5936, section 2.2). They
    /// are not shown.
    pub axfr_messages: u64,
    /// Answer records in them.
    pub axfr_records: u64,
    /// TCP lookups that follow a truncated answer to the same question over UDP.
    pub retries_of_truncated: u64,
}

impl Totals {
    /// What messages were.
    fn messages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            queries,
            responses,
            malformed,
            ..
        } = self;
        write!(
            f,
            "{queries} queries, {responses} responses, {malformed} malformed"
        )
    }

    /// Which of them host-wide hooks saw more than once.
    fn hops(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            query_hops,
            response_hops,
            malformed_hops,
            ..
        } = self;
        if query_hops + response_hops + malformed_hops == 0 {
            return Ok(());
        }
        writeln!(
            f,
            "of these on their way, at a further device: {query_hops} queries, {response_hops} responses, \
             {malformed_hops} malformed"
        )
    }

    /// How lookups ended.
    fn lookups(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lookups: {} answered", self.lookups, self.answered)?;
        for (name, count) in [
            ("responses without their queries", self.responses_only),
            ("timed out", self.timeouts),
            ("orphans", self.orphans),
            ("evicted", self.evicted),
            ("unanswered multicast", self.multicast),
            ("announcements", self.announcements),
            ("with a malformed answer", self.malformed_answers),
            ("after a truncated answer", self.retries_of_truncated),
            ("further messages of zone transfers", self.axfr_messages),
            ("records in these", self.axfr_records),
        ] {
            if count > 0 {
                write!(f, ", {count} {name}")?;
            }
        }
        write!(f, "; {} retransmissions", self.retransmissions)
    }
}

/// The kernel's counters over the reader's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelCounts(pub Stats);

impl KernelCounts {
    /// What was added since `start`.
    #[must_use]
    pub const fn since(now: &Stats, start: &Stats) -> Self {
        Self(now.since(start))
    }

    /// Messages that were on the wire and reached no record: by the reason.
    #[must_use]
    pub const fn lost(&self) -> [(&'static str, u64); 5] {
        let Stats {
            ring_full,
            malformed,
            unreadable,
            later_fragments,
            unparsable,
            ..
        } = self.0;
        [
            ("ring full", ring_full),
            ("malformed", malformed),
            ("unreadable", unreadable),
            ("later fragments", later_fragments),
            ("unparsable", unparsable),
        ]
    }
}

impl Serialize for KernelCounts {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = dns_trace_event::STATS_NAMES;
        serializer.collect_map(names.iter().zip(self.0.values()))
    }
}

/// All counters over the reader's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// The reader's.
    pub reader: Counts,
    /// The kernel's.
    pub kernel: KernelCounts,
    /// The kernel's from before the start, since the programs were loaded: of what passed without a reader,
    /// and of what earlier readers have told.
    pub before: KernelCounts,
    /// Seconds from the start.
    pub seconds: f64,
}

impl Summary {
    /// What is known so many seconds after the start; `start` is what the kernel had counted by then.
    #[must_use]
    pub const fn since(reader: Counts, kernel: &Stats, start: &Stats, seconds: f64) -> Self {
        Self {
            reader,
            kernel: KernelCounts::since(kernel, start),
            before: KernelCounts(*start),
            seconds,
        }
    }

    /// What is not here by choice, and what is here stands for.
    fn left_out(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stats {
            sampled_out,
            deselected,
            ..
        } = self.kernel.0;
        let Counts { raw, scaled, .. } = self.reader;
        if sampled_out == 0 && deselected == 0 && scaled == raw {
            return Ok(());
        }
        writeln!(
            f,
            "left out by choice: {sampled_out} messages sampled out, {deselected} deselected"
        )?;
        if scaled == raw {
            return Ok(());
        }
        write!(f, "scaled up: ")?;
        scaled.messages(f)?;
        writeln!(f)?;
        scaled.hops(f)?;
        write!(f, "scaled up: ")?;
        scaled.lookups(f)?;
        writeln!(f)
    }

    /// What became of what was to be recorded.
    fn recorded(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tap = self.reader.tap;
        if tap == TapCounts::default() {
            return Ok(());
        }
        let TapCounts {
            written,
            filtered,
            cut,
            dropped,
        } = tap;
        writeln!(
            f,
            "recorded: {written} written, {filtered} filtered out, {cut} left out since they were cut, \
             {dropped} dropped since the output was slow or away"
        )
    }

    /// What is there and cannot be seen.
    fn encrypted(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EncryptedCounts {
            packets,
            tcp_connections,
            udp_connections,
            bootstraps,
            ..
        } = self.reader.encrypted;
        if packets > 0 {
            writeln!(
                f,
                "encrypted, so that lookups cannot be seen: {tcp_connections} connections over TLS, \
                 {udp_connections} over QUIC or DTLS, {packets} packets"
            )?;
        }
        if bootstraps == Bootstraps::default() {
            return Ok(());
        }
        let Bootstraps {
            resolvers,
            discoveries,
            designated,
            canaries,
        } = bootstraps;
        writeln!(
            f,
            "leading to encrypted DNS, whose lookups cannot be seen: {resolvers} lookups of known resolvers, \
             {discoveries} discoveries ({designated} of them answered), {canaries} of the canary"
        )
    }

    /// Who asked; nothing where no owner program tells.
    fn processes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (owners, lost) = (&self.reader.owners, self.kernel.0.owners_lost);
        if owners.records == 0 && lost == 0 {
            return Ok(());
        }
        writeln!(
            f,
            "processes: {} lookups with, {} of local sockets without; {} announcements, {lost} lost; \
             {} sockets shared, {} forgotten",
            owners.known, owners.unknown, owners.records, owners.contended, owners.evicted
        )
    }

    /// Writes one JSON object and a line end.
    ///
    /// # Errors
    /// The writer's.
    pub fn write_json(&self, writer: &mut dyn io::Write) -> io::Result<()> {
        serde_json::to_writer(&mut *writer, self)?;
        writer.write_all(b"\n")
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.reader;
        let tcp = &counts.tcp;
        let messages = counts.udp_messages + tcp.messages;
        write!(f, "{messages} messages in {:.1} s", self.seconds)?;
        if tcp.segments > 0 {
            write!(
                f,
                " ({} of them in {} TCP segments)",
                tcp.messages, tcp.segments
            )?;
        }
        write!(f, ": ")?;
        counts.raw.messages(f)?;
        writeln!(f)?;
        counts.raw.hops(f)?;
        counts.raw.lookups(f)?;
        write!(
            f,
            ", {} pending at the end, {} shown",
            counts.pending, counts.shown
        )?;
        if counts.unwritten > 0 {
            let unwritten = counts.unwritten;
            write!(
                f,
                " ({unwritten} of them not written: the output was slow or gone)"
            )?;
        }
        writeln!(f)?;
        self.left_out(f)?;
        self.recorded(f)?;
        self.encrypted(f)?;
        self.processes(f)?;
        write!(f, "lost:")?;
        for (i, (reason, count)) in self.kernel.lost().into_iter().enumerate() {
            write!(f, "{} {count} {reason}", if i == 0 { "" } else { "," })?;
        }
        for (reason, count) in tcp.given_up() {
            if count > 0 {
                write!(f, ", {count} {reason}")?;
            }
        }
        for (what, count) in [
            ("TCP segments waiting", tcp.waiting),
            ("TCP messages unfinished", tcp.unfinished),
        ] {
            if count > 0 {
                write!(f, ", {count} {what} at the end")?;
            }
        }
        write!(
            f,
            "; {} truncated, {} undecodable, {} from before the start; lag at most {:.1} ms",
            self.kernel.0.truncated,
            counts.undecodable,
            counts.stale,
            counts.max_lag_ns as f64 / 1e6
        )?;
        for (count, what) in [
            (counts.heartbeat_stops, "times without heartbeat"),
            (counts.reloads, "times loaded anew"),
            (
                self.before.0.ring_full,
                "ring full before the start, since load",
            ),
            (counts.twins, "packets seen by the old and the new programs"),
            (
                counts.twins_evicted,
                "of which it was forgotten whether they were",
            ),
        ] {
            if count > 0 {
                write!(f, "; {count} {what}")?;
            }
        }
        Ok(())
    }
}
