package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"

	"github.com/cilium/ebpf/btf"
)

// Kinds of include/uapi/linux/btf.h.
const (
	kindInt      = 1
	kindArray    = 3
	kindStruct   = 4
	kindUnion    = 5
	kindEnum     = 6
	kindProto    = 13
	kindVar      = 14
	kindDatasec  = 15
	kindConst    = 10
	kindDeclTag  = 17
	kindTypeTag  = 18
	kindEnum64   = 19
	typeSize     = 12
	headerMinLen = 24
)

// kernelTypes reads the kernel's BTF. The version of cilium/ebpf that Debian 12 packages knows neither
// 64-bit enums nor tags, which kernels have had since 6.0 and 5.18. They are replaced by types of the same
// length, as libbpf does for kernels that know none; no field that we relocate is of such a type.
func kernelTypes(file string) (*btf.Spec, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if len(raw) < headerMinLen {
		return nil, fmt.Errorf("%s has no BTF header", file)
	}
	order := binary.LittleEndian
	start := order.Uint32(raw[4:]) + order.Uint32(raw[8:])
	end := start + order.Uint32(raw[12:])
	if start > end || int(end) > len(raw) {
		return nil, fmt.Errorf("%s is cut short", file)
	}
	for types := raw[start:end]; len(types) >= typeSize; {
		info := order.Uint32(types[4:])
		kind, entries := info>>24&0x1f, info&0xffff
		switch kind {
		case kindEnum64:
			order.PutUint32(types[4:], kindUnion<<24|entries)
			for i := uint32(0); i < entries; i++ {
				// A member: name, type (void), offset.
				order.PutUint64(types[typeSize+12*i+4:], 0)
			}
		case kindDeclTag:
			order.PutUint32(types[4:], kindInt<<24)
			order.PutUint32(types[8:], 1)
			order.PutUint32(types[typeSize:], 8)
		case kindTypeTag:
			order.PutUint32(types, 0)
			order.PutUint32(types[4:], kindConst<<24)
		}
		types = types[typeSize+tail(kind, entries):]
	}
	return btf.LoadSpecFromReader(bytes.NewReader(raw))
}

// tail is how many bytes follow the common part of a type.
func tail(kind, entries uint32) uint32 {
	switch kind {
	case kindInt, kindVar, kindDeclTag:
		return 4
	case kindArray:
		return 12
	case kindStruct, kindUnion, kindDatasec, kindEnum64:
		return 12 * entries
	case kindEnum, kindProto:
		return 8 * entries
	default:
		return 0
	}
}
