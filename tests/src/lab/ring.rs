//! A ring and its counters as root reads them, record by record: for what the reader does not show, and
//! for kernels that let nobody else.

use std::path::Path;

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::maps::{Map, MapData, PerCpuArray, RingBuf};
use dns_trace_event::{
    BUNDLE_ROOT, KIND_PACKET, MAP_EVENTS, MAP_STATS, PacketHeader, RINGS_DIR, Stats,
};
use zerocopy::FromBytes as _;

/// Both maps.
pub struct Ring {
    ring: RingBuf<MapData>,
    stats: PerCpuArray<MapData, Counters>,
}

/// [`Stats`], as aya wants map values.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Counters(Stats);

// SAFETY: `Stats` is `repr(C)` of `u64` only: any bytes are a value, and it has no padding.
unsafe impl aya::Pod for Counters {}

impl Ring {
    /// Takes them out of an object that is loaded.
    ///
    /// # Errors
    /// If it has none.
    pub fn of(ebpf: &mut Ebpf) -> Result<Self> {
        Ok(Self {
            ring: RingBuf::try_from(ebpf.take_map(MAP_EVENTS).context("no ring")?)?,
            stats: PerCpuArray::try_from(ebpf.take_map(MAP_STATS).context("no counters")?)?,
        })
    }

    /// The first ring of the default instance.
    ///
    /// # Errors
    /// If it is not loaded.
    pub fn of_bundle() -> Result<Self> {
        let folder = Path::new(BUNDLE_ROOT).join("default").join(RINGS_DIR);
        let open = |name| {
            let pin = folder.join("0").join(name);
            MapData::from_pin(&pin).with_context(|| format!("cannot open {}", pin.display()))
        };
        Ok(Self {
            ring: RingBuf::try_from(Map::RingBuf(open(MAP_EVENTS)?))?,
            stats: PerCpuArray::try_from(Map::PerCpuArray(open(MAP_STATS)?))?,
        })
    }

    /// The counters of all CPUs.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn stats(&self) -> Result<Stats> {
        let mut sum = Stats::default();
        for cpu in self.stats.get(&0, 0)?.iter() {
            sum.add(&cpu.0);
        }
        Ok(sum)
    }

    /// The records that wait, whole.
    pub fn records(&mut self) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        while let Some(item) = self.ring.next() {
            records.push(item.to_vec());
        }
        records
    }

    /// The heads of those that are packets.
    pub fn packets(&mut self) -> Vec<PacketHeader> {
        let records = self.records().into_iter();
        records
            .filter_map(|record| Some(PacketHeader::read_from_prefix(&record).ok()?.0))
            .filter(|header| header.kind == KIND_PACKET)
            .collect()
    }
}
