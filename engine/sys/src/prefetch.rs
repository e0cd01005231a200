//! A hint to the processor: these bytes are written soon.
//!
//! Owns: one instruction for each cache line. Never: a change of what a program does; where a processor has no such
//! instruction, nothing happens.

use std::ptr;

/// The cache line of the processors that we run on, in bytes; where it is longer, some hints are given twice.
const LINE: usize = 64;

/// Has the cache lines of `place` fetched, to be written. It waits for nothing: what comes in between hides the time that
/// memory takes.
pub fn prefetch<T: ?Sized>(place: &T) {
    let start = ptr::from_ref(place).cast::<u8>();
    let before = start.addr() % LINE;
    for offset in (0..before + size_of_val(place)).step_by(LINE) {
        hint(start.wrapping_sub(before).wrapping_add(offset));
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn hint(line: *const u8) {
    use core::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing that a program could see and faults at no address.
    unsafe { _mm_prefetch::<_MM_HINT_ET0>(line.cast()) };
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
fn hint(line: *const u8) {
    // SAFETY: a prefetch reads nothing that a program could see and faults at no address; it touches no flag, no stack.
    unsafe { core::arch::asm!("prfm pstl1keep, [{0}]", in(reg) line, options(nostack, preserves_flags)) };
}

#[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
fn hint(_line: *const u8) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_changes_nothing_wherever_it_points() {
        let bytes: Vec<u8> = (0..=255).collect();
        for from in 0..bytes.len() {
            prefetch(&bytes[from..]);
        }
        prefetch(&());
        assert!((0..=255).eq(bytes));
        hint(ptr::without_provenance(usize::MAX));
    }
}
