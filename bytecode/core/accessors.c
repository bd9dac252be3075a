// SPDX-License-Identifier: GPL-2.0-only OR MIT
//
// Fields of kernel structures, by CO-RE. rustc emits no field relocations, so this is the one part
// of the kernel programs that is C; bpf-linker inlines it. Only the fields that are read are
// declared. Each getter has a twin `_exists`, which the loader answers for the running kernel; a
// getter of a field that does not exist is poisoned and must not be reached.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define CORE __attribute__((preserve_access_index))
#define ACCESSOR __attribute__((always_inline))
#define FIELD_BYTE_OFFSET 0
#define FIELD_BYTE_SIZE 1
#define FIELD_EXISTS 2
#define FIELD_LSHIFT_U64 4
#define FIELD_RSHIFT_U64 5

static long (*const bpf_probe_read_kernel)(void *dst, u32 size, const void *src) = (void *)113;

struct net {
	u64 net_cookie; // since 5.12, commit 3d368ab87cf6
} CORE;

struct net___before_5_12 {
	struct {
		long long counter;
	} net_cookie;
} CORE;

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	int ifindex;
	u16 type;
	possible_net_t nd_net;
} CORE;

struct sock_common {
	u16 skc_dport;
	struct {
		long long counter;
	} skc_cookie;
} CORE;

struct msghdr {
	void *msg_name;
} CORE;

struct task_struct {
	struct task_struct *group_leader;
	char comm[16];
} CORE;

struct sock {
	struct sock_common __sk_common;
} CORE;

struct sk_buff {
	struct sock *sk;
	struct net_device *dev;
	u32 len;
	u32 data_len;
	u16 protocol;
	u16 network_header;
	u8 tc_at_ingress : 1;
	u8 *head;
	u8 *data;
} CORE;

struct xdp_rxq_info {
	struct net_device *dev;
} CORE;

struct xdp_buff {
	struct xdp_rxq_info *rxq;
} CORE;

#define READ(dst, field) \
	bpf_probe_read_kernel(&(dst), sizeof(dst), __builtin_preserve_access_index(&(field)))
#define EXISTS(field) __builtin_preserve_field_info(field, FIELD_EXISTS)

// A getter for one field of one structure, and its twin.
#define GETTER(name, owner, ctype, field)                 \
	ACCESSOR ctype name(const struct owner *object)   \
	{                                                 \
		ctype value = 0;                          \
		READ(value, object->field);               \
		return value;                             \
	}                                                 \
	ACCESSOR u32 name##_exists(void)                  \
	{                                                 \
		return EXISTS(((struct owner *)0)->field); \
	}

GETTER(core_skb_sk, sk_buff, const struct sock *, sk)
GETTER(core_skb_dev, sk_buff, const struct net_device *, dev)
GETTER(core_skb_len, sk_buff, u32, len)
GETTER(core_skb_data_len, sk_buff, u32, data_len)
GETTER(core_skb_protocol, sk_buff, u16, protocol)
GETTER(core_skb_network_header, sk_buff, u16, network_header)
GETTER(core_skb_head, sk_buff, const u8 *, head)
GETTER(core_skb_data, sk_buff, const u8 *, data)
GETTER(core_xdp_rxq, xdp_buff, const struct xdp_rxq_info *, rxq)
GETTER(core_rxq_dev, xdp_rxq_info, const struct net_device *, dev)
GETTER(core_dev_ifindex, net_device, u32, ifindex)
GETTER(core_dev_type, net_device, u16, type)
GETTER(core_dev_net, net_device, const struct net *, nd_net.net)
GETTER(core_net_cookie, net, u64, net_cookie)
GETTER(core_net_cookie_before_5_12, net___before_5_12, u64, net_cookie.counter)
GETTER(core_sock_cookie, sock, u64, __sk_common.skc_cookie.counter)

GETTER(core_sock_dport, sock, u16, __sk_common.skc_dport)
GETTER(core_msg_name, msghdr, const void *, msg_name)
GETTER(core_task_leader, task_struct, const struct task_struct *, group_leader)

// Two words, so that the name can be compared as numbers.
struct comm {
	u64 words[2];
};

ACCESSOR void core_task_comm(const struct task_struct *task, struct comm *name)
{
	bpf_probe_read_kernel(name, sizeof(*name), __builtin_preserve_access_index(&task->comm));
}

ACCESSOR u32 core_task_comm_exists(void)
{
	return EXISTS(((struct task_struct *)0)->comm);
}

// A bit field: its place within its bytes is relocated too.
ACCESSOR u32 core_skb_at_ingress(const struct sk_buff *skb)
{
	u64 bits = 0;
	u32 offset = __builtin_preserve_field_info(skb->tc_at_ingress, FIELD_BYTE_OFFSET);
	u32 size = __builtin_preserve_field_info(skb->tc_at_ingress, FIELD_BYTE_SIZE);

	bpf_probe_read_kernel(&bits, size, (const u8 *)skb + offset);
	bits <<= __builtin_preserve_field_info(skb->tc_at_ingress, FIELD_LSHIFT_U64);
	bits >>= __builtin_preserve_field_info(skb->tc_at_ingress, FIELD_RSHIFT_U64);
	return (u32)bits;
}

ACCESSOR u32 core_skb_at_ingress_exists(void)
{
	return EXISTS(((struct sk_buff *)0)->tc_at_ingress);
}
