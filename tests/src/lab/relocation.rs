//! What a loader makes of the object on a kernel whose types differ: [`Types`] are changed, aya relocates
//! the object, and its instructions are compared with those for the kernel as it is.

use anyhow::{Context, Result, ensure};
use aya::{Btf, Endianness};
use aya_obj::Object;

use super::btf::Types;

/// Every member of a kernel's structure that the programs read: `bytecode/core/accessors.c`.
pub const FIELDS: [(&str, &str); 19] = [
    ("sk_buff", "sk"),
    ("sk_buff", "dev"),
    ("sk_buff", "len"),
    ("sk_buff", "data_len"),
    ("sk_buff", "protocol"),
    ("sk_buff", "network_header"),
    ("sk_buff", "tc_at_ingress"),
    ("sk_buff", "head"),
    ("sk_buff", "data"),
    ("xdp_buff", "rxq"),
    ("xdp_rxq_info", "dev"),
    ("net_device", "ifindex"),
    ("net_device", "type"),
    ("net_device", "nd_net"),
    ("net", "net_cookie"),
    ("sock_common", "skc_cookie"),
    ("sock_common", "skc_dport"),
    ("msghdr", "msg_name"),
    ("task_struct", "group_leader"),
];
/// The one that is an array.
pub const NAME: (&str, &str) = ("task_struct", "comm");
/// How far a field moves, in bytes: as far as no alignment is in question.
const FAR: u32 = 64;
/// The instruction with which aya, as libbpf, replaces what must not be reached.
const POISON: (u8, i32) = (0x85, 0x0bad_2310);

/// All of them.
pub fn fields() -> impl Iterator<Item = (&'static str, &'static str)> {
    FIELDS.into_iter().chain([NAME])
}

/// An instruction's code, offset and immediate value.
type Instruction = (u8, i16, i32);

/// Holds an object against a kernel in which each field in turn has moved or is missing: nothing but the
/// instructions that read the field change, and they change to what is right there.
///
/// # Errors
/// If anything else comes of it, or if the object reads a field that is not in [`FIELDS`].
pub fn check(object: &[u8], kernel: &Types) -> Result<()> {
    let as_is = relocate(object, kernel)?;
    let mut without = kernel.clone();
    for (owner, member) in fields() {
        let name = || format!("{owner}::{member}");
        let mut moved = kernel.clone();
        let before = kernel.offset(owner, member)?.with_context(name)?;
        moved.move_to(owner, member, before + 8 * FAR)?;
        has_moved(&as_is, &relocate(object, &moved)?).with_context(name)?;
        let mut missing = kernel.clone();
        missing.remove(owner, member)?;
        is_missing(&as_is, &relocate(object, &missing)?).with_context(name)?;
        without.remove(owner, member)?;
    }
    ensure!(
        relocate(object, &without)? == relocated(object, &Btf::new())?,
        "the object reads a field that is not tried here"
    );
    Ok(())
}

fn has_moved(before: &[Instruction], after: &[Instruction]) -> Result<()> {
    let changes = changes(before, after)?;
    ensure!(!changes.is_empty(), "moved, and nothing follows");
    for (old, new) in changes {
        let by = (i32::from(new.1) - i32::from(old.1)) + (new.2 - old.2);
        ensure!(
            old.0 == new.0 && by == FAR as i32,
            "moved by {FAR} bytes, and {old:x?} becomes {new:x?}"
        );
    }
    Ok(())
}

fn is_missing(before: &[Instruction], after: &[Instruction]) -> Result<()> {
    let changes = changes(before, after)?;
    let answers = |(old, new): &(Instruction, Instruction)| {
        (old.0, old.1) == (new.0, new.1) && (old.2, new.2) == (1, 0)
    };
    ensure!(changes.iter().any(answers), "missing, and nothing says so");
    for change in changes {
        ensure!(
            answers(&change) || (change.1.0, change.1.2) == POISON,
            "missing, and {:x?} becomes {:x?}",
            change.0,
            change.1
        );
    }
    Ok(())
}

fn changes(
    before: &[Instruction],
    after: &[Instruction],
) -> Result<Vec<(Instruction, Instruction)>> {
    ensure!(
        before.len() == after.len(),
        "another number of instructions"
    );
    let pairs = before.iter().copied().zip(after.iter().copied());
    Ok(pairs.filter(|(old, new)| old != new).collect())
}

fn relocate(object: &[u8], kernel: &Types) -> Result<Vec<Instruction>> {
    relocated(object, &Btf::parse(kernel.bytes(), Endianness::Little)?)
}

/// The instructions of every function of the object, relocated to a kernel with these types.
fn relocated(object: &[u8], kernel: &Btf) -> Result<Vec<Instruction>> {
    let mut object = Object::parse(object)?;
    object.relocate_btf(kernel)?;
    let functions = object.functions.values();
    let instructions = functions.flat_map(|function| &function.instructions);
    Ok(instructions.map(|i| (i.code, i.off, i.imm)).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::mem::offset_of;

    use dns_trace_bytecode::{OBJECT_BE, OBJECT_LE, OBJECT_NATIVE};
    use dns_trace_event::{Announced, Control, STATS_NAMES, Stats};
    use object::{Object as _, ObjectSection as _};

    use super::*;

    #[test]
    fn the_object_follows_the_types_of_this_machines_kernel() {
        let kernel = Types::of_this_kernel().unwrap();
        check(OBJECT_NATIVE, &kernel).unwrap();
    }

    #[test]
    fn what_should_not_change_is_noticed() {
        let (load, answer) = ((0x07, 0, 16), (0xb7, 0, 1));
        assert!(has_moved(&[load, answer], &[(0x07, 0, 80), answer]).is_ok());
        assert!(has_moved(&[load, answer], &[(0x07, 0, 72), answer]).is_err());
        assert!(has_moved(&[load, answer], &[load, answer]).is_err());
        assert!(has_moved(&[load, answer], &[(0x07, 0, 80), (0xb7, 0, 0)]).is_err());
        let poison = (POISON.0, 0, POISON.1);
        assert!(is_missing(&[load, answer], &[poison, (0xb7, 0, 0)]).is_ok());
        assert!(is_missing(&[load, answer], &[poison, answer]).is_err());
        assert!(is_missing(&[load, answer], &[(0x07, 0, 0), (0xb7, 0, 0)]).is_err());
    }

    /// aya relocates objects of the machine's own byte order only. The other one asks for the same.
    #[test]
    fn objects_of_either_byte_order_ask_for_the_same_fields() {
        let little = asked(OBJECT_LE);
        let fields: BTreeSet<_> = little.iter().map(|(owner, way, _)| (owner, way)).collect();
        assert!(fields.len() >= super::fields().count(), "{fields:?}");
        assert_eq!(little, asked(OBJECT_BE));
    }

    /// The values of maps; the records of the ring are held by assertions that compile for both.
    #[test]
    fn objects_of_either_byte_order_lay_out_values_as_the_contract_says() {
        for object in [OBJECT_LE, OBJECT_BE] {
            let types = types(object);
            let at = |owner, member| types.offset(owner, member).unwrap().unwrap() as usize / 8;
            for (index, name) in STATS_NAMES.iter().enumerate() {
                assert_eq!(at("Stats", name), 8 * index, "{name}");
            }
            assert_eq!(size_of::<Stats>(), 8 * STATS_NAMES.len());
            assert_eq!(at("Control", "epoch"), offset_of!(Control, epoch));
            assert_eq!(at("Announced", "pid"), offset_of!(Announced, pid));
            assert_eq!(at("Announced", "epoch"), offset_of!(Announced, epoch));
            assert_eq!(at("Announced", "comm"), offset_of!(Announced, comm));
        }
    }

    fn section(object: &[u8], name: &str) -> Vec<u8> {
        let file = object::File::parse(object).unwrap();
        let section = file.section_by_name(name).unwrap();
        section.data().unwrap().to_vec()
    }

    fn types(object: &[u8]) -> Types {
        Types::parse(section(object, ".BTF")).unwrap()
    }

    /// What the object's relocations ask for: a type, the way to a member, and what about it.
    fn asked(object: &[u8]) -> BTreeSet<(String, String, u32)> {
        let is_little = object::File::parse(object).unwrap().is_little_endian();
        let types = types(object);
        let bytes = section(object, ".BTF.ext");
        let words: Vec<u32> = (bytes.chunks_exact(4).map(|word| word.try_into().unwrap()))
            .map(|word| match is_little {
                true => u32::from_le_bytes(word),
                false => u32::from_be_bytes(word),
            })
            .collect();
        let text = |string: &[u8]| String::from_utf8(string.to_vec()).unwrap();
        // Length of the header; functions; lines; then offset from the header and length of relocations.
        let from = (words[1] + words[6]) as usize / 4;
        let end = from + words[7] as usize / 4;
        assert_eq!(words[from], 16, "a relocation is four words");
        let mut at = from + 1;
        let mut asked = BTreeSet::new();
        while at < end {
            let count = words[at + 1] as usize;
            at += 2;
            for relocation in words[at..at + 4 * count].chunks_exact(4) {
                let owner = text(types.type_name(relocation[1]).unwrap());
                let way = text(types.string(relocation[2]).unwrap());
                asked.insert((owner, way, relocation[3]));
            }
            at += 4 * count;
        }
        asked
    }
}
