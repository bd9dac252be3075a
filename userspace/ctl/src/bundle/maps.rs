//! The maps of programs in the kernel, found by the programs' map ids, so that it does not matter
//! who loaded them or where they are pinned.

use anyhow::{Context, Result};
use aya::maps::{Array, Map, MapData, MapInfo, PerCpuArray};
use dns_trace_event::{ABI_VERSION, MAP_CONTROL, MAP_EVENTS, MAP_STATS, STATS_NAMES};

use crate::exit::{Exit, Failure};

/// The maps behind one ring.
#[derive(Debug)]
pub(crate) struct RingMaps {
    /// Kernel id of the ring.
    pub(crate) ring: u32,
    /// Kernel id of the counters.
    pub(crate) stats: u32,
    /// Kernel id of the doorbell.
    pub(crate) control: u32,
}

impl RingMaps {
    /// The maps in the order of [`Self::NAMES`].
    pub(crate) const fn ids(&self) -> [u32; 3] {
        [self.ring, self.stats, self.control]
    }

    /// Names of the maps, which are also the names of the pins.
    pub(crate) const NAMES: [&str; 3] = [MAP_EVENTS, MAP_STATS, MAP_CONTROL];

    /// Refuses maps of another version of the contract.
    pub(crate) fn check_abi(&self) -> Result<()> {
        let control = open(self.control, MAP_CONTROL)?;
        let abi = Array::<_, u64>::try_from(Map::Array(control))
            .map_err(|error| {
                wrong_object(&format!("its map {MAP_CONTROL} has another shape: {error}"))
            })?
            .len();
        if abi == u32::from(ABI_VERSION) {
            return Ok(());
        }
        Err(Failure::new(
            Exit::Object,
            format!(
                "the object has ABI {abi}, this dns-tracectl has ABI {ABI_VERSION} \
                 (use an image of the same release as dns-tracectl, or update dns-tracectl)"
            ),
        ))
    }
}

fn wrong_object(why: &str) -> anyhow::Error {
    Failure::new(
        Exit::Object,
        format!("this is not a dns-trace object: {why} (check the image or file)"),
    )
}

fn open(id: u32, name: &str) -> Result<MapData> {
    MapData::from_id(id).with_context(|| format!("cannot open the map {name} (id {id})"))
}

/// The rings that these programs write to, each once. `programs` are map ids, program by program.
pub(crate) fn rings_of<'a>(programs: impl IntoIterator<Item = &'a [u32]>) -> Result<Vec<RingMaps>> {
    let mut rings: Vec<RingMaps> = Vec::new();
    for ids in programs {
        let mut found: [Option<u32>; 3] = [None; 3];
        for id in ids {
            let info = MapInfo::from_id(*id)
                .with_context(|| format!("cannot look up the map with id {id}"))?;
            if let Some(place) = RingMaps::NAMES
                .iter()
                .position(|name| Some(*name) == info.name_as_str())
            {
                found[place] = Some(*id);
            }
        }
        let [Some(ring), Some(stats), Some(control)] = found else {
            return Err(wrong_object(&format!(
                "a program lacks one of the maps {}",
                RingMaps::NAMES.join(", ")
            )));
        };
        if rings.iter().all(|known| known.ring != ring) {
            rings.push(RingMaps {
                ring,
                stats,
                control,
            });
        }
    }
    Ok(rings)
}

/// Pins one map.
pub(super) fn pin(id: u32, name: &str, path: &std::path::Path) -> Result<()> {
    open(id, name)?
        .pin(path)
        .with_context(|| format!("cannot pin {}", path.display()))
}

/// Kernel id of a pinned map.
pub(super) fn pinned_id(path: &std::path::Path) -> Option<u32> {
    MapInfo::from_pin(path).ok().map(|info| info.id())
}

/// The counters of a ring, summed over all CPUs, in the order of [`STATS_NAMES`].
pub(crate) fn counters(stats: u32) -> Result<[u64; STATS_NAMES.len()]> {
    let map = PerCpuArray::<_, [u64; STATS_NAMES.len()]>::try_from(Map::PerCpuArray(open(
        stats, MAP_STATS,
    )?))
    .with_context(|| format!("the map {MAP_STATS} has another shape"))?;
    let cpus = map
        .get(&0, 0)
        .with_context(|| format!("cannot read the map {MAP_STATS}"))?;
    let mut sums = [0u64; STATS_NAMES.len()];
    for cpu in cpus.iter() {
        sums.iter_mut()
            .zip(cpu)
            .for_each(|(sum, value)| *sum = sum.wrapping_add(*value));
    }
    Ok(sums)
}
