/* Another vendor's programs, as small as they can be: they let everything pass. The contexts are
 * declared here since nothing of them is read; dispatchers compare their names in BTF. */

#define SECTION(name) __attribute__((section(name), used))

struct xdp_md {
	unsigned int data;
};

struct __sk_buff {
	unsigned int len;
};

/* XDP_PASS */
SECTION("xdp") int foreign_xdp(struct xdp_md *ctx)
{
	return 2;
}

/* TCX_NEXT, which is TC_ACT_UNSPEC to a filter */
SECTION("classifier") int foreign_next(struct __sk_buff *skb)
{
	return -1;
}

/* TC_ACT_PIPE, after which bpfman's dispatcher goes on */
SECTION("classifier") int foreign_pipe(struct __sk_buff *skb)
{
	return 3;
}

SECTION("license") char _license[] = "GPL";
