//go:build !linux

package main

import "syscall"

// ofItsOwn lets the package build and its tests run elsewhere; the bench itself needs Linux for its clocks.
func ofItsOwn(syscall.Signal) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
