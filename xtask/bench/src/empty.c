// Programs that do nothing: what a test run costs without ours. They return what ours do for
// "go on" (TCX_NEXT, XDP_PASS).
__attribute__((section("classifier"), used)) int empty_tc(void *ctx) { return -1; }
__attribute__((section("xdp"), used)) int empty_xdp(void *ctx) { return 2; }
char LICENSE[] __attribute__((section("license"), used)) = "GPL";
