// Loads an object with cilium/ebpf, the library that bpfman's Go version loads with, and prints the
// names of its programs. Nothing stays in the kernel.
package main

import (
	"fmt"
	"os"

	"github.com/cilium/ebpf"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: cilium-load OBJECT")
		os.Exit(2)
	}
	spec, err := ebpf.LoadCollectionSpec(os.Args[1])
	if err != nil {
		fmt.Fprintf(os.Stderr, "cannot read %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
	collection, err := ebpf.NewCollection(spec)
	if err != nil {
		fmt.Fprintf(os.Stderr, "cannot load %s: %+v\n", os.Args[1], err)
		os.Exit(1)
	}
	defer collection.Close()
	for name := range collection.Programs {
		fmt.Println(name)
	}
}
