//! Fields of kernel structures: the Rust face of `core/accessors.c`. A field that the running kernel
//! does not have is `None`; the verifier removes the branch that does not apply.

use aya_ebpf::helpers::generated::bpf_get_current_comm;
use core::{ffi::c_void, mem::MaybeUninit};

macro_rules! accessors {
    ($($(#[$doc:meta])* $name:ident: $getter:ident / $exists:ident -> $type:ty;)*) => {
        unsafe extern "C" {
            $(fn $getter(object: *const c_void) -> $type;
            fn $exists() -> u32;)*
        }
        $($(#[$doc])*
        #[inline(always)]
        pub fn $name(object: *const c_void) -> Option<$type> {
            // SAFETY: the accessor reads by `bpf_probe_read_kernel`, which checks the address, and
            // is reached only where the field exists.
            unsafe { if $exists() == 0 { None } else { Some($getter(object)) } }
        })*
    };
}

accessors! {
    /// `sk_buff::sk`.
    skb_sk: core_skb_sk / core_skb_sk_exists -> *const c_void;
    /// `sk_buff::dev`.
    skb_dev: core_skb_dev / core_skb_dev_exists -> *const c_void;
    /// `sk_buff::len`: bytes from `data`, page fragments included.
    skb_len: core_skb_len / core_skb_len_exists -> u32;
    /// `sk_buff::data_len`: bytes of `len` that lie in page fragments.
    skb_data_len: core_skb_data_len / core_skb_data_len_exists -> u32;
    /// `sk_buff::protocol`, network byte order.
    skb_protocol: core_skb_protocol / core_skb_protocol_exists -> u16;
    /// `sk_buff::network_header`: offset from `head`.
    skb_network_header: core_skb_network_header / core_skb_network_header_exists -> u16;
    /// `sk_buff::head`.
    skb_head: core_skb_head / core_skb_head_exists -> *const c_void;
    /// `sk_buff::data`.
    skb_data: core_skb_data / core_skb_data_exists -> *const c_void;
    /// `sk_buff::tc_at_ingress`, a bit.
    skb_at_ingress: core_skb_at_ingress / core_skb_at_ingress_exists -> u32;
    /// `net_device::ifindex`.
    dev_ifindex: core_dev_ifindex / core_dev_ifindex_exists -> u32;
    /// `net_device::type`, `ARPHRD_*`.
    dev_type: core_dev_type / core_dev_type_exists -> u16;
    /// `sock_common::skc_cookie`; 0 until somebody asks the kernel for one.
    sock_cookie: core_sock_cookie / core_sock_cookie_exists -> u64;
    /// `sock_common::skc_dport`: port of the other end, network byte order; 0 if unconnected.
    sock_dport: core_sock_dport / core_sock_dport_exists -> u16;
    /// `msghdr::msg_name`: where to send to, in kernel memory; null if the socket is connected.
    msg_name: core_msg_name / core_msg_name_exists -> *const c_void;
    task_leader: core_task_leader / core_task_leader_exists -> *const c_void;
    xdp_rxq: core_xdp_rxq / core_xdp_rxq_exists -> *const c_void;
    rxq_dev: core_rxq_dev / core_rxq_dev_exists -> *const c_void;
    dev_net: core_dev_net / core_dev_net_exists -> *const c_void;
    net_cookie: core_net_cookie / core_net_cookie_exists -> u64;
    net_cookie_before_5_12: core_net_cookie_before_5_12 / core_net_cookie_before_5_12_exists -> u64;
}

unsafe extern "C" {
    fn core_task_comm(task: *const c_void, name: *mut MaybeUninit<[u64; 2]>);
    fn core_task_comm_exists() -> u32;
}

/// Name of the process that a thread (`struct task_struct`) belongs to: that of its first thread, since
/// others may have names of their own. Where the kernel does not tell that, the name of the running thread.
#[inline(always)]
pub fn process_name(task: *const c_void) -> [u64; 2] {
    // Zeroed by hand it would be a call of memset(), which not every loader links.
    let mut name = MaybeUninit::uninit();
    let leader = task_leader(task).unwrap_or(task);
    // SAFETY: the accessor is reached only where the field exists, and checks the address of the task;
    // `name` is ours, and either of the kernel's helpers fills it in any case, with zeros if it cannot read.
    unsafe {
        if core_task_comm_exists() == 0 {
            bpf_get_current_comm((&raw mut name).cast(), size_of::<[u64; 2]>() as u32);
        } else {
            core_task_comm(leader, &raw mut name);
        }
        name.assume_init()
    }
}

/// The device behind a `struct xdp_buff`, which is what the context of an XDP program is.
#[inline(always)]
pub fn xdp_dev(context: *const c_void) -> Option<*const c_void> {
    rxq_dev(xdp_rxq(context)?)
}

/// Cookie of the network namespace of a device; 0 where the kernel does not tell.
#[inline(always)]
pub fn netns_cookie(dev: *const c_void) -> u64 {
    let Some(net) = dev_net(dev) else { return 0 };
    match net_cookie(net) {
        Some(cookie) => cookie,
        None => net_cookie_before_5_12(net).unwrap_or(0),
    }
}
