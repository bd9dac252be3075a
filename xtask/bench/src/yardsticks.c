// What ours are measured against: programs that do nothing (what a test run costs without ours), and programs
// that do the least by which a tracer of DNS could tell that a plain IPv4 packet is none of its own: count it,
// look at its ports. They return what ours do for "go on" (TCX_NEXT, XDP_PASS).
typedef unsigned int u32;
typedef unsigned long long u64;

// The parts of the kernel's interface that are used (include/uapi/linux/bpf.h).
struct __sk_buff {
	u32 before[19], data, data_end;
};
struct xdp_md {
	u32 data, data_end;
};
static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;

struct {
	int (*type)[6]; // BPF_MAP_TYPE_PERCPU_ARRAY
	u32 *key;
	u64 *value;
	int (*max_entries)[1];
} counts __attribute__((section(".maps"), used));

// 1 for a packet with port 53, 0 for another one, -1 for one that is not plain IPv4.
static __attribute__((always_inline)) int least(const unsigned char *data, const unsigned char *end)
{
	u32 key = 0;
	u64 *count = bpf_map_lookup_elem(&counts, &key);
	if (!count)
		return 0;
	++*count;
	if (data + 38 > end || (*(u32 *)(data + 12) & 0xffffff) != 0x450008)
		return -1;
	u32 ports = *(u32 *)(data + 34);
	return (ports & 0xffff) == 0x3500 || ports >> 16 == 0x3500;
}

__attribute__((section("classifier"), used)) int empty_tc(void *ctx) { return -1; }
__attribute__((section("xdp"), used)) int empty_xdp(void *ctx) { return 2; }

__attribute__((section("classifier"), used)) int least_tc(struct __sk_buff *skb)
{
	return least((void *)(long)skb->data, (void *)(long)skb->data_end) == 1 ? 0 : -1;
}

__attribute__((section("xdp"), used)) int least_xdp(struct xdp_md *xdp)
{
	return least((void *)(long)xdp->data, (void *)(long)xdp->data_end) == 1 ? 1 : 2;
}

char LICENSE[] __attribute__((section("license"), used)) = "GPL";
