// Looks up names with Go's own resolver, which opens a socket a query, all at once.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
)

func main() {
	resolver := net.Resolver{PreferGo: true}
	errors := make(chan error, len(os.Args))
	var all sync.WaitGroup
	for _, name := range os.Args[1:] {
		all.Add(1)
		go func(name string) {
			defer all.Done()
			if _, err := resolver.LookupHost(context.Background(), name); err != nil {
				errors <- err
			}
		}(name)
	}
	all.Wait()
	close(errors)
	failed := false
	for err := range errors {
		fmt.Fprintln(os.Stderr, err)
		failed = true
	}
	if failed {
		os.Exit(1)
	}
}
