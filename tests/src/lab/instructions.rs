//! What the compiler has made of the kernel part, instruction by instruction.

use std::collections::BTreeSet;

use aya_obj::Object;
use aya_obj::generated::bpf_insn;
use dns_trace_bytecode::OBJECT_NATIVE;

/// `BPF_JMP | BPF_CALL`; of a function of the object if the source register says so.
const CALL: u8 = 0x85;
const PSEUDO_CALL: u8 = 1;
/// `BPF_ST | BPF_MEM | BPF_B`, and from a register.
const STORE_BYTE: [u8; 2] = [0x72, 0x73];
/// `BPF_LDX | BPF_MEM | BPF_B`.
const LOAD_BYTE: u8 = 0x71;
/// So many bytes one after the other are a copy, or a filling with zeros, that should take words.
const RUN: usize = 6;

/// The kernel part's functions, each with its name.
fn functions() -> Vec<(String, Vec<bpf_insn>)> {
    let object = Object::parse(OBJECT_NATIVE).unwrap();
    let functions = object.functions.into_values();
    functions.map(|f| (f.name, f.instructions)).collect()
}

/// How many stores of a byte follow one another at successive offsets, at most; loads in between are those
/// of a copy.
fn longest_run(instructions: &[bpf_insn]) -> usize {
    let (mut longest, mut run, mut last) = (0, 0, None);
    for instruction in instructions {
        if instruction.code == LOAD_BYTE {
            continue;
        }
        if !STORE_BYTE.contains(&instruction.code) {
            last = None;
            continue;
        }
        let at = (instruction.dst_reg(), instruction.off);
        run = match last {
            Some((register, offset)) if (register, offset + 1) == at => run + 1,
            _ => 1,
        };
        last = Some(at);
        longest = longest.max(run);
    }
    longest
}

#[test]
fn nothing_is_copied_or_zeroed_byte_by_byte() {
    let functions = functions();
    assert!(functions.len() > 5, "{} functions", functions.len());
    for (name, instructions) in functions {
        let run = longest_run(&instructions);
        assert!(run < RUN, "{name} stores {run} bytes one by one");
    }
}

/// A function of its own could only be one of the compiler's, such as `memset`.
#[test]
fn every_call_is_a_helpers() {
    let called: BTreeSet<_> = (functions().into_iter())
        .flat_map(|(name, instructions)| instructions.into_iter().map(move |i| (name.clone(), i)))
        .filter(|(_, i)| i.code == CALL && i.src_reg() == PSEUDO_CALL)
        .map(|(name, _)| name)
        .collect();
    assert!(called.is_empty(), "{called:?} call functions of the object");
}

#[test]
fn runs_are_found() {
    let instruction = |code, off| bpf_insn {
        code,
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(1, 2),
        off,
        imm: 0,
    };
    let (store, load) = (
        |off| instruction(STORE_BYTE[1], off),
        instruction(LOAD_BYTE, 0),
    );
    assert_eq!(longest_run(&[store(1), load, store(2), store(3)]), 3);
    assert_eq!(longest_run(&[store(1), store(3), store(4)]), 2);
    assert_eq!(longest_run(&[]), 0);
}
