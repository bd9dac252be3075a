//! What an object says about itself.

use std::{collections::BTreeMap, fmt};

use dns_trace_event::{MAP_CONTROL, MAP_EVENTS, MAP_STATS};
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};
use serde::Serialize;

use crate::{Error, OBJECT_MAX, btf};

/// Byte order of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ByteOrder {
    /// `bpfel`.
    Little,
    /// `bpfeb`.
    Big,
}

impl fmt::Display for ByteOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Little => "little-endian",
            Self::Big => "big-endian",
        })
    }
}

/// What is in an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Description {
    /// Byte order.
    pub byte_order: ByteOrder,
    /// Program names to bpfman's names of their types. TCX programs are `tc` here: in the object
    /// the two do not differ.
    pub programs: BTreeMap<String, String>,
    /// Map names to bpfman's names of their types, without the compiler's own (`.rodata`, …).
    pub maps: BTreeMap<String, String>,
    /// ABI version, which is the number of entries of [`MAP_CONTROL`].
    pub abi: u16,
}

impl Description {
    /// Reads an object.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::CorruptObject`], [`Error::ForeignObject`].
    pub fn of(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > OBJECT_MAX {
            return Err(Error::TooLarge {
                what: "the object",
                limit: OBJECT_MAX,
            });
        }
        let byte_order = byte_order(bytes)?;
        let file = object::File::parse(bytes).map_err(corrupt)?;
        let programs = programs(&file)?;
        if programs.is_empty() {
            return Err(Error::ForeignObject {
                missing: "program".to_owned(),
            });
        }
        let definitions = definitions(&file, byte_order)?;
        let maps = maps(&definitions)?;
        for (name, kind) in [
            (MAP_EVENTS, "ringbuf"),
            (MAP_STATS, "per_cpu_array"),
            (MAP_CONTROL, "array"),
        ] {
            if maps.get(name).is_none_or(|k| k != kind) {
                return Err(Error::ForeignObject {
                    missing: format!("map {name} of type {kind}"),
                });
            }
        }
        let abi = definitions
            .iter()
            .find(|map| map.name == MAP_CONTROL)
            .and_then(|map| u16::try_from(map.max_entries?).ok())
            .ok_or_else(|| Error::ForeignObject {
                missing: format!("ABI version in the map {MAP_CONTROL}"),
            })?;
        Ok(Self {
            byte_order,
            programs,
            maps,
            abi,
        })
    }

    /// The label [`crate::LABEL_PROGRAMS`].
    #[must_use]
    pub fn programs_label(&self) -> String {
        json(&self.programs)
    }

    /// The label [`crate::LABEL_MAPS`].
    #[must_use]
    pub fn maps_label(&self) -> String {
        json(&self.maps)
    }
}

/// Checks that this is an ELF object for eBPF (`EM_BPF`, 247) and tells its byte order.
fn byte_order(bytes: &[u8]) -> Result<ByteOrder, Error> {
    let (order, machine) = match bytes {
        [0x7f, b'E', b'L', b'F', _, 1, ..] => (ByteOrder::Little, [247, 0]),
        [0x7f, b'E', b'L', b'F', _, 2, ..] => (ByteOrder::Big, [0, 247]),
        _ => return Err(corrupt("it is not an ELF file")),
    };
    if bytes.get(18..20) != Some(&machine) {
        return Err(corrupt("it is an ELF file, but not for eBPF"));
    }
    Ok(order)
}

fn json(map: &BTreeMap<String, String>) -> String {
    // Serialising a map of strings cannot fail.
    serde_json::to_string(map).unwrap_or_default()
}

fn corrupt(cause: impl ToString) -> Error {
    Error::CorruptObject {
        cause: crate::error::one_line(&cause.to_string()),
    }
}

/// The global functions of sections whose names say how to load them. `.text` holds functions that
/// programs call.
fn programs(file: &object::File<'_>) -> Result<BTreeMap<String, String>, Error> {
    let mut programs = BTreeMap::new();
    for symbol in file.symbols() {
        if symbol.kind() != SymbolKind::Text || !symbol.is_global() {
            continue;
        }
        let Some(index) = symbol.section_index() else {
            continue;
        };
        let section = file.section_by_index(index).map_err(corrupt)?;
        let section_name = section.name().map_err(corrupt)?;
        if section.kind() != SectionKind::Text || section_name == ".text" {
            continue;
        }
        let name = symbol.name().map_err(corrupt)?;
        let kind = program_type(section_name).ok_or_else(|| {
            corrupt(format!(
                "program {name}: no program type for the section {section_name}"
            ))
        })?;
        programs.insert(name.to_owned(), kind.to_owned());
    }
    Ok(programs)
}

fn definitions(
    file: &object::File<'_>,
    order: ByteOrder,
) -> Result<Vec<btf::MapDefinition>, Error> {
    let section = file
        .section_by_name(".BTF")
        .ok_or_else(|| corrupt("it has no BTF"))?;
    let data = section.data().map_err(corrupt)?;
    btf::maps(data, order).ok_or_else(|| corrupt("its BTF is damaged"))
}

fn maps(definitions: &[btf::MapDefinition]) -> Result<BTreeMap<String, String>, Error> {
    let name_of = |map: &btf::MapDefinition| {
        let kind = map_type(map.kind)
            .ok_or_else(|| corrupt(format!("map {}: unknown type {}", map.name, map.kind)))?;
        Ok((map.name.clone(), kind.to_owned()))
    };
    definitions.iter().map(name_of).collect()
}

/// bpfman's name of a program type (`BpfProgType` in bpfman 0.6.0) by section, for the types that
/// it can load.
fn program_type(section: &str) -> Option<&'static str> {
    let kind = section.split('/').next()?;
    Some(match kind {
        "xdp" | "xdp.frags" => "xdp",
        "classifier" => "tc",
        "tracepoint" | "tp" => "tracepoint",
        "kprobe" | "kretprobe" | "uprobe" | "uretprobe" | "uprobe.s" | "uretprobe.s" => "probe",
        "fentry" | "fexit" | "fentry.s" | "fexit.s" => "tracing",
        _ => return None,
    })
}

/// bpfman's name of a map type (`MapType` in bpfman 0.6.0) by its number in `linux/bpf.h`, for
/// those that dns-trace may use.
const fn map_type(kind: u32) -> Option<&'static str> {
    Some(match kind {
        1 => "hash",
        2 => "array",
        5 => "per_cpu_hash",
        6 => "per_cpu_array",
        9 => "lru_hash",
        10 => "lru_per_cpu_hash",
        11 => "lpm_trie",
        24 => "sk_storage",
        27 => "ringbuf",
        _ => return None,
    })
}
