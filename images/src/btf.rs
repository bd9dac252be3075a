//! Just enough BTF to know the maps of an object of unknown origin, without a panic on any bytes.
//! `aya-obj` reads BTF too, but indexes out of bounds on damaged input.
//!
//! Format: Documentation/bpf/btf.rst of Linux 6.12.

use crate::ByteOrder;

/// A map as the `.maps` section declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MapDefinition {
    pub(crate) name: String,
    /// `enum bpf_map_type`.
    pub(crate) kind: u32,
    pub(crate) max_entries: Option<u32>,
}

/// Kinds of types, and how much follows their 12 bytes: a fixed number, and one per `vlen`.
const KINDS: [(usize, usize); 20] = {
    let mut kinds = [(0, 0); 20];
    kinds[INT] = (4, 0);
    kinds[ARRAY] = (12, 0);
    kinds[STRUCT] = (0, 12);
    kinds[UNION] = (0, 12);
    kinds[ENUM] = (0, 8);
    kinds[FUNC_PROTO] = (0, 8);
    kinds[VAR] = (4, 0);
    kinds[DATASEC] = (0, 12);
    kinds[DECL_TAG] = (4, 0);
    kinds[ENUM64] = (0, 12);
    kinds
};
const INT: usize = 1;
const PTR: usize = 2;
const ARRAY: usize = 3;
const STRUCT: usize = 4;
const UNION: usize = 5;
const ENUM: usize = 6;
const FUNC_PROTO: usize = 13;
const VAR: usize = 14;
const DATASEC: usize = 15;
const DECL_TAG: usize = 17;
const ENUM64: usize = 19;

/// One type.
struct Type<'a> {
    name: u32,
    kind: usize,
    /// Size, or the id of another type.
    target: u32,
    /// What follows.
    tail: &'a [u8],
}

/// The types and names of an object.
struct Btf<'a> {
    order: ByteOrder,
    types: Vec<Type<'a>>,
    strings: &'a [u8],
}

/// Maps of the section `.maps`; `None` if the BTF is damaged.
pub(crate) fn maps(section: &[u8], order: ByteOrder) -> Option<Vec<MapDefinition>> {
    let btf = Btf::parse(section, order)?;
    let mut maps = Vec::new();
    for sec in btf
        .types
        .iter()
        .filter(|t| t.kind == DATASEC && btf.name(t.name) == Some(".maps"))
    {
        for entry in sec.tail.chunks_exact(12) {
            let variable = btf.get(btf.word(entry, 0)?, VAR)?;
            let definition = btf.get(variable.target, STRUCT)?;
            maps.push(MapDefinition {
                name: btf.name(variable.name)?.to_owned(),
                kind: btf.number(definition, "type")?,
                max_entries: btf.number(definition, "max_entries"),
            });
        }
    }
    Some(maps)
}

impl<'a> Btf<'a> {
    fn parse(section: &'a [u8], order: ByteOrder) -> Option<Self> {
        let mut btf = Self {
            order,
            types: Vec::new(),
            strings: &[],
        };
        let magic = match order {
            ByteOrder::Little => [0x9f, 0xeb],
            ByteOrder::Big => [0xeb, 0x9f],
        };
        if section.get(..2)? != magic {
            return None;
        }
        let part = |offset, length| {
            let start = btf
                .size(section, 4)?
                .checked_add(btf.size(section, offset)?)?;
            section.get(start..start.checked_add(btf.size(section, length)?)?)
        };
        let mut rest: &[u8] = part(8, 12)?;
        btf.strings = part(16, 20)?;
        while !rest.is_empty() {
            let info = btf.word(rest, 4)?;
            let kind = (info >> 24 & 0x1f) as usize;
            let (fixed, each) = *KINDS.get(kind)?;
            let length = fixed.checked_add(each.checked_mul((info & 0xffff) as usize)?)?;
            let end = length.checked_add(12)?;
            btf.types.push(Type {
                name: btf.word(rest, 0)?,
                kind,
                target: btf.word(rest, 8)?,
                tail: rest.get(12..end)?,
            });
            rest = rest.get(end..)?;
        }
        Some(btf)
    }

    fn word(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let word = bytes.get(at..)?.first_chunk()?;
        Some(match self.order {
            ByteOrder::Little => u32::from_le_bytes(*word),
            ByteOrder::Big => u32::from_be_bytes(*word),
        })
    }

    fn size(&self, bytes: &[u8], at: usize) -> Option<usize> {
        usize::try_from(self.word(bytes, at)?).ok()
    }

    /// The type with that id, if it is of that kind. Ids count from 1; 0 is void.
    fn get(&self, id: u32, kind: usize) -> Option<&Type<'a>> {
        let index = usize::try_from(id).ok()?.checked_sub(1)?;
        self.types.get(index).filter(|t| t.kind == kind)
    }

    fn name(&self, offset: u32) -> Option<&'a str> {
        let text = self.strings.get(usize::try_from(offset).ok()?..)?;
        let end = text.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(text.get(..end)?).ok()
    }

    /// The number in a member such as `int (*type)[27]`, libbpf's `__uint(type, 27)`.
    fn number(&self, definition: &Type<'_>, member: &str) -> Option<u32> {
        let members = definition.tail.chunks_exact(12);
        for entry in members {
            if self.name(self.word(entry, 0)?) == Some(member) {
                let pointer = self.get(self.word(entry, 4)?, PTR)?;
                return self.word(self.get(pointer.target, ARRAY)?.tail, 8);
            }
        }
        None
    }
}
