package main

// switchesSource is compiled into every changed package.
const switchesSource = `package switches

import (
	"os"
	"strconv"
	"syscall"
)

var mutSwitch, mutHits = mutStart()

func mutStart() (int, []byte) {
	id, err := strconv.Atoi(os.Getenv("SUTI_MUTANT"))
	if err != nil {
		id = -1
	}
	path := os.Getenv("SUTI_MUTANT_HITS")
	if path == "" {
		return id, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		panic(err)
	}
	st, err := f.Stat()
	if err != nil {
		panic(err)
	}
	m, err := syscall.Mmap(int(f.Fd()), 0, int(st.Size()), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	return id, m
}

func mutOn(id int) bool {
	if mutHits != nil {
		mutHits[id] = 1
	}
	return id == mutSwitch
}

type mutNumber interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

func mutAdd[T mutNumber](id int, v T, n T) T {
	if mutOn(id) {
		return v + n
	}
	return v
}

func mutStr[T ~string](id int, v T) T {
	if mutOn(id) {
		return v + "\x00"
	}
	return v
}

func mutPlus[T mutNumber](id int, a, b T) T {
	if mutOn(id) {
		return a - b
	}
	return a + b
}

func mutMinus[T mutNumber](id int, a, b T) T {
	if mutOn(id) {
		return a + b
	}
	return a - b
}

func mutAnd[T mutNumber](id int, a, b T) T {
	if mutOn(id) {
		return a | b
	}
	return a & b
}

func mutOr[T mutNumber](id int, a, b T) T {
	if mutOn(id) {
		return a & b
	}
	return a | b
}

func mutAndNot[T mutNumber](id int, a, b T) T {
	if mutOn(id) {
		return a & b
	}
	return a &^ b
}
`
