//! A kernel's types as another kernel might have them: members of structures moved or missing. What a
//! loader makes of them is what it would make of that kernel.
//!
//! Nothing grows or shrinks, so that numbers of types, which programs at the entry of kernel functions
//! are loaded by, stay what they are. Of either byte order, since objects have types, too.

use anyhow::{Context, Result, bail, ensure};

/// Kinds of include/uapi/linux/btf.h, by what follows the common part of a type.
const STRUCT: u32 = 4;
const UNION: u32 = 5;
/// Length of a type's common part: name, kind and number of entries, size or type.
const COMMON: usize = 12;
/// Length of a member: name, type, offset.
const MEMBER: usize = 12;
/// Where a member's offset stands in it.
const OFFSET_AT: usize = 8;
/// Of a member's offset where the structure has bit fields; the rest is the width of the field.
const OFFSET_MASK: u32 = 0x00ff_ffff;
/// Anonymous structures in one another; the kernel has three or so.
const DEPTH_MAX: u32 = 8;

/// The types.
#[derive(Clone)]
pub struct Types {
    bytes: Vec<u8>,
    /// Where each type stands; number 0 is `void`, which stands nowhere.
    places: Vec<usize>,
    strings: usize,
    is_little: bool,
}

/// Where a member stands in [`Types::bytes`], and how far its anonymous parent is from the owner.
#[derive(Clone, Copy)]
struct Member {
    at: usize,
    parent_bits: u32,
}

impl Types {
    /// Reads what `/sys/kernel/btf/vmlinux` or the section `.BTF` of an object holds.
    ///
    /// # Errors
    /// If it is not BTF.
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        let is_little = bytes.starts_with(&[0x9f, 0xeb, 1]);
        ensure!(is_little || bytes.starts_with(&[0xeb, 0x9f, 1]), "no BTF");
        let mut types = Self {
            bytes,
            places: vec![0],
            strings: 0,
            is_little,
        };
        let header = types.word(4)?;
        let mut at = (header + types.word(8)?) as usize;
        let end = at + types.word(12)? as usize;
        types.strings = (header + types.word(16)?) as usize;
        while at < end {
            types.places.push(at);
            at += COMMON + tail(types.word(at + 4)?)?;
        }
        ensure!(at == end, "the types end at {at}, not at {end}");
        Ok(types)
    }

    /// The running kernel's.
    ///
    /// # Errors
    /// If it shows none.
    pub fn of_this_kernel() -> Result<Self> {
        let file = "/sys/kernel/btf/vmlinux";
        Self::parse(std::fs::read(file).with_context(|| format!("cannot read {file}"))?)
    }

    /// As a file holds them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bits a member is from the beginning of its structure; `None` if the structure has no
    /// member of that name.
    ///
    /// # Errors
    /// If there is no such structure.
    pub fn offset(&self, owner: &str, member: &str) -> Result<Option<u32>> {
        let found = self.members(owner, member)?;
        found.first().map_or(Ok(None), |found| {
            Ok(Some(found.parent_bits + self.offset_in_parent(*found)?))
        })
    }

    /// Puts a member elsewhere.
    ///
    /// # Errors
    /// If there is none of that name, or if the place is before its anonymous parent.
    pub fn move_to(&mut self, owner: &str, member: &str, bits: u32) -> Result<()> {
        for found in self.present(owner, member)? {
            let at = found.at + OFFSET_AT;
            let within = bits.checked_sub(found.parent_bits);
            let within = within.context("before the beginning of its anonymous parent")?;
            // The width of a bit field stands in the same word.
            let word = self.word(at)? - self.offset_in_parent(found)? + within;
            self.set(at, word);
        }
        ensure!(self.offset(owner, member)? == Some(bits), "it did not move");
        Ok(())
    }

    /// Takes a member away. It gets another name, what is left of the old one without its first letter.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn remove(&mut self, owner: &str, member: &str) -> Result<()> {
        for found in self.present(owner, member)? {
            let name = self.word(found.at)?;
            self.set(found.at, name + 1);
        }
        ensure!(self.offset(owner, member)?.is_none(), "it is still there");
        Ok(())
    }

    /// The name of the type with that number.
    ///
    /// # Errors
    /// If there is none.
    pub fn type_name(&self, number: u32) -> Result<&[u8]> {
        let at = self.places.get(number as usize);
        self.name(*at.with_context(|| format!("there is no type {number}"))?)
    }

    fn present(&self, owner: &str, member: &str) -> Result<Vec<Member>> {
        let found = self.members(owner, member)?;
        ensure!(!found.is_empty(), "struct {owner} has no {member}");
        Ok(found)
    }

    /// The member of every structure of that name: a kernel may have several, and loaders look at all.
    fn members(&self, owner: &str, member: &str) -> Result<Vec<Member>> {
        let mut found = Vec::new();
        let mut known = false;
        for at in self.places.iter().skip(1).copied() {
            if kind(self.word(at + 4)?) == STRUCT && self.name(at)? == owner.as_bytes() {
                known = true;
                self.search(at, member, 0, 0, &mut found)?;
            }
        }
        ensure!(known, "the kernel has no struct {owner}");
        Ok(found)
    }

    /// Looks for a member, also in anonymous structures and unions within.
    fn search(
        &self,
        owner: usize,
        member: &str,
        parent_bits: u32,
        depth: u32,
        found: &mut Vec<Member>,
    ) -> Result<()> {
        ensure!(depth < DEPTH_MAX, "structures within themselves");
        let info = self.word(owner + 4)?;
        for index in 0..(info & 0xffff) as usize {
            let at = owner + COMMON + MEMBER * index;
            let here = Member { at, parent_bits };
            let name = self.name(at)?;
            if name == member.as_bytes() {
                found.push(here);
            } else if name.is_empty()
                && let Some(inner) = self.structure(self.word(at + 4)?)?
            {
                let bits = parent_bits + self.offset_in_parent(here)?;
                self.search(inner, member, bits, depth + 1, found)?;
            }
        }
        Ok(())
    }

    /// Where the structure or union with that number stands, if it is one.
    fn structure(&self, number: u32) -> Result<Option<usize>> {
        let at = self.places.get(number as usize);
        let at = *at.with_context(|| format!("there is no type {number}"))?;
        let is_one = number != 0 && matches!(kind(self.word(at + 4)?), STRUCT | UNION);
        Ok(is_one.then_some(at))
    }

    fn offset_in_parent(&self, member: Member) -> Result<u32> {
        // Only bit fields have a width, in the upper byte; no structure is so long that it is used.
        Ok(self.word(member.at + OFFSET_AT)? & OFFSET_MASK)
    }

    /// The name that the first word of a type or member stands for.
    fn name(&self, at: usize) -> Result<&[u8]> {
        self.string(self.word(at)?)
    }

    /// The string at an offset, as other sections name it.
    ///
    /// # Errors
    /// If there is none.
    pub fn string(&self, offset: u32) -> Result<&[u8]> {
        let from = self.strings + offset as usize;
        let rest = self.bytes.get(from..).context("a name beyond the end")?;
        rest.split(|byte| *byte == 0).next().context("no name")
    }

    fn word(&self, at: usize) -> Result<u32> {
        let word = self.bytes.get(at..).and_then(|rest| rest.first_chunk());
        let word = word.map(|word| match self.is_little {
            true => u32::from_le_bytes(*word),
            false => u32::from_be_bytes(*word),
        });
        word.context("the types are cut short")
    }

    fn set(&mut self, at: usize, word: u32) {
        let word = match self.is_little {
            true => word.to_le_bytes(),
            false => word.to_be_bytes(),
        };
        self.bytes[at..at + 4].copy_from_slice(&word);
    }
}

const fn kind(info: u32) -> u32 {
    info >> 24 & 0x1f
}

/// How many bytes follow the common part of a type.
fn tail(info: u32) -> Result<usize> {
    let entries = (info & 0xffff) as usize;
    Ok(match kind(info) {
        // Integers, variables, tags of declarations.
        1 | 14 | 17 => 4,
        // Arrays.
        3 => 12,
        // Structures, unions, sections, 64-bit enumerations.
        STRUCT | UNION | 15 | 19 => MEMBER * entries,
        // Enumerations, prototypes.
        6 | 13 => 8 * entries,
        2 | 7..=12 | 16 | 18 => 0,
        other => bail!("a type of the unknown kind {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct pair { int first; struct { int second; int flag : 3; }; };`
    fn pair() -> Types {
        let names = b"\0pair\0first\0second\0flag\0int\0";
        let (pair, first, second, flag, int) = (1, 6, 12, 19, 24);
        let types: &[u32] = &[
            // 1: int, 32 bits.
            int,
            1 << 24,
            4,
            32,
            // 2: the inner one; it has a bit field, so offsets have widths.
            0,
            1 << 31 | STRUCT << 24 | 2,
            8,
            second,
            1,
            0,
            flag,
            1,
            3 << 24 | 32,
            // 3: the outer one.
            pair,
            STRUCT << 24 | 2,
            12,
            first,
            1,
            0,
            0,
            2,
            32,
        ];
        let length = 4 * types.len() as u32;
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        let header = [24, 0, length, length, names.len() as u32];
        for word in header.iter().chain(types) {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(names);
        Types::parse(bytes).unwrap()
    }

    #[test]
    fn members_are_found_through_anonymous_ones() {
        let types = pair();
        assert_eq!(types.offset("pair", "first").unwrap(), Some(0));
        assert_eq!(types.offset("pair", "second").unwrap(), Some(32));
        assert_eq!(types.offset("pair", "flag").unwrap(), Some(64));
        assert_eq!(types.offset("pair", "third").unwrap(), None);
        assert!(types.offset("triple", "first").is_err());
    }

    #[test]
    fn what_moves_keeps_its_width_and_moves_alone() {
        let before = pair();
        let mut types = before.clone();
        types.move_to("pair", "flag", 72).unwrap();
        assert_eq!(types.offset("pair", "flag").unwrap(), Some(72));
        assert_eq!(types.offset("pair", "second").unwrap(), Some(32));
        let changed: Vec<_> = (types.bytes.iter().zip(&before.bytes))
            .filter(|(new, old)| new != old)
            .collect();
        assert_eq!(changed, [(&40, &32)]);
        assert!(types.move_to("pair", "second", 0).is_err());
    }

    #[test]
    fn what_is_removed_is_gone_alone() {
        let mut types = pair();
        types.remove("pair", "second").unwrap();
        assert_eq!(types.offset("pair", "second").unwrap(), None);
        assert_eq!(types.offset("pair", "flag").unwrap(), Some(64));
        assert!(types.remove("pair", "second").is_err());
    }

    #[test]
    fn what_is_no_btf_is_refused() {
        assert!(Types::parse(Vec::new()).is_err());
        let mut bytes = pair().bytes;
        bytes.truncate(60);
        assert!(Types::parse(bytes).is_err());
    }
}
