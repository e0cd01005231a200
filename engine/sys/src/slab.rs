//! The slots that datagrams are received into.
//!
//! Owns: one contiguous, page-aligned, prefaulted mapping, cut into equal slots, and the tokens for them.
//! Never: hands out a slot twice, allocates after creation, or says who holds a slot (rings do, in the daemon).
//!
//! ```text
//! token of a slot:  free (capture thread) ──recvmmsg──▶ filled (ring) ──▶ worker ──read──▶ returned (ring) ─┐
//!                    ▲                                                                                     │
//!                    └─────────────────────────────────────────────────────────────────────────────────────┘
//! ```

use std::num::{NonZeroU32, NonZeroUsize};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::SysError;

/// Slots start on a cache line of their own, so that the capture thread filling one slot doesn't take the line
/// that a worker reads in the next.
const CACHE_LINE: usize = 64;

/// The next slab's id. Ids are never reused: a token of a slab that is gone must not open a later one.
static NEXT_SLAB: AtomicU32 = AtomicU32::new(1);

/// The token of one slot: owning it is owning the slot's bytes, exclusively.
///
/// Neither `Clone` nor `Copy`, and made only by [`Slab::new`], once for each slot. Eight bytes, as is
/// `Option<Slot>`: made to travel through rings.
///
/// ```compile_fail
/// let (slab, slots) = audyn_sys::Slab::new(1, 64).unwrap();
/// let twice = slots[0].clone();
/// ```
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    index: u32,
    slab: NonZeroU32,
}

impl Slot {
    /// The slot's number within its slab, from 0: for a table that goes along with the slab.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index as usize
    }
}

/// The memory of a fixed number of slots of equal size, zero at first.
///
/// Shared by reference between the threads that pass its [`Slot`]s; unmapped when the last [`Arc`] goes. A token that
/// outlives its slab is inert.
#[derive(Debug)]
pub struct Slab {
    memory: Memory,
    id: NonZeroU32,
    slots: u32,
    slot_bytes: usize,
    stride: usize,
}

// SAFETY: the slab owns its mapping, which no thread is tied to, and the pointer leads nowhere else.
unsafe impl Send for Slab {}

// SAFETY: through `&Slab` the bytes of a slot are reached only together with a borrow of that slot's token
// (`bytes`, `bytes_mut`). There is one token a slot, so two threads reach the same bytes only through two shared
// borrows of one token, and those give shared slices. The other fields never change.
unsafe impl Sync for Slab {}

impl Slab {
    /// Maps `slots` slots of `slot_bytes` each and touches every page, so that the first datagram finds it present.
    ///
    /// Returns the slab and all its tokens, in order.
    ///
    /// # Errors
    /// [`SysError::SlabSize`] if either number is zero or the product doesn't fit; [`SysError::SlabMemory`] if the
    /// system has not that much memory.
    pub fn new(slots: usize, slot_bytes: usize) -> Result<(Arc<Self>, Vec<Slot>), SysError> {
        let size_error = || SysError::SlabSize { slots, slot_bytes };
        let count = u32::try_from(slots).map_err(|_| size_error())?;
        let stride = slot_bytes.checked_next_multiple_of(CACHE_LINE).ok_or_else(size_error)?;
        // The limit of a slice and of pointer arithmetic is isize::MAX (core::ptr's rules), not usize::MAX.
        let bytes = stride
            .checked_mul(slots)
            .filter(|&bytes| bytes <= isize::MAX as usize - Memory::PAGE)
            .and_then(NonZeroUsize::new)
            .ok_or_else(size_error)?;

        let memory =
            Memory::new(bytes).map_err(|source| SysError::SlabMemory { bytes: bytes.get(), source })?;
        let id = NEXT_SLAB
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |id| id.checked_add(1))
            .ok()
            .and_then(NonZeroU32::new)
            .expect("fewer than 2^32 slabs are made in the life of a process");
        let slab = Self { memory, id, slots: count, slot_bytes, stride };
        Ok((Arc::new(slab), (0..count).map(|index| Slot { index, slab: id }).collect()))
    }

    /// The number of slots.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots as usize
    }

    /// The size of each slot in bytes: the longest datagram that fits.
    #[must_use]
    pub fn slot_bytes(&self) -> usize {
        self.slot_bytes
    }

    /// Whether `slot` is one of this slab's tokens.
    #[must_use]
    pub fn owns(&self, slot: &Slot) -> bool {
        slot.slab == self.id
    }

    /// The bytes of a slot, all [`Slab::slot_bytes`] of them (older datagrams' bytes follow a shorter one's).
    ///
    /// # Panics
    /// If the token belongs to another slab.
    #[must_use]
    pub fn bytes<'a>(&'a self, slot: &'a Slot) -> &'a [u8] {
        let start = self.start_of(slot);
        // SAFETY: `start_of` points at `slot_bytes` mapped, initialised bytes within the mapping, which `&'a self` keeps
        // alive. The shared borrow of the slot's only token keeps `bytes_mut` of the same slot away for `'a`;
        // other slots' bytes don't overlap, as the stride is at least `slot_bytes`.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), self.slot_bytes) }
    }

    /// The bytes of a slot, to write.
    ///
    /// # Panics
    /// If the token belongs to another slab.
    #[must_use]
    pub fn bytes_mut<'a>(&'a self, slot: &'a mut Slot) -> &'a mut [u8] {
        let start = self.start_of(slot);
        // SAFETY: as in `bytes`; and the exclusive borrow of the slot's only token means that for `'a` no other
        // slice of these bytes exists, in this thread or another.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), self.slot_bytes) }
    }

    fn start_of(&self, slot: &Slot) -> NonNull<u8> {
        assert!(self.owns(slot), "a slot is opened with the slab that it was made with");
        // SAFETY: the token was made by this slab (ids are never reused), so its index is below `slots`, and the offset
        // is within the one mapping of `slots * stride` bytes, which `new` held to isize::MAX.
        unsafe { self.memory.start.add(slot.index as usize * self.stride) }
    }
}

/// An anonymous private mapping; readable, writable, zero at first.
#[derive(Debug)]
struct Memory {
    start: NonNull<u8>,
    bytes: NonZeroUsize,
}

#[cfg(not(miri))]
impl Memory {
    /// An upper bound of the page size of the machines that we run on (64 KiB: aarch64 with large pages).
    const PAGE: usize = 64 * 1024;

    fn new(bytes: NonZeroUsize) -> Result<Self, std::io::Error> {
        use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};

        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // MAP_POPULATE faults every page in for writing (mmap(2)); a page fault in the capture thread waits on the
        // kernel's allocator.
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_POPULATE;
        // SAFETY: a new mapping at an address of the kernel's choice (no MAP_FIXED) replaces nothing.
        let start = unsafe { mmap_anonymous(None, bytes, protection, flags) }?;
        Ok(Self { start: start.cast(), bytes })
    }
}

#[cfg(not(miri))]
impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: this is the whole mapping that `new` made, unmapped once; every slice of it borrowed the slab, so
        // none is left.
        let unmapped = unsafe { nix::sys::mman::munmap(self.start.cast(), self.bytes.get()) };
        debug_assert_eq!(unmapped, Ok(()), "a mapping of our own can be unmapped");
    }
}

#[cfg(miri)]
impl Memory {
    const PAGE: usize = 4096;

    fn new(bytes: NonZeroUsize) -> Result<Self, std::io::Error> {
        let layout = Self::layout(bytes);
        // SAFETY: the layout's size is not zero.
        let start = unsafe { std::alloc::alloc_zeroed(layout) };
        NonNull::new(start)
            .map(|start| Self { start, bytes })
            .ok_or_else(|| std::io::ErrorKind::OutOfMemory.into())
    }

    fn layout(bytes: NonZeroUsize) -> std::alloc::Layout {
        std::alloc::Layout::from_size_align(bytes.get(), Self::PAGE).expect("Slab::new bounds the size")
    }
}

#[cfg(miri)]
impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: `new` allocated it with this very layout; no slice of it is left, since each borrowed the slab.
        unsafe { std::alloc::dealloc(self.start.as_ptr(), Self::layout(self.bytes)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_eight_bytes_and_so_is_its_absence() {
        assert_eq!(size_of::<Slot>(), 8);
        assert_eq!(size_of::<Option<Slot>>(), 8);
    }

    #[test]
    fn slots_do_not_overlap_and_start_at_zero() {
        let (slab, mut slots) = Slab::new(5, 100).unwrap();
        assert_eq!((slab.slots(), slab.slot_bytes(), slots.len()), (5, 100, 5));
        for (n, slot) in slots.iter_mut().enumerate() {
            assert_eq!(slot.index(), n);
            assert!(slab.bytes(slot).iter().all(|&b| b == 0));
            slab.bytes_mut(slot).fill(n as u8 + 1);
        }
        for (n, slot) in slots.iter().enumerate() {
            let bytes = slab.bytes(slot);
            assert_eq!(bytes.len(), 100);
            assert_eq!(bytes.as_ptr() as usize % CACHE_LINE, 0);
            assert!(bytes.iter().all(|&b| b == n as u8 + 1), "slot {n}");
        }
    }

    #[test]
    fn two_exclusive_borrows_of_two_slots_live_together() {
        let (slab, mut slots) = Slab::new(2, 8).unwrap();
        let (first, second) = slots.split_at_mut(1);
        let (a, b) = (slab.bytes_mut(&mut first[0]), slab.bytes_mut(&mut second[0]));
        a[0] = 1;
        b[0] = 2;
        a[1] = b[0];
        assert_eq!((a[0], a[1], b[0]), (1, 2, 2));
    }

    #[test]
    #[should_panic(expected = "the slab that it was made with")]
    fn a_token_of_another_slab_is_refused() {
        let (_first, slots) = Slab::new(4, 64).unwrap();
        let (second, _) = Slab::new(1, 64).unwrap();
        let _ = second.bytes(&slots[3]);
    }

    #[test]
    #[should_panic(expected = "the slab that it was made with")]
    fn a_token_of_a_slab_that_is_gone_opens_no_later_one() {
        let (first, slots) = Slab::new(1, 64).unwrap();
        drop(first);
        let (second, _) = Slab::new(1, 64).unwrap();
        let _ = second.bytes(&slots[0]);
    }

    #[test]
    fn sizes_that_cannot_be_are_errors() {
        for (slots, bytes) in
            [(0, 64), (4, 0), (usize::MAX, 1), (1, usize::MAX), (1 << 31, isize::MAX as usize >> 20)]
        {
            assert!(matches!(Slab::new(slots, bytes), Err(SysError::SlabSize { .. })), "{slots} × {bytes}");
        }
    }

    #[test]
    fn tokens_carry_the_bytes_between_two_threads() {
        const ROUNDS: u32 = if cfg!(miri) { 40 } else { 20_000 };
        let (slab, slots) = Slab::new(3, 16).unwrap();
        let (to_worker, filled) = std::sync::mpsc::channel::<Slot>();
        let (give_back, free) = std::sync::mpsc::channel::<Slot>();
        for slot in slots {
            give_back.send(slot).unwrap();
        }
        let reader = Arc::clone(&slab);
        let worker = std::thread::spawn(move || {
            let mut sum = 0u64;
            for mut slot in filled {
                let bytes = reader.bytes(&slot);
                let value = u32::from_ne_bytes(bytes[..4].try_into().unwrap());
                assert!(bytes[4..].iter().all(|&b| b == value as u8), "a slot was written while it was read");
                sum += u64::from(value);
                reader.bytes_mut(&mut slot).fill(0xEE);
                // The other side stops waiting for slots when it has sent all it wants.
                let _ = give_back.send(slot);
            }
            sum
        });
        for value in 0..ROUNDS {
            let mut slot = free.recv().unwrap();
            let bytes = slab.bytes_mut(&mut slot);
            bytes.fill(value as u8);
            bytes[..4].copy_from_slice(&value.to_ne_bytes());
            to_worker.send(slot).unwrap();
        }
        drop(to_worker);
        assert_eq!(worker.join().unwrap(), (0..u64::from(ROUNDS)).sum::<u64>());
    }
}
