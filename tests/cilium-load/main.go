// Loads an object with cilium/ebpf, the library that bpfman's Go version loads with, and prints the
// names of its programs. Nothing stays in the kernel.
package main

import (
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: cilium-load OBJECT")
		os.Exit(2)
	}
	if err := load(os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "cannot load %s: %+v\n", os.Args[1], err)
		os.Exit(1)
	}
}

func load(object string) error {
	// Before 5.11 maps count against RLIMIT_MEMLOCK.
	if err := rlimit.RemoveMemlock(); err != nil {
		return err
	}
	spec, err := ebpf.LoadCollectionSpec(object)
	if err != nil {
		return err
	}
	types, err := kernelTypes("/sys/kernel/btf/vmlinux")
	if err != nil {
		return err
	}
	options := ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{KernelTypes: types}}
	collection, err := ebpf.NewCollectionWithOptions(spec, options)
	if err != nil {
		return err
	}
	defer collection.Close()
	for name := range collection.Programs {
		fmt.Println(name)
	}
	return nil
}
