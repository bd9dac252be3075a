//! Arithmetic without branches, in forms that LLVM turns into none. The verifier follows every way through
//! a program, and what it learns at a branch tells the ways apart: each that is saved here halves what it
//! does behind.

/// Hides a value's range from LLVM, so that what follows stays in the object as it is written: a mask for
/// the verifier, which has forgotten the range by then (all kernels so far), or a sum that LLVM would make
/// a branch of.
#[inline(always)]
pub fn bounded(value: u32) -> u32 {
    let mut value = u64::from(value);
    // An instruction, since one that is not there leaves two line records at one place in .BTF.ext,
    // which libbpf's loader hands on and the kernel refuses.
    // SAFETY: the value is assigned to itself.
    unsafe { core::arch::asm!("{0} = {0}", inout(reg) value, options(nomem, nostack, pure)) };
    value as u32
}

/// The value, of which the verifier knows nothing more, and LLVM neither. `unknown` is any value that they
/// know nothing of.
///
/// What came by different ways looks the same afterwards, so the verifier follows what is behind once and not
/// once for each way: Linux 6.1 does so even for values that do not matter there.
#[inline(always)]
pub fn forgotten(value: u64, unknown: u64) -> u64 {
    let mut value = value;
    // SAFETY: the value is changed, and changed back.
    unsafe {
        core::arch::asm!(
            "{0} ^= {1}",
            "{0} ^= {1}",
            inout(reg) value,
            in(reg) unknown,
            options(nomem, nostack, pure)
        );
    }
    value
}

/// 1 if the two are equal, else 0.
#[inline(always)]
pub fn equal(a: u16, b: u16) -> u32 {
    bounded(u32::from(a ^ b)).wrapping_sub(1) >> 31
}

/// `yes` if `condition` is 1, `no` if it is 0.
#[inline(always)]
pub fn select(condition: u32, yes: u16, no: u16) -> u16 {
    let mask = 0u16.wrapping_sub(condition as u16);
    (yes & mask) | (no & !mask)
}

/// All ones if `a` is less than `b`, else 0.
#[inline(always)]
pub fn less(a: u32, b: u32) -> u32 {
    bounded((u64::from(a).wrapping_sub(u64::from(b)) >> 32) as u32)
}

/// The lesser of the two.
#[inline(always)]
pub fn lesser(a: u32, b: u32) -> u32 {
    let mask = less(a, b);
    (a & mask) | (b & !mask)
}

/// `a` less `b`, or 0 if `b` is more.
#[inline(always)]
pub fn minus(a: u32, b: u32) -> u32 {
    a.wrapping_sub(b) & !less(a, b)
}
