//! Who sends: at the entry of the kernel's send functions the process is known, at the packet hooks no
//! longer. The socket's cookie joins the two.

use crate::{core_access, maps, settings};
use aya_ebpf::{
    bindings::{BPF_ANY, BPF_RB_NO_WAKEUP},
    helpers::generated::{
        bpf_get_current_cgroup_id, bpf_get_current_pid_tgid, bpf_get_current_task,
        bpf_get_current_uid_gid, bpf_get_socket_cookie, bpf_ktime_get_boot_ns, bpf_map_lookup_elem,
        bpf_map_update_elem, bpf_probe_read_kernel, bpf_ringbuf_reserve, bpf_ringbuf_submit,
    },
    programs::FEntryContext,
};
use core::ffi::c_void;
use dns_trace_event::{ABI_VERSION, Announced, Control, KIND_OWNER, OwnerRecord};

/// One epoch more, in the two words of a [`Control`] taken as one number.
const EPOCH_STEP: u64 = if cfg!(target_endian = "little") {
    1 << 32
} else {
    1
};
const _: () = assert!(core::mem::offset_of!(Control, epoch) == 4);

/// `sin_port` and `sin6_port` both stand behind the address family.
const PORT_OFFSET: usize = 2;

/// Tells who sends through a socket, if that goes to a DNS port and is not known yet.
///
/// Only what is sent to a DNS port: the replies of a local server leave through a socket, too, and are
/// nobody's lookups.
#[inline(always)]
pub fn announce(context: &FEntryContext) {
    let (sk, msg): (*const c_void, *const c_void) = (context.arg(0), context.arg(1));
    if !settings::is_dns(destination(sk, msg).into()) {
        return;
    }
    // SAFETY: the first argument of the function is a socket, which the helper takes; none of the
    // others has arguments.
    let (cookie, ids, task) = unsafe {
        (
            bpf_get_socket_cookie(sk.cast_mut()),
            bpf_get_current_pid_tgid(),
            bpf_get_current_task(),
        )
    };
    let now = Announced {
        pid: (ids >> 32) as u32,
        epoch: epoch(),
        comm: core_access::process_name(task as *const c_void),
    };
    if !is_known(cookie, &now) && submit(cookie, ids as u32, &now) {
        remember(cookie, &now);
    }
}

/// Port of the message's destination, or else of the socket's; network byte order.
#[inline(always)]
fn destination(sk: *const c_void, msg: *const c_void) -> u16 {
    let name = core_access::msg_name(msg).unwrap_or(core::ptr::null());
    if name.is_null() {
        return core_access::sock_dport(sk).unwrap_or(0);
    }
    let mut port = 0u16;
    // SAFETY: the helper checks the address. A name that is shorter gives a port that is not sent to.
    unsafe {
        bpf_probe_read_kernel(
            (&raw mut port).cast(),
            size_of::<u16>() as u32,
            name.byte_add(PORT_OFFSET),
        )
    };
    port
}

#[inline(always)]
fn epoch() -> u32 {
    let control = maps::control();
    if control.is_null() {
        return 0;
    }
    // SAFETY: not null, so an element of an array map; the reader may write it at any time.
    unsafe { core::ptr::read_volatile(&raw const (*control).epoch) }
}

#[inline(always)]
fn is_known(cookie: u64, now: &Announced) -> bool {
    // SAFETY: a lookup with a key of the right size; the value is plain numbers.
    let before = unsafe {
        bpf_map_lookup_elem(maps::owners(), (&raw const cookie).cast())
            .cast::<Announced>()
            .as_ref()
    };
    before.is_some_and(|before| {
        before.pid == now.pid
            && before.epoch == now.epoch
            && before.comm[0] == now.comm[0]
            && before.comm[1] == now.comm[1]
    })
}

/// Without waking the reader: the packet comes at once, and does.
#[inline(always)]
fn submit(cookie: u64, tid: u32, now: &Announced) -> bool {
    // SAFETY: the size is a constant, as the verifier wants it.
    let record = unsafe { bpf_ringbuf_reserve(maps::ring(), size_of::<OwnerRecord>() as u64, 0) };
    if record.is_null() {
        lost();
        return false;
    }
    let record = record.cast::<OwnerRecord>();
    // SAFETY: the reservation has room for the record, is aligned to 8 and all ours; the other helpers
    // have no arguments.
    unsafe {
        (*record).abi = ABI_VERSION;
        (*record).kind = KIND_OWNER;
        (*record).padding = 0;
        (*record).pid = now.pid;
        (*record).time_ns = bpf_ktime_get_boot_ns();
        (*record).socket_cookie = cookie;
        (*record).cgroup_id = bpf_get_current_cgroup_id();
        (*record).tid = tid;
        (*record).uid = bpf_get_current_uid_gid() as u32;
        let comm = (&raw mut (*record).comm).cast::<u64>();
        *comm = now.comm[0];
        *comm.add(1) = now.comm[1];
        bpf_ringbuf_submit(record.cast(), BPF_RB_NO_WAKEUP.into());
    }
    true
}

/// No room. The packet that comes may find some, and must not be taken for the previous owner's: all
/// owners are told anew. Atomic, as two CPUs may lose records at once; the commit of the packet's
/// record, a full barrier, comes after it.
#[inline(always)]
fn lost() {
    if let Some(stats) = maps::stats() {
        stats.owners_lost += 1;
    }
    let control = maps::control();
    if !control.is_null() {
        // Rust has no atomic addition for BPF.
        // SAFETY: not null, so an element of an array map, aligned to 8; who stores its other word at
        // the same time does so in one piece.
        unsafe {
            core::arch::asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) control, in(reg) EPOCH_STEP);
        }
    }
}

#[inline(always)]
fn remember(cookie: u64, now: &Announced) {
    // SAFETY: key and value are of the sizes of the map. A failure means that the owner is told again.
    unsafe {
        bpf_map_update_elem(
            maps::owners(),
            (&raw const cookie).cast(),
            (&raw const *now).cast(),
            BPF_ANY.into(),
        )
    };
}
