//! seccomp: which system calls the process can still make. What is not listed fails with `EPERM`, which the
//! caller reports like any other refusal; in [`Mode::Strict`] it ends the process.
//!
//! A list grows when a test in strict mode dies (`SIGSYS`), not by guessing.

use std::collections::BTreeMap;
use std::env::consts::ARCH;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter, apply_filter_all_threads,
};

use super::{Error, Mode, Needs, Threads};

/// Of a filter for everybody.
#[rustfmt::skip]
const ALWAYS: &[c_long] = &[
    // Open files and sockets.
    libc::SYS_read, libc::SYS_readv, libc::SYS_pread64, libc::SYS_write, libc::SYS_writev, libc::SYS_pwrite64,
    libc::SYS_lseek, libc::SYS_close, libc::SYS_fcntl, libc::SYS_flock, libc::SYS_ftruncate, libc::SYS_fallocate,
    libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_recvfrom, libc::SYS_recvmsg, libc::SYS_sendto, libc::SYS_sendmsg,
    libc::SYS_getsockopt, libc::SYS_setsockopt, libc::SYS_getsockname, libc::SYS_getpeername, libc::SYS_shutdown,
    // Looking at files; what may be opened is for `openat` and Landlock.
    libc::SYS_fstat, libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_getdents64, libc::SYS_readlinkat,
    libc::SYS_faccessat, libc::SYS_faccessat2, libc::SYS_inotify_init1, libc::SYS_inotify_add_watch,
    libc::SYS_inotify_rm_watch,
    // Memory.
    libc::SYS_brk, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise,
    // Waiting.
    libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2, libc::SYS_ppoll, libc::SYS_futex, libc::SYS_nanosleep, libc::SYS_clock_nanosleep,
    libc::SYS_restart_syscall,
    // Time, where the vDSO cannot tell it.
    libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_gettimeofday,
    // Threads and signals.
    libc::SYS_clone3, libc::SYS_set_robust_list, libc::SYS_rseq, libc::SYS_set_tid_address, libc::SYS_gettid,
    libc::SYS_getpid, libc::SYS_exit, libc::SYS_exit_group, libc::SYS_sched_yield, libc::SYS_sched_getaffinity,
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_sigaltstack,
    // Harmless facts, the working folder for a panic's backtrace.
    libc::SYS_getcwd, libc::SYS_getrandom, libc::SYS_uname, libc::SYS_sysinfo, libc::SYS_getuid, libc::SYS_geteuid,
    libc::SYS_getgid, libc::SYS_getegid, libc::SYS_getgroups,
];

/// The same by their older names, which C libraries use on x86-64.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_poll,
    libc::SYS_epoll_wait,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

const WRITING: &[c_long] = &[libc::SYS_unlinkat, libc::SYS_renameat2, libc::SYS_fchmod];
#[cfg(target_arch = "x86_64")]
const WRITING_OLDER: &[c_long] = &[libc::SYS_unlink, libc::SYS_rename, libc::SYS_renameat];
#[cfg(target_arch = "aarch64")]
const WRITING_OLDER: &[c_long] = &[libc::SYS_renameat];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const WRITING_OLDER: &[c_long] = &[];

const CONNECTING: &[c_long] = &[
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_sendmmsg,
    libc::SYS_recvmmsg,
];

/// Commands of bpf(2), `linux/bpf.h`: those with which a ring is opened and its counters are read.
const BPF_COMMANDS: [u64; 3] = [
    1,  // BPF_MAP_LOOKUP_ELEM
    7,  // BPF_OBJ_GET
    15, // BPF_OBJ_GET_INFO_BY_FD
];

/// Questions to a terminal, a socket or a device, and non-blocking input. Not `TIOCSTI`, which types.
const REQUESTS: &[u64] = &[
    libc::TCGETS,
    libc::TIOCGWINSZ,
    libc::FIONBIO,
    libc::FIONREAD,
    libc::SIOCGIFNAME,
];
const TERMINAL_REQUESTS: &[u64] = &[
    libc::TCSETS,
    libc::TCSETSW,
    libc::TCSETSF,
    libc::TIOCGPGRP,
    // TCGETS2 and TCSETS2, by which rustix asks: so numbered on every machine that there is a filter for.
    0x802c_542a,
    0x402c_542b,
];

/// `PR_SET_NAME` for threads; `PR_SET_VMA`, by which newer C libraries name their memory.
const PRCTL_OPTIONS: [u64; 2] = [libc::PR_SET_NAME as u64, libc::PR_SET_VMA as u64];

/// Flags of open(2) with which a file can be changed. `O_TMPFILE` wants one of them, too.
const CHANGING: u64 = (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC) as u64;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Takes away what is not needed; how many system calls are left, or why all are.
pub(super) fn limit(
    needs: &Needs,
    mode: Mode,
    threads: Threads,
) -> Result<Result<usize, String>, Error> {
    let Ok(arch) = TargetArch::try_from(ARCH) else {
        return Ok(Err(format!("there is no list for {ARCH}")));
    };
    let rules = rules(needs)?;
    let number = rules.len();
    let refusal = match mode {
        Mode::Strict => SeccompAction::KillProcess,
        Mode::On | Mode::Off => SeccompAction::Errno(libc::EPERM as u32),
    };
    let list = SeccompFilter::new(rules, refusal, SeccompAction::Allow, arch)?;
    // A filter cannot see what a clone3 starts; told that there is none, C libraries use clone.
    let old = SeccompFilter::new(
        [(libc::SYS_clone3, Vec::new())].into(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS as u32),
        arch,
    )?;
    // The list last: seccomp(2) is not on it.
    for filter in [old, list] {
        let program = BpfProgram::try_from(filter)?;
        let installed = match threads {
            Threads::All => apply_filter_all_threads(&program),
            Threads::This => apply_filter(&program),
        };
        if let Err(error) = installed {
            return Ok(Err(error.to_string()));
        }
    }
    Ok(Ok(number))
}

fn rules(needs: &Needs) -> Result<Rules, BackendError> {
    let mut rules = Rules::new();
    allow(&mut rules, ALWAYS);
    allow(&mut rules, OLDER);
    allow_if(&mut rules, libc::SYS_bpf, 0, &BPF_COMMANDS)?;
    allow_if(&mut rules, libc::SYS_prctl, 0, &PRCTL_OPTIONS)?;
    allow_if(&mut rules, libc::SYS_ioctl, 1, REQUESTS)?;
    // Threads, not processes.
    allow_masked(
        &mut rules,
        libc::SYS_clone,
        0,
        libc::CLONE_THREAD as u64,
        !0,
    )?;
    // abort() sends a signal to its own thread.
    let own = u64::from(std::process::id());
    allow_if(&mut rules, libc::SYS_tgkill, 0, &[own])?;
    // Asking for a limit, not setting one.
    allow_if(&mut rules, libc::SYS_prlimit64, 2, &[0])?;
    // No memory becomes code.
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        allow_masked(&mut rules, call, 2, libc::PROT_EXEC as u64, 0)?;
    }
    opening(&mut rules, needs)?;
    talking(&mut rules, needs)?;
    Ok(rules)
}

fn opening(rules: &mut Rules, needs: &Needs) -> Result<(), BackendError> {
    let changes = needs.terminal || !needs.writes.is_empty();
    let mut open = |call, flags| {
        if changes {
            allow(rules, &[call]);
            return Ok(());
        }
        allow_masked(rules, call, flags, CHANGING, libc::O_RDONLY as u64)
    };
    open(libc::SYS_openat, 2)?;
    #[cfg(target_arch = "x86_64")]
    open(libc::SYS_open, 1)?;
    if !needs.writes.is_empty() {
        allow(rules, WRITING);
        allow(rules, WRITING_OLDER);
    }
    Ok(())
}

fn talking(rules: &mut Rules, needs: &Needs) -> Result<(), BackendError> {
    if needs.terminal {
        allow_if(rules, libc::SYS_ioctl, 1, TERMINAL_REQUESTS)?;
        // By these a handler of signals wakes the loop.
        allow(rules, &[libc::SYS_pipe2, libc::SYS_socketpair]);
    }
    if needs.accepts {
        allow(rules, &[libc::SYS_accept4]);
    }
    let mut families = Vec::new();
    if !needs.connects.is_empty() {
        // The resolver asks the kernel for addresses, and a cache of names, first.
        families.extend([
            libc::AF_INET,
            libc::AF_INET6,
            libc::AF_NETLINK,
            libc::AF_UNIX,
        ]);
    } else if needs.local {
        families.push(libc::AF_UNIX);
    }
    if !families.is_empty() {
        let families: Vec<u64> = families.iter().map(|family| *family as u64).collect();
        allow_if(rules, libc::SYS_socket, 0, &families)?;
        allow(rules, CONNECTING);
    }
    Ok(())
}

fn allow(rules: &mut Rules, calls: &[c_long]) {
    for call in calls {
        // No condition is every condition.
        rules.insert(*call, Vec::new());
    }
}

/// Allows a call if an argument is one of these.
fn allow_if(rules: &mut Rules, call: c_long, arg: u8, values: &[u64]) -> Result<(), BackendError> {
    for value in values {
        add(rules, call, arg, SeccompCmpOp::Eq, *value)?;
    }
    Ok(())
}

/// Allows a call if these bits of an argument are those of a value.
fn allow_masked(
    rules: &mut Rules,
    call: c_long,
    arg: u8,
    mask: u64,
    value: u64,
) -> Result<(), BackendError> {
    add(rules, call, arg, SeccompCmpOp::MaskedEq(mask), value & mask)
}

fn add(
    rules: &mut Rules,
    call: c_long,
    arg: u8,
    op: SeccompCmpOp,
    value: u64,
) -> Result<(), BackendError> {
    let condition = SeccompCondition::new(arg, length(call), op, value)?;
    let rule = SeccompRule::new(vec![condition])?;
    rules.entry(call).or_default().push(rule);
    Ok(())
}

/// How much of an argument the kernel looks at: a pointer and the flags of clone whole, the others as `int`.
const fn length(call: c_long) -> SeccompCmpArgLen {
    match call {
        libc::SYS_prlimit64 | libc::SYS_clone | libc::SYS_mmap | libc::SYS_mprotect => {
            SeccompCmpArgLen::Qword
        }
        _ => SeccompCmpArgLen::Dword,
    }
}
